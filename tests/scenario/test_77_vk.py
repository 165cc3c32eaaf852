"""publish_vk against a scripted VK: what is asked, what each answer means, one attempt after the other."""
import json
import time

import pytest

from calls import call
from vk_server import TOKEN, Answer, Server, error, page, yes

MB = 1 << 20


@pytest.fixture
def server():
    with Server() as one:
        yield one


# ---- One task, attempt by attempt -------------------------------------------------------------------------------


def clip_in(folder, size=1000, title="A confession", text="Nobody tells you this. & 100 % + more\n\n#money"):
    folder.mkdir(exist_ok=True)
    with open(folder / "clip.mp4", "wb") as clip:
        clip.truncate(size)
    facts = {"name": "01-a-confession", "title": title, "text": text, "duration_ms": 30400, "width": 1080, "height": 1920}
    return [{"role": "clip", "key": "01", "path": str(folder / "clip.mp4"), "bytes": size, "facts": facts}]


class Task:
    """Attempts at one post; what one saves, the next reads."""

    def __init__(self, server, tmp_path, clip=None, **options):
        self.folder, self.saved, self.attempts = tmp_path, {}, 0
        self.options = {"url": server.url, "token": TOKEN, "group": "5", "calls": "1000/s", "timeout": "30s", **options}
        self.inputs = clip_in(tmp_path / "inputs", **(clip or {}))

    def ask(self, operation="publish", **more):
        self.attempts += 1
        done = call(self.folder / f"attempt{self.attempts}", "publish_vk", "publish", operation, self.options,
                    inputs=self.inputs, effect_key="k1", secrets=["token"], saved=dict(self.saved), **more)
        for one in done.said("save"):
            self.saved[one["name"]] = one["value"]
        assert TOKEN not in json.dumps(done.messages) + done.log
        return done


def ends(task, verdict, reason=""):
    done = task.ask()
    assert (done.verdict, done.reason) == (verdict, reason), done.words
    return done


@pytest.fixture
def task(server, tmp_path):
    return Task(server, tmp_path)


def test_a_post(server, task):
    done = ends(task, "ok")
    assert done.done["post_id"] == "-5_42/-5_456239017" and done.done["url"] == "https://vk.com/wall-5_42"
    assert [server.method_of(one) for one in server.requests] == ["video.save", "", "video.get", "wall.post"]
    assert len(done.said("sending")) == 1
    given = server.given(server.asked("wall.post")[0])
    assert given["message"] == "Nobody tells you this. & 100 % + more\n\n#money" and given["guid"] == "k1"
    assert given["attachments"] == "video-5_456239017_494cb27d4cde22a64d" and given["owner_id"] == "-5"
    assert all(TOKEN not in one.path and one.headers["Content-Type"] for one in server.requests)


def test_on_ones_own_wall(tmp_path):
    with Server(group=0) as server:
        done = ends(Task(server, tmp_path, group="0", private="yes", close_comments="yes", mark_as_ads="yes"), "ok")
        assert done.done["url"] == "https://vk.com/wall77_42"
        saved, posted = (server.given(server.asked(method)[0]) for method in ("video.save", "wall.post"))
        assert saved["is_private"] == "1" and "group_id" not in saved and "owner_id" not in posted
        assert posted["close_comments"] == posted["mark_as_ads"] == "1"


def test_long_texts_are_cut_at_a_word(server, tmp_path):
    title, text = "Заработать легко, сохранить трудно. " * 9, "слово " * 2000
    ends(Task(server, tmp_path, {"title": title, "text": text}), "ok")
    given = server.given(server.asked("video.save")[0])
    for name, whole, most in (("name", title, 128), ("description", text, 5000)):
        assert most - 20 < len(given[name]) <= most and given[name].endswith("…")
        assert whole.startswith(given[name][:-1]) and whole[len(given[name]) - 1] == " "


