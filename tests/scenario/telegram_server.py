"""A scripted Bot API server with one bot and one chat: strict about what it is asked, and it keeps its posts."""
import re
import threading

import scripted
from scripted import Answer

TOKEN = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
BOT = 110201543

#: method: the fields it must have, and those it may.
METHODS = {
    "getMe": ((), ()),
    "getChat": (("chat_id",), ()),
    "getChatMember": (("chat_id", "user_id"), ()),
    "deleteMessage": (("chat_id", "message_id"), ()),
    "sendVideo": (("chat_id", "video"), ("duration", "width", "height", "thumbnail", "caption", "caption_entities",
                                         "supports_streaming", "disable_notification", "protect_content")),
}

#: What an administrator's membership always tells.
RIGHTS = {name: False for name in ("can_be_edited", "is_anonymous", "can_manage_chat", "can_delete_messages",
                                   "can_manage_video_chats", "can_restrict_members", "can_promote_members",
                                   "can_change_info", "can_invite_users", "can_post_stories", "can_edit_stories",
                                   "can_delete_stories")}


def error(code, description, status=None, **parameters):
    """What the server says no with; status: where it is not the code."""
    body = {"ok": False, "error_code": code, "description": description}
    return Answer({**body, "parameters": parameters} if parameters else body, status or code)


def yes(result):
    return Answer({"ok": True, "result": result})


def page(status, **more):
    """What stands before the server, a proxy or a load balancer, answers in its own words."""
    return Answer(f"<html><head><title>{status}</title></head><body>nginx</body></html>", status,
                  {"Content-Type": "text/html"}, **more)


class Server(scripted.Server):
    def __init__(self, username="chan", chat=-1001234567890, kind="channel"):
        super().__init__(self.answer)
        self.posts, self.deleted, self.posting = [], [], threading.Lock()
        self.member = {"status": "administrator", "can_post_messages": True}
        self.chat = {"id": chat, "title": "Channel", "type": kind, **({"username": username} if username else {})}

    @staticmethod
    def method_of(request):
        found = re.fullmatch(r"/bot([^/]+)/(\w+)", request.path)
        return found.groups() if found else ("", "")

    def answer(self, request):
        token, method = self.method_of(request)
        if method not in METHODS:
            return error(404, "Not Found")
        if token != TOKEN:
            return error(401, "Unauthorized")
        must, may = METHODS[method]
        given = self.given(request)
        unknown, missing = set(given) - set(must) - set(may), set(must) - set(given)
        assert request.method == "POST" and not unknown and not missing, (method, unknown, missing)
        if "chat_id" in given and str(given["chat_id"]) not in self.names():
            return error(400, "Bad Request: chat not found")
        return getattr(self, f"on_{method}")(given)

    def names(self):
        return {str(self.chat["id"]), "@" + self.chat.get("username", "?")}

    @staticmethod
    def given(request):
        """Fields by name; of a file: (name, type, content)."""
        fields = {name: values[0] for name, values in request.fields.items() if len(values) == 1}
        assert len(fields) == len(request.fields), "a field twice"
        return {**(request.json or {}), **fields, **request.files}

    # ---- The methods

    def on_getMe(self, _):
        return yes({"id": BOT, "is_bot": True, "first_name": "Clips", "username": "clips_bot"})

    def on_getChat(self, _):
        gifts = ("unlimited_gifts", "limited_gifts", "unique_gifts", "premium_subscription", "gifts_from_channels")
        return yes({**self.chat, "accent_color_id": 0, "max_reaction_count": 11,
                    "accepted_gift_types": {name: False for name in gifts}})

    def on_getChatMember(self, given):
        assert given["user_id"] == BOT
        return yes({"user": {"id": BOT, "is_bot": True, "first_name": "Clips"}, **RIGHTS, **self.member})

    def on_deleteMessage(self, given):
        if given["message_id"] not in [post["message_id"] for post in self.posts]:
            return error(400, "Bad Request: message to delete not found")
        self.posts = [post for post in self.posts if post["message_id"] != given["message_id"]]
        self.deleted.append(given["message_id"])
        return yes(True)

    def on_sendVideo(self, given):
        name, kind, content = given["video"]
        assert kind == "video/mp4" and content, (name, kind)
        with self.posting:
            message = 42 + len(self.posts) + len(self.deleted)
            self.posts.append({"message_id": message, "video": content[:10000], "name": name, "size": len(content),
                               "given": {**given, "video": (name, kind, content[:10000])}})
        return yes({"message_id": message, "date": 1795373281, "chat": self.chat, "caption": given.get("caption", ""),
                    "video": {"file_id": "BAACAgIAAx0", "file_unique_id": "AgAD1", "duration": 30, "width": 1080,
                              "height": 1920, "mime_type": "video/mp4", "file_size": len(content)}})

    def send_video(self, request):
        """For a script: the post is made, whatever is said then."""
        return self.answer(request)
