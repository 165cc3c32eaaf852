"""A scripted VK: videos that are uploaded and worked on, one wall, and a memory for guids. Strict about what it is asked."""
import re
import threading
import time
import urllib.parse

import scripted
from scripted import Answer

TOKEN = "vk1.a.canary-token_0123456789"
GROUP = 5
USER = 77

#: method: the fields it must have, and those it may; "access_token" and "v" it always has.
METHODS = {
    "users.get": ((), ()),
    "groups.get": (("filter", "count"), ()),
    "video.save": (("name", "wallpost", "no_comments", "repeat"), ("description", "group_id", "is_private")),
    "video.get": (("videos",), ()),
    "video.delete": (("owner_id", "video_id"), ()),
    "wall.post": (("message", "attachments", "guid"), ("owner_id", "from_group", "mark_as_ads", "close_comments")),
    "wall.get": (("count",), ("owner_id", "offset")),
    "wall.delete": (("owner_id", "post_id"), ()),
}


def error(code, message="some words", **more):
    """VK says no with status 200; what was asked stands in request_params, the token too."""
    params = [{"key": "method", "value": "x"}, {"key": "access_token", "value": TOKEN}]
    return Answer({"error": {"error_code": code, "error_msg": message, "request_params": params, **more}})


def yes(result):
    return Answer({"response": result})


def page(status, **more):
    return Answer(f"<html><head><title>{status}</title></head><body>nginx</body></html>", status,
                  {"Content-Type": "text/html"}, **more)


