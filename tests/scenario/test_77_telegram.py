"""publish_telegram against a scripted Bot API server: what is asked, what each answer means, and what a daemon makes of it."""
import json

import pytest

from calls import call
from conftest import CONTRACTS
from telegram_server import TOKEN, Answer, Server, error, page, yes

MB = 1 << 20


@pytest.fixture
def server():
    with Server() as one:
        yield one


# ---- One call -----------------------------------------------------------------------------------

def clip_in(folder, size=1000, title="A confession", text="Nobody tells you this.\n\n#money", facts=None, small=9):
    folder.mkdir(exist_ok=True)
    with open(folder / "clip.mp4", "wb") as clip:
        clip.truncate(size)
    (folder / "small.jpg").write_bytes(b"x" * small)
    facts = {"name": "01-a-confession", "title": title, "text": text, "duration_ms": 30400, "width": 1080, "height": 1920,
             **(facts or {})}
    return [{"role": "clip", "key": "01", "path": str(folder / "clip.mp4"), "bytes": size, "facts": facts},
            {"role": "thumbnail_small", "key": "", "path": str(folder / "small.jpg"), "bytes": small, "facts": {}}]


def ask(server, tmp_path, operation="publish", options=None, clip=None, folder="attempt", **more):
    options = {"url": server.url, "token": TOKEN, "chat": "@chan", "timeout": "5s", **(options or {})}
    fields = {"inputs": clip_in(tmp_path / "inputs", **(clip or {})), "effect_key": "k1", "secrets": ["token"], **more}
    return call(tmp_path / folder, "publish_telegram", "publish", operation, options, **fields)


def test_a_post(server, tmp_path):
    done = ask(server, tmp_path)
    assert done.verdict == "ok", done.words
    assert (done.done["post_id"], done.done["url"]) == ("-1001234567890/42", "https://t.me/chan/42")
    assert len(done.said("sending")) == 1
    sent = server.requests[0]
    assert sent.path == f"/bot{TOKEN}/sendVideo" and "Content-Length" in sent.headers
    given = server.posts[0]["given"]
    assert given["video"][:2] == ("01-a-confession.mp4", "video/mp4") and given["thumbnail"][1] == "image/jpeg"
    assert [given[name] for name in ("chat_id", "duration", "width", "height", "supports_streaming")] == \
        ["@chan", "31", "1080", "1920", "true"]
    assert given["caption"] == "A confession\n\nNobody tells you this.\n\n#money"
    assert json.loads(given["caption_entities"]) == [{"type": "bold", "offset": 0, "length": 12}]
    assert "parse_mode" not in given and "disable_notification" not in given
    order = [sent.body.index(b'name="%s"' % name) for name in (b"chat_id", b"caption", b"thumbnail", b"video")]
    assert order == sorted(order)  # with the video's end the post is out


def test_options_reach_the_request(server, tmp_path):
    done = ask(server, tmp_path, options={"title": "no", "disable_notification": "yes", "protect_content": "yes",
                                         "url": server.url + "/"}, clip={"facts": {"width": 0}, "small": 200001})
    given = server.posts[0]["given"]
    assert done.verdict == "ok" and given["caption"] == "Nobody tells you this.\n\n#money"
    assert (given["disable_notification"], given["protect_content"]) == ("true", "true")
    assert not {"caption_entities", "width", "thumbnail"} & set(given)


@pytest.mark.parametrize("username, chat, url", [
    ("chan", -1001234567890, "https://t.me/chan/42"), ("", -1001234567890, "https://t.me/c/1234567890/42"),
    ("", -987654, "")])
def test_the_address_of_a_post(tmp_path, username, chat, url):
    with Server(username, chat, "supergroup") as server:
        done = ask(server, tmp_path, options={"chat": str(chat)})
        assert (done.verdict, done.done["url"], done.done["post_id"]) == ("ok", url, f"{chat}/42")


def units(text):
    return len(text.encode("utf-16-le")) // 2


WORDS = "Заработать легко 🚀 сохранить трудно. "


