"""publish_vk under a daemon: what becomes of posts when answers are lost, and when worker or daemon are killed at every
phase of every request. Nobody is asked what was posted: the wall settles each doubt.

CLIPMAKER_TEST_POSTS says how many posts the killing goes over. With 200, and a VK whose keys say nothing: 213 kills, every kind of
request at every phase with worker, daemon and both (31 of them while posting after its bytes began to come, 52 looks at the wall);
nothing doubled, nothing lost, no video left behind; 73 s.
"""
import collections
import time

import pytest

from killer import POSTS, Killer, tend
from vk_server import TOKEN, Answer, Server, error, page

pytestmark = pytest.mark.plain  # the plugin by itself is what test_77_vk.py goes through, with sanitizers, too


@pytest.fixture
def server():
    with Server() as one:
        yield one


@pytest.fixture
def vk(daemons, server, tmp_path):
    """Makes a daemon whose only target is the community; two clips a job, and each of them a post."""
    (tmp_path / "token").write_text(TOKEN + "\n")

    def made(clip_size="200000", options=None, **settings):
        daemon = daemons(publish='"vk"', **settings)
        daemon.instance("vk", "publish_vk", **{"url": server.url, "token": f"file:{tmp_path}/token", "group": 5,
                                               "timeout": "10s", "limit": 1, "calls": "1000/s", "account": "user", "settle": "200ms",
                                               **(options or {})})
        daemon.instance("render1", "fake_render", limit=4, clip_size=clip_size)
        daemon.write_config()
        return daemon
    return made


def name_of(server, post):
    """(JOB, ITEM) of the clip that the post shows, as fake_render wrote them at its beginning."""
    return tuple(server.videos[post["video"]]["bytes"].split(b"\n", 1)[0].decode().split(" "))


def judge(daemon, server, jobs):
    """Every clip is on the wall once, the ledger says where, and no other video was left behind in sight."""
    posts = {name_of(server, post): post for post in server.posts()}
    assert len(posts) == len(server.posts()) == 2 * len(jobs)
    for job in jobs:
        shown = daemon.show(job)
        assert shown["job"]["state"] == "succeeded", shown["job"]
        assert len(shown["effects"]) == 2
        for effect in shown["effects"]:
            item = effect["item"].rsplit("/", 1)[0].replace("/", "+").replace(":", "x")
            assert effect["state"] == "confirmed", effect
            assert effect["url"] == f"https://vk.com/wall-5_{posts[job, item]['number']}", effect
    on_wall = {post["video"] for post in server.posts()}
    assert on_wall == {number for number, video in server.videos.items() if video["bytes"] is not None}


# ---- One thing at a time ------------------------------------------------------------------------


def ends_well(daemon, server, seconds=40):
    job = daemon.submit()
    assert daemon.ended(job, seconds=seconds)["state"] == "succeeded"
    judge(daemon, server, [job])
    return job


def test_clips_are_posted(vk, server):
    ends_well(vk().start(), server)


def burnt(daemon, job):
    return sum(task["tries"] for task in daemon.tasks(job, "post"))


@pytest.mark.parametrize("code, options, at_least", [(6, {}, 1), (9, {"flood_rest": "1s"}, 1)])
def test_the_account_rests_and_nothing_is_burnt(vk, server, code, options, at_least):
    server.script = [error(code)]
    daemon, begun = vk(options=options).start(), time.monotonic()
    job = ends_well(daemon, server)
    assert time.monotonic() - begun > at_least
    first, second = server.requests[0], server.requests[1]
    assert second.begun - first.begun >= at_least  # nobody else of the account asked meanwhile
    assert burnt(daemon, job) <= 2, daemon.tasks(job, "post")


def test_work_on_the_video_keeps_no_slot(vk, server):
    """The other clip is posted while VK works on the first one's video."""
    server.busy = 1
    daemon = vk().start()
    job = ends_well(daemon, server)
    looks = [server.given(one)["videos"] for one in server.asked("video.get")]
    assert looks[0] != looks[1] and sorted(looks[:2]) == sorted(looks[2:])
    assert burnt(daemon, job) <= 2