def test_work_on_the_video_is_waited_for(tmp_path):
    """Right after the upload there may be no such video at all. No slot waits, and the upload is not made again."""
    with Server(busy=2, unseen=1) as server:
        task = Task(server, tmp_path)
        for _ in range(3):
            done = ends(task, "again", "processing")
            assert 5000 <= done.delay_ms <= 60000 and not done.said("sending")
        ends(task, "ok")
        assert len(server.uploads()) == len(server.posts()) == 1


def test_longer_waits_are_asked_about_less_often(server, task):
    server.busy = 100
    ends(task, "again", "processing")
    for waited_ms, delay_ms in ((3000, 5000), (20000, 20000), (300000, 60000)):
        task.saved["uploaded"] = str(int(time.time() * 1000) - waited_ms)
        assert delay_ms <= ends(task, "again", "processing").delay_ms <= delay_ms + 2000
    task.saved["uploaded"] = str(int(time.time() * 1000) - 31 * 60000)
    assert "look at it there" in ends(task, "hold", "operator").words


def test_a_video_that_vk_lost(server, task):
    """Half an hour later there is still no such video: nothing of it stays, and a retry brings it once more."""
    server.unseen = 2
    ends(task, "again", "processing")
    task.saved["uploaded"] = str(int(time.time() * 1000) - 31 * 60000)
    assert "retry" in ends(task, "hold", "operator").words and not server.videos
    server.unseen = 0
    ends(task, "ok")
    assert len(server.posts()) == 1 and len(server.uploads()) == 2


def test_calls_keep_their_distance(server, tmp_path):
    """Also from one process to the next: three in any second, by VK's clock."""
    task = Task(server, tmp_path, calls="3/s")
    ends(task, "ok")
    task.saved.clear()
    ends(task, "ok")
    times = sorted(one.begun for one in server.requests if server.method_of(one))
    assert len(times) == 6
    assert all(later - first > 1 for first, later in zip(times, times[3:]))


# ---- Errors ---------------------------------------------------------------------------------------------------

CODES = {
    **dict.fromkeys((1, 10, 22, 32, 36, 43, 105), ("again", "unavailable", "item")),
    **dict.fromkeys((6, 9, 29), ("again", "rate", "account")),
    **dict.fromkeys((103, 219, 224), ("hold", "quota", "item")),
    **dict.fromkeys((4, 5, 27, 28, 3609), ("hold", "auth", "account")),
    **dict.fromkeys((14, 17, 24, 25, 3300, 3301, 3302, 3303, 3304), ("hold", "operator", "account")),
    **dict.fromkeys((7, 15, 20, 21, 23, 200, 203, 204, 214, 600), ("hold", "auth", "instance")),
    **dict.fromkeys((18, 37, 3610), ("hold", "auth", "account")),
    **dict.fromkeys((19, 222), ("cannot", "content", "item")),
    **dict.fromkeys((34, 35), ("hold", "operator", "instance")),
    **dict.fromkeys((3, 8, 100, 113, 125, 99999), ("cannot", "input", "item")),
}

#: The request that posts was answered, and nobody knows whether it did.
DOUBTFUL = (1, 10, 36)

WORDS = {5: "`token`", 14: "captcha.php?sid=1", 17: "redirect", 15: "editor", 9: "rests", 35: "`v`", 219: "tomorrow"}


@pytest.mark.parametrize("code", CODES)
def test_codes(server, task, code):
    server.script = [error(code, "words", captcha_sid="1", captcha_img="https://api.vk.com/captcha.php?sid=1")
                     if code == 14 else error(code, "words", redirect_uri="https://m.vk.com/redirect")]
    done = task.ask()
    assert (done.verdict, done.reason, done.scope) == CODES[code], done.words
    assert str(code) in done.words and WORDS.get(code, "") in done.words
    assert not done.said("sending")
    delays = {6: (1000, 2000), 9: (3600000, 3600000), 29: (4 * 3600000,) * 2}
    low, high = delays.get(code, (0, 0))
    assert low <= done.delay_ms <= high