@pytest.mark.parametrize("title, text, caption, bold", [
    ("Top", "Topics of the day", "Top\n\nTopics of the day", 3),
    ("Top", "Top: ten", "Top: ten", 3), ("Top", "Top", "Top", 3), ("Top", "", "Top", 3), ("", "Only text", "Only text", 0),
    ("", "", None, 0), ("🚀 <b>_*", "a & [b](c) `d`", "🚀 <b>_*\n\na & [b](c) `d`", 8),
    ("  A\r\n\tB ", "\n\x01 c \n", "A\n B\n\nc", 4)])
def test_captions(server, tmp_path, title, text, caption, bold):
    assert ask(server, tmp_path, clip={"title": title, "text": text}).verdict == "ok"
    given = server.posts[0]["given"]
    assert given.get("caption") == caption
    entities = json.loads(given.get("caption_entities", "[]"))
    assert entities == ([{"type": "bold", "offset": 0, "length": bold}] if bold else [])


@pytest.mark.parametrize("title, text", [("Title", WORDS * 40), ("", "🚀" * 600), ("", "x" * 1025), (WORDS * 60, "text"),
                                         ("", "a" * 1023 + "🚀"), ("", "ab " * 341 + "c")])
def test_long_captions_end_at_a_word(server, tmp_path, title, text):
    assert ask(server, tmp_path, clip={"title": title, "text": text}).verdict == "ok"
    given = server.posts[0]["given"]
    caption = given["caption"]
    whole = f"{title.strip()}\n\n{text.strip()}" if title else text.strip()
    if units(whole) <= 1024:
        assert caption == whole
        return
    assert 1000 < units(caption) <= 1024 and caption.endswith("…")
    assert whole.startswith(caption[:-1])
    if " " in whole:
        assert whole[len(caption) - 1] in " \n"  # no word is cut in two
    for entity in json.loads(given.get("caption_entities", "[]")):
        assert entity["offset"] + entity["length"] <= units(caption)


def test_exactly_as_long_as_allowed(server, tmp_path):
    text = "a" * 1022 + "🚀"
    assert ask(server, tmp_path, clip={"title": "", "text": text}).verdict == "ok"
    assert server.posts[0]["given"]["caption"] == text


# ---- Errors -------------------------------------------------------------------------------------

RIGHTS = "Bad Request: not enough rights to send videos to the chat"
GONE = "Internal Server Error: sent message was immediately deleted and can't be returned"

#: answer, verdict, reason, scope, and a part of the words.
ERRORS = {
    "retry_after": (error(429, "Too Many Requests: retry after 35", retry_after=35), "again", "rate", "instance", "35"),
    "a page that says 429": (page(429), "again", "rate", "instance", "429"),
    "chat not found": (error(400, "Bad Request: chat not found"), "hold", "operator", "instance", "`chat`"),
    "chat empty": (error(400, "Bad Request: chat_id is empty"), "hold", "operator", "instance", "`chat`"),
    "rights": (error(400, RIGHTS), "hold", "auth", "instance", "administrator"),
    "administrator": (error(400, "Bad Request: need administrator rights in the channel chat"), "hold", "auth", "instance",
                      "administrator"),
    "write forbidden": (error(400, "Bad Request: CHAT_WRITE_FORBIDDEN"), "hold", "auth", "instance", "administrator"),
    "upper and lower case": (error(400, "BAD REQUEST: NOT ENOUGH RIGHTS"), "hold", "auth", "instance", "administrator"),
    "too big": (error(400, "Bad Request: file is too big"), "cannot", "too_large", "item", "size"),
    "wrong file": (error(400, "Bad Request: wrong file identifier/HTTP URL specified"), "cannot", "input", "item", "wrong file"),
    "an error nobody knows": (error(400, "Bad Request: NEW_THING"), "cannot", "input", "item", "NEW_THING"),
    "logged out": (error(400, "Logged out"), "hold", "operator", "instance", "elsewhere"),
    "unauthorized": (error(401, "Unauthorized"), "hold", "auth", "account", "`token`"),
    "kicked": (error(403, "Forbidden: bot was kicked from the channel chat"), "hold", "auth", "instance", "administrator"),
    "not a member": (error(403, "Forbidden: bot is not a member of the channel chat"), "hold", "auth", "instance",
                     "administrator"),
    "not found": (error(404, "Not Found"), "hold", "auth", "account", "`token`"),
    "conflict": (error(409, "Conflict: terminated by other getUpdates request"), "hold", "operator", "account", "elsewhere"),
    "413": (error(413, "Request Entity Too Large"), "cannot", "too_large", "item", "size"),
    "a page that says 413": (page(413), "cannot", "too_large", "item", "size"),
    "taken away": (error(500, GONE), "cannot", "content", "item", "took the post away"),
    "an error inside 200": (error(429, "Too Many Requests: retry after 3", 200, retry_after=3), "again", "rate", "instance", "3"),
    "a page that says 404": (page(404), "hold", "operator", "instance", "`url`"),
    "a page that says 408": (page(408), "again", "unavailable", "item", "408"),
    "a redirect": (Answer("", 301, {"Location": "http://127.0.0.1/"}), "hold", "operator", "instance", "`url`"),
}

