"""publish_telegram under a daemon: what becomes of posts when answers are lost, and when worker or daemon are killed at
every phase of a publish. Telegram has no key and no search, so each doubt is settled by a person: by this test.

CLIPMAKER_TEST_POSTS says how many posts the killing goes over. With 200: 126 kills, all 15 pairs of phase and victim, 62
doubts held by name (all were live), none of them from the 54 kills amid an upload; nothing doubled, nothing lost; 58 s.
"""
import collections
import threading
import time

import pytest

from killer import LATE, POSTS, Killer, tend
from telegram_server import TOKEN, Answer, Server, error, page

pytestmark = pytest.mark.plain  # the plugin by itself is what test_77_telegram.py goes through, with sanitizers, too
LONG = "8MB"  # more than what fits between a client and a server that does not read


@pytest.fixture
def server():
    with Server() as one:
        yield one


@pytest.fixture
def telegram(daemons, server, tmp_path):
    """Makes a daemon whose only target is the channel; two clips a job, and each of them a post."""
    (tmp_path / "token").write_text(TOKEN + "\n")

    def made(clip_size="200000", **settings):
        daemon = daemons(publish='"channel"', **settings)
        daemon.instance("channel", "publish_telegram", url=server.url, token=f"file:{tmp_path}/token", chat="@chan",
                        timeout="10s", limit=1)
        daemon.instance("render1", "fake_render", limit=4, clip_size=clip_size)
        daemon.write_config()
        return daemon
    return made


def effects(daemon, job):
    return {effect["item"]: effect for effect in daemon.show(job)["effects"]}


def name_of(post):
    """(JOB, ITEM) of the clip, as fake_render wrote them at its beginning: as in the name of a folder."""
    return tuple(post["video"].split(b"\n", 1)[0].decode().split(" "))


def posts_of(server):
    return collections.Counter(name_of(post) for post in server.posts)


def address_of(server, effect):
    """Where that effect's post is; None: nowhere."""
    item = effect["item"].rsplit("/", 1)[0].replace("/", "+").replace(":", "x")
    found = [post for post in server.posts if name_of(post) == (effect["job"], item)]
    assert len(found) <= 1, found
    return f"https://t.me/chan/{found[0]['message_id']}" if found else None


def judge(daemon, server, jobs):
    """Every clip is out once, and the ledger says so, with the right address."""
    posts = posts_of(server)
    confirmed = 0
    for job in jobs:
        shown = daemon.show(job)
        assert shown["job"]["state"] == "succeeded", shown["job"]
        for effect in shown["effects"]:
            assert effect["state"] == "confirmed" and effect["url"] == address_of(server, {**effect, "job": job}), effect
            confirmed += 1
    assert len(posts) == confirmed == 2 * len(jobs)
    assert set(posts.values()) == {1}, [name for name, count in posts.items() if count > 1]


def held(daemon, job):
    return [task for task in daemon.tasks(job, "post") if task["state"] == "held"]


# ---- One thing at a time ------------------------------------------------------------------------

def test_clips_are_posted(telegram, server):
    daemon = telegram().start()
    job = daemon.submit()
    assert daemon.ended(job)["state"] == "succeeded"
    judge(daemon, server, [job])
    given = server.posts[0]["given"]
    assert given["thumbnail"][2] == b"a small picture" and int(given["duration"]) > 0 and given["width"] == "1080"


def test_a_rate_limit_is_waited_for_and_burns_nothing(telegram, server):
    server.script = [error(429, "Too Many Requests: retry after 1", retry_after=1)] * 2
    daemon = telegram().start()
    job, begun = daemon.submit(), time.monotonic()
    assert daemon.ended(job)["state"] == "succeeded"
    assert time.monotonic() - begun > 2
    judge(daemon, server, [job])
    times = [request.begun for request in server.requests if request]
    assert all(later - earlier > 0.99 for earlier, later in zip(times[:2], times[1:]))


@pytest.mark.parametrize("answer", [Answer(lost="before"), Answer(lost="during"), page(502, early=True)])
def test_an_upload_that_breaks_is_done_again(telegram, server, answer):
    server.script = [answer]
    daemon = telegram(LONG).start()
    job = daemon.submit()
    assert daemon.ended(job)["state"] == "succeeded"
    judge(daemon, server, [job])