@pytest.mark.parametrize("code", CODES)
def test_codes_of_the_request_that_posts(server, task, code):
    server.script = [server.answer] * 3 + [error(code)]
    done = task.ask()
    assert done.said("sending")
    if code in DOUBTFUL:
        assert done.verdict == "unsure"
    else:
        assert (done.verdict, done.reason, done.scope) == CODES[code], done.words


#: Answers that are none of VK's API: verdict and reason before a post, and of the request that posts.
STRANGE = {
    "500": (page(500), ("again", "unavailable"), "unsure"), "502": (page(502), ("again", "unavailable"), "unsure"),
    "429": (page(429), ("again", "rate"), "again"), "404": (page(404), ("hold", "operator"), "hold"),
    "a page": (page(200), ("again", "unavailable"), "unsure"), "nothing": (Answer(""), ("again", "unavailable"), "unsure"),
    "no object": (Answer("[]"), ("again", "unavailable"), "unsure"), "cut": (Answer('{"respon'), ("again", "unavailable"), "unsure"),
    "lost after": (Answer(lost="after"), ("again", "network"), "unsure"),
    "lost inside": (Answer({"response": {}}, lost="inside"), ("again", "network"), "unsure"),
    "a yes that says nothing": (yes({}), ("again", "malformed"), "unsure"),
}


@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize("posts", [False, True], ids=["before", "posting"])
def test_strange_answers(server, task, name, posts):
    answer, before, posting = STRANGE[name]
    server.script = ([server.answer] * 3 if posts else []) + [answer]
    done = task.ask()
    assert done.verdict == (posting if posts else before[0]), done.words
    assert posts or done.reason == before[1]


def test_slow_bytes(server, task):
    def slow(request):
        answer = server.answer(request)
        answer.chopped = 5
        return answer
    server.script = [slow] * 4
    ends(task, "ok")


def test_nobody_there(tmp_path, server):
    done = Task(server, tmp_path, url="http://127.0.0.1:9/method").ask()
    assert (done.verdict, done.reason, done.scope) == ("again", "network", "instance")


# ---- The upload -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [
    Answer(lost="before"), Answer(lost="during"), Answer({"error": "bad", "error_code": 22, "error_descr": "upload failed"}, 200),
    Answer({"error": "x"}, 400), page(403)], ids=["before", "during", "descr", "error", "page"])
def test_an_upload_that_fails_is_made_anew(tmp_path, answer):
    """The place of the first is given back, and nobody ever sees it."""
    with Server() as server:
        task = Task(server, tmp_path, {"size": 24 * MB if answer.lost else 1000})
        server.script = [server.answer, answer]
        done = task.ask()
        assert done.verdict == "again", done.words
        ends(task, "ok")
        assert list(server.videos) == [456239018] and len(server.posts()) == 1


@pytest.mark.parametrize("came", [True, False], ids=["came", "did not come"])
@pytest.mark.parametrize("answer", [Answer(lost="after"), page(502)], ids=["lost", "502"])
def test_an_upload_in_doubt_is_asked_about(server, task, came, answer):
    def doubtful(request):
        if came:
            server.answer(request)
        return answer
    server.script = [server.answer, doubtful]
    assert task.ask().verdict == "again"
    ends(task, "ok")
    assert len(server.uploads()) == (1 if came else 2) and len(server.videos) == len(server.posts()) == 1


def test_a_clip_that_is_too_big(server, task):
    server.script = [server.answer, page(413, early=True)]
    ends(task, "cannot", "too_large")


# ---- A post in doubt ------------------------------------------------------------------------------------------


def in_doubt(server, task, posted):
    """The answer to wall.post is lost."""
    def lost(request):
        if posted:
            server.answer(request)
        return Answer(lost="after")
    server.script = [server.answer] * 3 + [lost]
    ends(task, "unsure", "network")


def test_the_wall_is_asked_first(server, task):
    in_doubt(server, task, True)
    done = ends(task, "ok")
    assert done.done["url"] == "https://vk.com/wall-5_42" and len(server.posts()) == 1
    assert len(server.asked("wall.post")) == len(server.uploads()) == 1