#: The clip went out whole, and none of these says what became of it.
DOUBTS = {
    "500 restart": error(500, "Internal Server Error: restart"), "500": error(500, "Internal Server Error"),
    "502": error(502, "Bad Gateway"), "a page that says 502": page(502), "a page that says 504": page(504),
    "a page that says 200": page(200), "yes, and nothing else": Answer({"ok": True}), "a post without a number": yes({}),
    "no JSON": Answer("{"), "nothing": Answer(""), "not even an object": Answer("[]"), "502 inside 200": error(502, "x", 200),
    "lost after": Answer(lost="after"), "lost inside": Answer({"ok": True, "result": {"message_id": 1}}, lost="inside"),
    "too late": Answer({}, slow=2),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(server, tmp_path, name):
    answer, verdict, reason, scope, words = ERRORS[name]
    server.script = [answer]
    done = ask(server, tmp_path)
    assert (done.verdict, done.reason, done.scope) == (verdict, reason, scope), done.words
    assert words in done.words and len(server.requests) == 1
    assert TOKEN not in json.dumps(done.messages) + done.log
    if verdict == "again" and "parameters" in answer.body.decode():
        assert done.delay_ms == json.loads(answer.body)["parameters"]["retry_after"] * 1000


@pytest.mark.parametrize("name", DOUBTS)
def test_doubts(server, tmp_path, name):
    server.script = [DOUBTS[name]]
    done = ask(server, tmp_path, options={"timeout": "1s"})
    assert done.verdict == "unsure", done.words
    assert len(server.requests) == 1 and TOKEN not in json.dumps(done.messages) + done.log


def test_500_although_it_was_posted(server, tmp_path):
    def posted(request):
        server.answer(request)
        return error(500, "Internal Server Error")
    server.script = [posted]
    assert ask(server, tmp_path).verdict == "unsure"
    assert len(server.posts) == 1


@pytest.mark.parametrize("answer", [Answer(lost="before"), Answer(lost="during")])
def test_an_upload_that_breaks_is_no_post(server, tmp_path, answer):
    """Nothing was committed either: the daemon was not even asked."""
    server.script = [answer]
    done = ask(server, tmp_path, clip={"size": 40 * MB})
    assert (done.verdict, done.reason) == ("again", "network"), done.words
    assert not done.said("sending") and not server.posts


def test_a_refusal_in_the_middle_of_an_upload(server, tmp_path):
    server.script = [page(413, early=True)]
    done = ask(server, tmp_path, clip={"size": 40 * MB})
    assert (done.verdict, done.reason) == ("cannot", "too_large"), done.words
    assert not done.said("sending")


def test_a_refusal_and_a_reset_in_the_middle_of_an_upload(server, tmp_path):
    """Whether the answer is read before the connection is seen to be gone is a matter of luck; both are safe."""
    server.script = [page(413, early=True, lost="after")]
    done = ask(server, tmp_path, clip={"size": 40 * MB})
    assert (done.verdict, done.reason) in {("cannot", "too_large"), ("again", "network")}, done.words
    assert not done.said("sending") and not server.posts


def test_an_error_page_in_the_middle_of_an_upload(server, tmp_path):
    server.script = [page(502, early=True)]
    done = ask(server, tmp_path, clip={"size": 40 * MB})
    assert (done.verdict, done.reason) == ("again", "unavailable"), done.words
    assert not done.said("sending")


def test_nobody_there(server, tmp_path):
    done = ask(server, tmp_path, options={"url": "http://127.0.0.1:9"})
    assert (done.verdict, done.reason, done.scope) == ("again", "network", "instance"), done.words
    assert not done.said("sending")


def test_slow_bytes(server, tmp_path):
    def slow(request):
        answer = server.answer(request)
        answer.chopped = 7
        return answer
    server.script = [slow]
    assert ask(server, tmp_path).verdict == "ok"


@pytest.mark.parametrize("token", ["", "nonsense", "1:a/../x", "1:a b", ":x", "1:"])
def test_a_token_that_is_none(server, tmp_path, token):
    done = ask(server, tmp_path, options={"token": token} if token else {"token": "x"})
    assert (done.verdict, done.reason, server.requests) == ("hold", "auth", []), done.words


def test_a_clip_over_the_limit_is_not_sent(server, tmp_path):
    done = ask(server, tmp_path, clip={"size": 51 * 1000 * 1000})
    assert (done.verdict, done.reason, server.requests) == ("cannot", "too_large", [])


# ---- A group that moved -------------------------------------------------------------------------

MOVED = error(400, "Bad Request: group chat was upgraded to a supergroup chat", migrate_to_chat_id=-1001234567890)


def test_a_group_that_moved_is_followed(server, tmp_path):
    server.script = [MOVED]
    done = ask(server, tmp_path, options={"chat": "-5551"})
    assert (done.verdict, len(server.requests), len(server.posts)) == ("ok", 2, 1), done.words
    assert [one.fields["chat_id"] for one in server.requests] == [["-5551"], ["-1001234567890"]]
    kept = done.said("remember")[0]
    assert (kept["name"], kept["value"]) == ("moved -5551", "-1001234567890")
    again = ask(server, tmp_path, options={"chat": "-5551"}, folder="again", recalled={"|moved -5551": "-1001234567890"})
    assert again.verdict == "ok" and len(server.requests) == 3


def test_a_group_that_moves_on_and_on_is_followed_once(server, tmp_path):
    server.script = [MOVED, error(400, "Bad Request: group chat was upgraded to a supergroup chat", migrate_to_chat_id=-10099)]
    done = ask(server, tmp_path, options={"chat": "-5551"})
    assert (done.verdict, done.reason, len(server.requests)) == ("hold", "operator", 2), done.words


@pytest.mark.parametrize("answer", [
    Answer({"ok": False, "description": "moved", "parameters": {"migrate_to_chat_id": -10099}}),
    error(500, "Internal Server Error", migrate_to_chat_id=-10099)])
def test_a_group_that_moves_in_doubt_is_not_followed(server, tmp_path, answer):
    server.script = [answer]
    done = ask(server, tmp_path)
    assert (done.verdict, len(server.requests)) == ("unsure", 1), done.words


# ---- remove and check ---------------------------------------------------------------------------

def test_remove(server, tmp_path):
    done = ask(server, tmp_path)
    for _ in range(2):  # what is gone already is gone
        assert ask(server, tmp_path, "remove", post_id=done.done["post_id"]).verdict == "ok"
    assert (server.posts, server.deleted) == ([], [42])
    assert server.requests[1].json == {"chat_id": -1001234567890, "message_id": 42}


@pytest.mark.parametrize("answer, post, verdict", [
    (error(400, "Bad Request: message can't be deleted"), "-100/1", "hold"), (error(403, "Forbidden: x"), "-100/1", "hold"),
    (error(500, "Internal Server Error"), "-100/1", "again"), (page(502), "-100/1", "again"), (Answer(lost="after"), "-100/1", "again"),
    (None, "", "cannot"), (None, "42", "cannot"), (None, "a/b", "cannot"), (None, "-100/1x", "cannot")])
def test_remove_that_fails(server, tmp_path, answer, post, verdict):
    server.script = [answer] if answer else []
    assert ask(server, tmp_path, "remove", post_id=post).verdict == verdict
    assert answer or not server.requests


def test_check(server, tmp_path):
    done = ask(server, tmp_path, "check")
    assert done.verdict == "ok", done.words
    assert [server.method_of(one)[1] for one in server.requests] == ["getMe", "getChat", "getChatMember"]
    assert not done.said("sending")


@pytest.mark.parametrize("kind, member, verdict", [
    ("channel", {"status": "administrator", "can_post_messages": False}, "hold"), ("channel", {"status": "member"}, "hold"),
    ("channel", {"status": "left"}, "hold"), ("channel", {"status": "creator"}, "ok"), ("supergroup", {"status": "member"}, "ok"),
    ("supergroup", {"status": "restricted", "can_send_videos": False}, "hold"),
    ("supergroup", {"status": "restricted", "can_send_videos": True}, "ok"), ("group", {"status": "kicked"}, "hold")])
def test_check_of_rights(tmp_path, kind, member, verdict):
    with Server(kind=kind) as server:
        server.member = member
        done = ask(server, tmp_path, "check")
        assert done.verdict == verdict, done.words
        assert verdict == "ok" or "administrator" in done.words


def test_check_of_a_chat_of_ones_own(tmp_path):
    with Server("", 77, "private") as server:
        assert ask(server, tmp_path, "check", options={"chat": "77"}).verdict == "ok"
        assert len(server.requests) == 2


@pytest.mark.parametrize("options, reason, words", [
    ({"token": "1:wrong"}, "auth", "`token`"), ({"chat": "@other"}, "operator", "`chat`")])
def test_check_names_the_first_problem(server, tmp_path, options, reason, words):
    done = ask(server, tmp_path, "check", options=options)
    assert (done.verdict, done.reason) == ("hold", reason) and words in done.words


# ---- The contract -------------------------------------------------------------------------------

#: What each documented example means, after a clip that went out whole.
EXAMPLES = {200: ("ok", ""), 400: ("hold", "operator"), 401: ("hold", "auth"), 403: ("hold", "auth"), 404: ("hold", "auth"),
            409: ("hold", "operator"), 413: ("cannot", "too_large"), 429: ("again", "rate"), 500: ("unsure", "unavailable"),
            502: ("unsure", "unavailable")}


def documented(method):
    """status: the example of the answer."""
    path = CONTRACTS / "telegram.openapi.json"
    if not path.exists():
        pytest.skip("CLIPMAKER_TEST_CONTRACTS does not name a folder with telegram.openapi.json")
    answers = json.loads(path.read_text(encoding="utf-8"))["paths"][f"/bot{{token}}/{method}"]["post"]["responses"]
    return {int(status): answer["content"]["application/json"].get("example") for status, answer in answers.items()}


def test_every_documented_answer(server, tmp_path):
    seen = {}
    for status, example in documented("sendVideo").items():
        server.script = [Answer(example, status)]
        done = ask(server, tmp_path, folder=str(status))
        seen[status] = (done.verdict, done.reason)
        assert done.delay_ms == example.get("parameters", {}).get("retry_after", 0) * 1000
    assert seen == EXAMPLES


def test_requests_and_answers_are_of_the_contract(contracts, server, tmp_path):
    with contracts("telegram").before(server.url) as url:
        here = {"url": url, "timeout": "60s"}  # the proxy reads the whole contract first
        assert ask(server, tmp_path, options={**here, "disable_notification": "yes", "protect_content": "yes"}).verdict == "ok"
        assert ask(server, tmp_path, options={**here, "chat": "-1001234567890", "title": "no"}).verdict == "ok"
        assert ask(server, tmp_path, "check", options=here).verdict == "ok"
        assert ask(server, tmp_path, "remove", options=here, post_id="-1001234567890/42").verdict == "ok"
        server.script = [error(429, "Too Many Requests: retry after 3", retry_after=3)]
        assert ask(server, tmp_path, options=here).verdict == "again"
        assert ask(server, tmp_path, "check", options={**here, "chat": "@other"}).verdict == "hold"
    assert len(server.requests) == 9