@pytest.mark.parametrize("answer, live", [
    (Answer(lost="after"), True), (Answer(lost="after"), False), (error(500, "Internal Server Error"), True), (page(502), False),
    (Answer("{"), True)], ids=["lost, live", "lost, absent", "500, live", "502, absent", "garbage, live"])
def test_a_doubt_is_held_until_somebody_looks(telegram, server, answer, live):
    def doubtful(request):
        if live:
            server.answer(request)
        return answer
    server.script = [doubtful]
    daemon = telegram().start()
    job = daemon.submit()
    daemon.wait_state(job, "held")
    daemon.wait(lambda: len(server.requests) == 2, "the other clip's post")
    task = daemon.wait(lambda: held(daemon, job), "the doubt by name")[0]
    assert task["held_by"] == "unconfirmed", task
    effect = effects(daemon, job)[task["item"]]
    assert effect["state"] == "unconfirmed" and TOKEN not in str(daemon.show(job))
    address = address_of(server, {**effect, "job": job})
    assert (address is not None) == live
    done = daemon.run("resolve", "--state", str(daemon.state), effect["key"],
                      *(["--live", address] if address else ["--absent"]))
    assert done.returncode == 0, done.stderr
    assert daemon.ended(job)["state"] == "succeeded"
    judge(daemon, server, [job])


def ops(daemon, job, item):
    return [one["op"] for one in sorted(daemon.show(job)["attempts"], key=lambda one: one["fence"])
            if (one["step"], one["item"]) == ("post", item)]


@pytest.mark.parametrize("limit, refusals", [({"max_clip": "1MB"}, 0), ({}, 1)], ids=["said by the config", "said by Telegram"])
def test_a_clip_that_is_too_large_is_made_smaller(telegram, server, limit, refusals):
    server.script = [page(413, early=True)] * refusals
    daemon = telegram(LONG)
    daemon.instances["channel"][1].update(limit)
    daemon.write_config()
    daemon.start()
    job = daemon.submit(params={"clips": 1})
    assert daemon.ended(job)["state"] == "succeeded", daemon.job(job)
    assert ops(daemon, job, "01/9:16/channel") == ["publish"] * refusals + ["fit", "publish"]
    assert len(server.posts) == 1 and [one["state"] for one in effects(daemon, job).values()] == ["confirmed"]
    assert server.posts[0]["size"] <= (1 << 20 if limit else 0.91 * 8 * (1 << 20))


def test_no_rights_holds_until_the_bot_has_them(telegram, server):
    server.script = [error(400, "Bad Request: need administrator rights in the channel chat")] * 2
    daemon = telegram().start()
    job = daemon.submit()
    daemon.wait_state(job, "held")
    daemon.wait(lambda: len(held(daemon, job)) == 2, "both posts held")
    for task in held(daemon, job):
        assert task["held_by"] == "auth" and "administrator" in task["words"], task
        daemon.ask("retry", job=job, step="post", item=task["item"])
    assert daemon.ended(job)["state"] == "succeeded"
    judge(daemon, server, [job])


class Gate:
    """Stops the first upload in its middle until it is opened."""

    def __init__(self, server):
        self.reached, self.opened = threading.Event(), threading.Event()
        server.watch = self

    def __call__(self, phase, _):
        if phase == "part" and not self.reached.is_set():
            self.reached.set()
            self.opened.wait(20)


def test_a_cancel_in_the_middle_of_an_upload_leaves_nothing(telegram, server):
    gate, daemon = Gate(server), telegram(LONG).start()
    job = daemon.submit()
    assert gate.reached.wait(20)
    daemon.ask("cancel", job=job)
    assert daemon.ended(job)["state"] == "cancelled"
    gate.opened.set()
    daemon.wait(daemon.is_idle, "the end of the upload")
    assert not server.posts and not any(one["state"] == "confirmed" for one in effects(daemon, job).values())