def earlier(task, seconds, *names):
    """As if so much time had gone by."""
    for name in names or ("posting", "keyed", "sent"):
        task.saved[name] = str(int(task.saved[name]) - seconds * 1000)


def test_absent_counts_after_a_while_and_twice(server, task):
    """Whether VK knows the guid is not relied on."""
    in_doubt(server, task, False)
    for ago, low, high in ((30, 80, 91), (100, 20, 31)):
        earlier(task, ago)
        done = ends(task, "again", "processing")
        assert low * 1000 <= done.delay_ms <= high * 1000, done.delay_ms
        assert bool(task.saved.get("absent")) == (ago == 100)
    assert len(server.asked("wall.post")) == 1
    ends(task, "ok")
    assert len(server.posts()) == 1 and len(server.asked("wall.post")) == 2


def test_what_was_absent_once_may_be_there_after_all(server, task):
    in_doubt(server, task, True)
    server.guids.clear()
    earlier(task, 1000)
    server.script = [server.answer, yes({"count": 0, "items": []})]
    ends(task, "again", "processing")
    ends(task, "ok")
    assert len(server.posts()) == 1


def test_a_second_doubt_is_a_doubt_of_its_own(server, task):
    """What the wall did not show before the second request says nothing of that."""
    in_doubt(server, task, False)
    earlier(task, 1000)
    ends(task, "again", "processing")

    def lost(request):
        server.answer(request)
        return Answer(lost="after")
    server.script = [server.answer] * 2 + [lost]
    ends(task, "unsure", "network")
    server.guids.clear()
    server.script = [server.answer, yes({"count": 0, "items": []})]
    assert ends(task, "again", "processing").delay_ms > 60000
    ends(task, "ok")
    assert len(server.posts()) == 1


def test_a_clear_no_leaves_no_doubt(server, task):
    server.script = [server.answer] * 3 + [error(6)]
    ends(task, "again", "rate")
    ends(task, "ok")
    assert not server.asked("wall.get") and len(server.posts()) == 1


@pytest.mark.parametrize("answer, verdict", [
    (error(15), "hold"), (error(10), "again"), (page(502), "again"), (yes({}), "again"), (yes(0), "again"),
    (Answer(lost="after"), "again")], ids=["15", "10", "502", "no list", "0", "lost"])
def test_a_wall_that_says_nothing_is_no_absence(server, task, answer, verdict):
    in_doubt(server, task, True)
    earlier(task, 1000)
    for _ in range(3):
        server.script = [server.answer, answer]
        assert task.ask().verdict == verdict
    server.script = [answer]
    done = task.ask("find")
    assert done.verdict == verdict
    assert len(server.asked("wall.post")) == 1


def crowd(server, count, ago=0):
    for _ in range(count):
        server.put_on_wall(1, "of others")
        server.wall[-1]["date"] -= ago


def test_a_post_far_down_the_wall(server, task):
    in_doubt(server, task, True)
    crowd(server, 250)
    assert task.ask("find").done["found"] == "found"
    assert ends(task, "ok").done["post_id"].startswith("-5_42/")
    assert [server.given(one).get("offset") for one in server.asked("wall.get")] == [None, "100", "200"] * 2


def test_only_as_far_down_as_it_can_be(server, task):
    crowd(server, 300, ago=86400)
    in_doubt(server, task, False)
    assert task.ask("find").done["found"] == "absent"
    assert len(server.asked("wall.get")) == 1


def test_a_wall_that_does_not_reach_back_is_no_absence(server, task):
    in_doubt(server, task, False)
    earlier(task, 1000)
    crowd(server, 1200)
    assert task.ask("find").done["found"] == "unknown"
    done = ends(task, "hold", "operator")
    assert "resolve --live" in done.words and len(server.asked("wall.post")) == 1


# ---- A key that VK is said to know --------------------------------------------------------------------------------