class Server(scripted.Server):
    """`forgetful`: a guid says nothing to it; `lag`: so many seconds later the wall shows a post. `busy`: how often video.get says that it is at work, and `unseen`: that there is no such video, after an upload."""

    def __init__(self, group=GROUP, busy=0, unseen=0, forgetful=False, lag=0):
        super().__init__(self.answer)
        self.forgetful, self.lag = forgetful, lag
        self.group, self.busy, self.unseen = group, busy, unseen
        self.videos, self.wall, self.guids, self.numbers, self.making = {}, [], {}, 456239016, threading.Lock()
        self.editor_of = [GROUP]

    @property
    def owner(self):
        return -self.group if self.group else USER

    @property
    def url(self):
        return self.at + "/method"

    @url.setter
    def url(self, url):
        self.at = url

    @staticmethod
    def method_of(request):
        found = re.fullmatch(r"/method/([\w.]+)", request.path)
        return found.group(1) if found else ""

    @staticmethod
    def given(request):
        pairs = urllib.parse.parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True)
        assert len(dict(pairs)) == len(pairs), "a field twice"
        return dict(pairs)

    def asked(self, method):
        return [one for one in self.requests if one and self.method_of(one) == method]

    def uploads(self):
        return [one for one in self.requests if one and one.path.startswith("/upload/")]

    def answer(self, request):
        if request.path.startswith("/upload/"):
            return self.upload(request)
        method = self.method_of(request)
        if method not in METHODS:
            return error(3, "Unknown method passed")
        given = self.given(request)
        if given.pop("access_token", "") != TOKEN:
            return error(5, "User authorization failed: invalid access_token (4).")
        assert given.pop("v", "") == "5.199" and TOKEN not in request.path
        must, may = METHODS[method]
        unknown, missing = set(given) - set(must) - set(may), set(must) - set(given)
        assert request.method == "POST" and not unknown and not missing, (method, unknown, missing)
        return getattr(self, "on_" + method.replace(".", "_"))(given)

    # ---- The methods

    def on_users_get(self, _):
        return yes([{"id": USER, "first_name": "A", "last_name": "B"}])

    def on_groups_get(self, given):
        assert given["filter"] == "editor"
        return yes({"count": len(self.editor_of), "items": self.editor_of})

    def on_video_save(self, given):
        assert 0 < len(given["name"]) <= 128 and int(given.get("group_id", 0)) == self.group
        with self.making:
            self.numbers += 1
            number = self.numbers
            self.videos[number] = {"given": given, "bytes": None, "asked": 0}
        return yes({"access_key": "494cb27d4cde22a64d", "description": "", "owner_id": self.owner, "title": given["name"],
                    "upload_url": f"{self.at}/upload/{number}", "video_id": number})

    def upload(self, request):
        number = int(request.path.rsplit("/", 1)[1])
        video = self.videos.get(number)
        name, kind, content = request.files["video_file"]
        if video is None or video["bytes"] is not None or not content:
            return Answer({"error": "the address was used", "error_code": 0}, 400)
        assert kind == "video/mp4" and name.endswith(".mp4")
        video["bytes"] = content[:1000]
        if video["given"]["wallpost"] == "1":
            self.put_on_wall(number, "")
        return Answer({"size": len(content), "video_id": number, "owner_id": self.owner, "video_hash": "0a1b"})

    def number_of(self, name):
        owner, number = re.fullmatch(r"(-?\d+)_(\d+)(?:_494cb27d4cde22a64d)?", name).groups()
        assert int(owner) == self.owner
        return int(number)

    def on_video_get(self, given):
        number = self.number_of(given["videos"])
        video = self.videos.get(number)
        if video is None:
            return yes({"count": 0, "items": []})
        if video["bytes"] is None:
            return yes({"count": 1, "items": [{"id": number, "owner_id": self.owner, "title": "t", "duration": 0, "type": "video"}]})
        video["asked"] += 1
        if video["asked"] <= self.unseen:
            return yes({"count": 0, "items": []})
        if video["asked"] <= self.unseen + self.busy:
            return yes({"count": 1, "items": [{"id": number, "owner_id": self.owner, "title": "t", "duration": 0,
                                               "processing": 1, "type": "video"}]})
        return yes({"count": 1, "items": [{
            "id": number, "owner_id": self.owner, "title": "t", "description": "", "duration": 30, "date": 1795373281,
            "views": 10, "comments": 2, "likes": {"count": 3, "user_likes": 0}, "reposts": {"count": 1, "user_reposted": 0},
            "type": "video", "player": "https://vk.com/video_ext.php", "width": 1080, "height": 1920}]})

    def on_video_delete(self, given):
        assert int(given["owner_id"]) == self.owner
        return yes(1 if self.videos.pop(int(given["video_id"]), None) else 0)

    def put_on_wall(self, video, message):
        with self.making:
            number = 42 + len(self.wall)
            self.wall.append({"number": number, "video": video, "message": message, "is_there": True, "date": time.time()})
        return number

    def on_wall_post(self, given):
        number = self.number_of(given["attachments"].removeprefix("video"))
        assert self.videos[number]["bytes"] is not None and given["message"]
        assert int(given.get("owner_id", USER)) == self.owner and given.get("from_group") == ("1" if self.group else None)
        known = None if self.forgetful else self.guids.get(given["guid"])
        if known is None:
            known = self.guids[given["guid"]] = self.put_on_wall(number, given["message"])
        return yes({"post_id": known})

    def on_wall_get(self, given):
        first = int(given.get("offset", 0))
        items = [{"id": post["number"], "date": int(post["date"]), "owner_id": self.owner, "from_id": self.owner, "text": post["message"],
                  "attachments": [{"type": "video", "video": {"id": post["video"], "owner_id": self.owner}}]}
                 for post in reversed(self.wall) if post["is_there"] and post["date"] + self.lag <= time.time()]
        return yes({"count": len(items), "items": items[first:first + int(given["count"])]})

    def on_wall_delete(self, given):
        for post in self.wall:
            if post["number"] == int(given["post_id"]) and post["is_there"]:
                post["is_there"] = False
                return yes(1)
        return error(104, "Not found")

    # ---- What a test looks at

    def posts(self):
        return [post for post in self.wall if post["is_there"]]