def test_a_stop_in_the_middle_of_an_upload_is_no_doubt(telegram, server):
    gate, daemon = Gate(server), telegram(LONG).start()
    job = daemon.submit()
    assert gate.reached.wait(20)
    assert daemon.stop() == 0
    gate.opened.set()
    assert not server.posts
    daemon.start()
    assert daemon.ended(job)["state"] == "succeeded"
    judge(daemon, server, [job])


def test_a_target_is_checked_without_posting(telegram, server):
    daemon = telegram().start()
    check = ("targets", "--check", "channel", "--state", str(daemon.state))
    done = daemon.run(*check)
    assert (done.returncode, done.stdout) == (0, "channel works\n"), done.stderr
    server.member = {"status": "administrator", "can_post_messages": False}
    done = daemon.run(*check)
    assert done.returncode != 0 and "@chan: make it an administrator" in done.stderr
    server.script = [error(401, f"Unauthorized: {TOKEN}")]
    done = daemon.run(*check)
    assert done.returncode != 0 and "`token`" in done.stderr and TOKEN not in done.stderr + done.stdout
    assert not server.posts


def test_a_group_that_moved_is_remembered(telegram, server, tmp_path):
    daemon = telegram()
    server.script = [error(400, "Bad Request: group chat was upgraded to a supergroup chat",
                           migrate_to_chat_id=server.chat["id"])]
    daemon.instances["channel"][1]["chat"] = "-5551"
    daemon.write_config()
    daemon.start()
    job = daemon.submit()
    assert daemon.ended(job)["state"] == "succeeded"
    judge(daemon, server, [job])
    daemon.kill()
    daemon.start()
    second = daemon.submit()
    assert daemon.ended(second)["state"] == "succeeded"
    assert [request.fields["chat_id"][0] for request in server.requests] == ["-5551"] + [str(server.chat["id"])] * 4


def test_the_token_is_nowhere(telegram, server, tmp_path):
    server.script = [error(401, f"Unauthorized: {TOKEN}"), Answer(lost="after")]
    daemon = telegram().start()
    job = daemon.submit()
    daemon.wait(lambda: len(held(daemon, job)) == 2, "both posts held")
    assert TOKEN.encode() not in daemon.process_texts()
    assert TOKEN not in str(daemon.show(job)) + daemon.ask("why", job=job)["words"]
    assert daemon.stop() == 0
    assert TOKEN not in daemon.log_text() and "***" in daemon.log_text()
    for path in daemon.root.rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes(), path


# ---- Killed at every phase ----------------------------------------------------------------------

def settle(daemon, server, job, doubts):
    """Whoever is held as unconfirmed is looked for on the platform, as a person would."""
    for task in held(daemon, job):
        assert task["held_by"] == "unconfirmed", task
        effect = effects(daemon, job)[task["item"]]
        daemon.wait(lambda: server.at_work == 0, "the end of what the platform is at")  # or "absent" would be too early
        address = address_of(server, {**effect, "job": job})
        doubts[effect["key"], effect["fence"]] = "live" if address else "absent"
        daemon.ask("resolve", effect=effect["key"], **({"url": address} if address else {}))


def test_killed_at_every_phase_nothing_is_doubled_or_lost(telegram, server):
    daemon = telegram(LONG, backoff_base="10ms", backoff_max="50ms").start()
    jobs = [daemon.submit() for _ in range(POSTS // 2)]
    killer, doubts, begun = Killer(daemon), {}, time.monotonic()
    server.watch = killer
    tend(daemon, jobs, 60 + POSTS * 2, lambda job: settle(daemon, server, job, doubts))
    server.watch = None
    daemon.wait(lambda: daemon.process.poll() is None or daemon.start(), "a daemon that lives")
    judge(daemon, server, jobs)
    kills, late = sum(killer.kills.values()), sum(killer.kills[plan] for plan in killer.kills if plan[0] in LATE)
    print(f"{POSTS} posts, {kills} kills, doubts: {dict(collections.Counter(doubts.values()))}, {time.monotonic() - begun:.0f} s, {dict(killer.kills)}")
    assert kills >= POSTS // 2
    assert len(doubts) <= late  # whoever dies in the middle of an upload leaves no doubt