@pytest.fixture
def keyed(server, tmp_path):
    return Task(server, tmp_path, guid_lives="50m")


def test_a_wall_that_is_slow_to_show_it_is_no_second_post(server, keyed):
    """The key is the same, so VK says which post it was."""
    in_doubt(server, keyed, True)
    server.script = [server.answer, yes({"count": 0, "items": []})]
    assert ends(keyed, "ok").done["post_id"].startswith("-5_42/")
    assert len(server.posts()) == 1 and len(server.asked("wall.post")) == 2


def test_a_wall_that_may_not_be_read(server, keyed):
    in_doubt(server, keyed, True)
    server.script = [server.answer, error(15)]
    ends(keyed, "ok")
    assert len(server.posts()) == 1


def test_a_no_leaves_the_doubt_before_it(server, keyed):
    in_doubt(server, keyed, True)
    server.script = [server.answer, yes({"count": 0, "items": []}), error(6)]
    ends(keyed, "again", "rate")
    assert keyed.saved["posting"]
    ends(keyed, "ok")
    assert len(server.posts()) == 1 and len(server.asked("wall.post")) == 2


def test_a_key_lives_from_when_it_was_first_sent(server, keyed):
    """However often it was sent since."""
    in_doubt(server, keyed, True)
    server.guids.clear()
    earlier(keyed, 3000, "keyed")
    server.script = [server.answer, error(15)]
    ends(keyed, "hold", "auth")
    assert len(server.asked("wall.post")) == 1


def test_find(server, task):
    assert task.ask("find").done["found"] == "absent"
    in_doubt(server, task, True)
    done = task.ask("find")
    assert (done.verdict, done.done["found"], done.done["url"]) == ("ok", "found", "https://vk.com/wall-5_42")
    server.wall[0]["is_there"] = False
    assert task.ask("find").done["found"] == "absent"
    server.script = [error(15)]
    assert task.ask("find").verdict == "hold"


# ---- An upload that posts -------------------------------------------------------------------------------------


@pytest.fixture
def posting(server, tmp_path):
    return Task(server, tmp_path, wallpost="yes")


def test_an_upload_that_posts(server, posting):
    done = ends(posting, "ok")
    assert done.done["url"] == "https://vk.com/wall-5_42" and len(done.said("sending")) == 1
    assert not server.asked("wall.post") and len(server.posts()) == 1


def test_an_upload_that_posts_and_whose_wall_is_closed(server, posting):
    server.script = [server.answer] * 2 + [error(15)]
    done = ends(posting, "ok")
    assert done.done["post_id"] == "/-5_456239017" and done.done["url"] == "https://vk.com/video-5_456239017"


def test_an_upload_that_may_have_posted(server, posting):
    def lost(request):
        server.answer(request)
        return Answer(lost="after")
    server.script = [server.answer, lost]
    ends(posting, "unsure", "network")
    server.unseen = 1
    assert "not known yet" in ends(posting, "again", "processing").words
    ends(posting, "ok")
    assert len(server.posts()) == len(server.uploads()) == 1


def test_an_upload_that_did_not_post(server, posting):
    server.script = [server.answer, Answer(lost="after")]
    ends(posting, "unsure", "network")
    ends(posting, "again", "processing")
    posting.saved["sent"] = str(int(time.time() * 1000) - 180000)
    ends(posting, "ok")
    assert len(server.posts()) == 1 and list(server.videos) == [456239018]


def test_an_upload_that_may_post_yet_is_not_made_anew(server, posting):
    """What cannot be removed could still come out."""
    server.script = [server.answer, Answer(lost="after")]
    ends(posting, "unsure", "network")
    posting.saved["sent"] = str(int(time.time() * 1000) - 180000)
    server.script = [server.answer, error(10)]
    ends(posting, "again", "unavailable")
    assert len(server.uploads()) == 1
    ends(posting, "ok")
    assert len(server.posts()) == 1