def test_three_calls_in_any_second(vk, server):
    daemon = vk(options={"calls": "3/s"}, warm_attempts=1).start()  # each attempt in a process of its own
    ends_well(daemon, server)
    times = sorted(one.begun for one in server.requests if server.method_of(one))
    assert len(times) == 6
    assert all(later - first > 1 for first, later in zip(times, times[3:])), times


@pytest.mark.parametrize("answer", [
    Answer(lost="after"), error(1), error(10), page(500), page(502), Answer("{"), Answer({"response": {}})],
    ids=["lost", "1", "10", "500", "502", "garbage", "no number"])
@pytest.mark.parametrize("live", [True, False], ids=["live", "absent"])
def test_a_doubt_is_settled_by_vk(vk, server, answer, live):
    def doubtful(request):
        if live:
            server.answer(request)
        return answer
    server.script = [server.answer] * 3 + [doubtful]
    ends_well(vk(backoff_base="50ms").start(), server)


@pytest.mark.parametrize("code, words", [(14, "captcha.php?sid=1"), (17, "redirect"), (5, "`token`"), (15, "editor")])
def test_a_person_is_told_what_to_do(vk, server, code, words):
    more = {"captcha_img": "https://api.vk.com/captcha.php?sid=1"} if code == 14 else {"redirect_uri": "https://m.vk.com/redirect"}
    server.script = [error(code, **more)]
    daemon = vk().start()
    job = daemon.submit()
    held = daemon.wait(lambda: [task for task in daemon.tasks(job, "post") if task["state"] == "held"], "a held post")
    assert words in held[0]["words"] and held[0]["held_by"] in ("operator", "auth"), held
    for task in held:
        daemon.ask("retry", job=job, step="post", item=task["item"])
    assert daemon.ended(job, seconds=40)["state"] == "succeeded"
    judge(daemon, server, [job])


def test_the_token_is_nowhere(vk, server):
    server.script = [error(5, f"User authorization failed: {TOKEN}"), error(100)]
    daemon = vk().start()
    job = daemon.submit()
    daemon.wait(lambda: len([task for task in daemon.tasks(job, "post") if task["state"] in ("held", "failed")]) == 2,
                "the end of both posts", 40)
    assert TOKEN.encode() not in daemon.process_texts()
    assert TOKEN not in str(daemon.show(job)) + daemon.ask("why", job=job)["words"]
    assert daemon.stop() == 0
    for path in daemon.root.rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes(), path


# ---- Killed at every phase ----------------------------------------------------------------------


def release(daemon, job, held):
    """Whose worker was killed three times is held by that name, until a person has looked."""
    for task in daemon.tasks(job, "post"):
        if task["state"] == "held":
            assert task["held_by"] == "plugin", task
            held[job, task["item"]] += 1
            daemon.ask("retry", job=job, step="post", item=task["item"])


def test_killed_at_every_phase_nothing_is_doubled_or_lost(vk, server):
    """Though the keys say nothing to this VK, and its wall is late: what the wall shows in the end is enough."""
    server.forgetful, server.lag = True, 0.3
    daemon = vk("1MB", {"settle": "1s"}, backoff_base="10ms", backoff_max="50ms").start()
    jobs = [daemon.submit() for _ in range(POSTS // 2)]
    killer, held, begun = Killer(daemon, every=5), collections.Counter(), time.monotonic()
    server.watch = killer
    tend(daemon, jobs, 60 + POSTS * 2, lambda job: release(daemon, job, held))
    server.watch = None
    daemon.wait(lambda: daemon.process.poll() is None or daemon.start(), "a daemon that lives")
    judge(daemon, server, jobs)
    kills, asked = sum(killer.kills.values()), collections.Counter(server.method_of(one) for one in server.requests if one)
    print(f"{POSTS} posts, {kills} kills, {len(held)} held, {time.monotonic() - begun:.0f} s, {dict(killer.kills)}, {dict(killer.kinds)}, {dict(asked)}")
    assert kills >= POSTS // 2
    assert {kind.rsplit("/", 1)[1] or "upload" for kind, _ in killer.kinds} >= {"video.save", "upload", "video.get", "wall.post"}