def test_an_upload_that_breaks_has_not_posted(server, tmp_path):
    task = Task(server, tmp_path, {"size": 24 * MB}, wallpost="yes")
    server.script = [server.answer, Answer(lost="during")]
    assert not task.ask().said("sending")
    ends(task, "ok")
    assert len(server.posts()) == 1


# ---- The token's time, check, stats, remove -------------------------------------------------------------------


@pytest.mark.parametrize("expires, verdict, reason", [
    ("2020-01-01", "hold", "auth"), ("2020-01-01T10:30", "hold", "auth"), ("2999-01-01", "ok", ""), ("", "ok", ""),
    ("tomorrow", "hold", "operator"), ("2999-13-01", "hold", "operator"), ("2999-01-01T25:00", "hold", "operator")])
def test_a_token_that_ends(server, tmp_path, expires, verdict, reason):
    done = ends(Task(server, tmp_path, expires=expires), verdict, reason)
    assert verdict == "ok" or (not server.requests and expires in done.words)


def test_a_token_that_ends_soon_is_warned_about(server, tmp_path):
    soon = time.strftime("%Y-%m-%dT%H:%M", time.gmtime(time.time() + 3600))
    assert soon in ends(Task(server, tmp_path, expires=soon), "ok").log


def test_check(server, task):
    assert task.ask("check").verdict == "ok"
    server.editor_of = [4, 6]
    done = task.ask("check")
    assert (done.verdict, done.reason) == ("hold", "auth") and "editor" in done.words
    server.script = [error(5)]
    assert "`token`" in task.ask("check").words


def test_stats(server, task):
    post = ends(task, "ok").done["post_id"]
    done = task.ask("stats", post_id=post)
    facts = done.artifact(task.folder / f"attempt{task.attempts}", "stats")
    assert {name: facts[name] for name in ("views", "likes", "reposts", "comments")} == \
        {"views": 10, "likes": 3, "reposts": 1, "comments": 2}
    server.videos.clear()
    assert task.ask("stats", post_id=post).reason == "not_found"


def test_remove(server, task):
    post = ends(task, "ok").done["post_id"]
    for _ in range(2):  # what is gone already is gone
        assert task.ask("remove", post_id=post).verdict == "ok"
    assert not server.posts() and not server.videos


@pytest.mark.parametrize("post", ["", "42", "a/b", "-5_42", "-5_42/", "-5_42/x", "-5_42/-5_0", "x/-5_456239017"])
def test_ids_that_are_none(server, task, post):
    for operation in ("stats", "remove"):
        assert task.ask(operation, post_id=post).verdict == "cannot"
    assert not server.requests


# ---- The contract ---------------------------------------------------------------------------------------------


def test_the_contract(contracts, server, tmp_path):
    """Every call of the API, through Prism; wall.get is not in that contract, and uploads are none of it."""
    with contracts("vk").before(server.at) as url:
        task = Task(server, tmp_path, url=url + "/method")
        done = ends(task, "ok")
        assert task.ask("check").verdict == "ok"
        assert task.ask("stats", post_id=done.done["post_id"]).verdict == "ok"
        assert task.ask("remove", post_id=done.done["post_id"]).verdict == "ok"
    assert len(server.requests) == 9


def named_errors(document):
    answers = document["paths"]["/method/wall.post"]["post"]["responses"]["200"]["content"]["application/json"]["examples"]
    for name, example in answers.items():
        if name.startswith("error_"):
            if "$ref" in example:
                example = document["components"]["examples"][example["$ref"].rsplit("/", 1)[1]]
            yield int(name.removeprefix("error_")), example["value"]


def test_every_documented_error(contracts, server, tmp_path):
    document = json.loads(contracts.document("vk").read_text(encoding="utf-8"))
    seen = 0
    for code, example in named_errors(document):
        server.script = [Answer(example)]
        done = Task(server, tmp_path).ask()
        assert (done.verdict, done.reason, done.scope) == CODES[code], (code, done.words)
        seen += 1
    assert seen >= 10
