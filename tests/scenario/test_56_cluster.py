"""Two daemons on one database: a job has one owner, whoever stops, hangs or dies."""
import signal
import time

import pytest

from daemon import Daemon, Refused, send_signal
from postgres import postgres  # noqa: F401 pylint: disable=unused-import

LEASE = 1.0


@pytest.fixture
def pair(tmp_path, postgres):  # noqa: F811
    """Makes two daemons on one database and one state folder; at the end none of their processes is left."""
    made = []

    def new(**settings):
        first = Daemon(tmp_path / "d", store=f'store = "{postgres.database("pair")}"; lease = "{LEASE:g}s";', **settings)
        made.extend([first, first.twin("b")])
        return made[0].start(), made[1].start()

    yield new
    for daemon in made:
        if daemon.process and daemon.process.poll() is None:
            daemon.process.send_signal(signal.SIGCONT)
        daemon.kill()
    until = time.monotonic() + 10
    while made and made[0].processes() and time.monotonic() < until:
        for pid in made[0].processes():
            send_signal(pid, signal.SIGKILL)
        time.sleep(0.05)


def boot(daemon):
    return daemon.ask("status")["boot"]


def children(daemon):
    """The processes of its workers, which die with it only when it dies."""
    path = f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children"
    with open(path, encoding="ascii") as file:
        return [int(pid) for pid in file.read().split()]


def assert_once(one, jobs):
    """Each task accepted once, each post made once."""
    for job in jobs:
        shown = one.show(job)
        good = [(a["step"], a["item"]) for a in shown["attempts"] if a["verdict"] == "ok" and a["op"] != "find"]
        assert len(good) == len(set(good)), good
        assert all(a["verdict"] for a in shown["attempts"]), shown["attempts"]
        assert all(e["state"] == "confirmed" for e in shown["effects"]), shown["effects"]
    posts = one.posts()
    assert all(name.endswith(".1") for name in posts), posts
    keys = {e["key"] for job in jobs for e in one.show(job)["effects"]}
    assert {name[:-2] for name in posts} == keys


def stop(*daemons):
    """All at rest, everything sound and nothing doubled; then they end, and nobody is left."""
    for daemon in daemons:
        daemon.wait(daemon.is_idle, "the end of the last attempt")
    last = daemons[-1]
    last.assert_ledger(last.rows())
    last.assert_folders(last.rows())
    last.wait(lambda: not last.ask("fsck")["found"], "a sound store", 5)
    for daemon in daemons:
        assert daemon.stop() == 0, daemon.log_text()[-3000:]
    last.wait(lambda: not last.processes(), "the end of every process", 5)


def begins_again(daemon, before):
    daemon.wait(lambda: boot(daemon) != before and not daemon.ask("status")["words"], "another boot")


def test_each_works_on_its_own(pair):
    one, two = pair(chunks=2)
    jobs = [daemon.submit() for daemon in (one, two) * 3]
    for job in jobs:
        assert one.ended(job)["state"] == "succeeded"
    assert_once(two, jobs)
    assert {act.pid for act in one.begun(job=jobs[0])}.isdisjoint(act.pid for act in one.begun(job=jobs[1]))
    stop(one, two)


def test_one_stopped_in_the_middle_of_a_publish(pair):
    """SIGSTOP for three lease times, workers and all; then it goes on, as another boot."""
    one, two = pair(chunks=1)
    before = boot(one)
    job = one.submit("publish=linger:400ms,ok", params={"clips": 1})
    other = two.submit()
    one.wait_act("posted", job=job, stage="publish")
    stopped = [one.process.pid, *children(one)]
    for pid in stopped:
        send_signal(pid, signal.SIGSTOP)
    time.sleep(3 * LEASE)
    assert two.ended(job)["state"] == "succeeded", "the other one took it over"
    for pid in stopped:
        send_signal(pid, signal.SIGCONT)
    begins_again(one, before)
    new = one.submit()
    assert one.ended(new)["state"] == "succeeded"
    assert two.ended(other)["state"] == "succeeded"
    time.sleep(0.5)
    assert_once(one, [job, other, new])
    stop(one, two)


def test_only_the_daemon_is_stopped(pair):
    """Its workers go on without it: what they ask for is not answered before it knows where it stands."""
    one, two = pair(chunks=1)
    before = boot(one)
    job = one.submit("publish=slow:600ms,ok", params={"clips": 1})
    one.wait_act("begin", job=job, stage="publish")
    one.process.send_signal(signal.SIGSTOP)
    time.sleep(3 * LEASE)
    assert two.ended(job)["state"] == "succeeded"
    one.process.send_signal(signal.SIGCONT)
    begins_again(one, before)
    assert_once(one, [job])
    new = one.submit()
    assert one.ended(new)["state"] == "succeeded"
    stop(one, two)


@pytest.mark.parametrize("step", ["stt", "publish"])
def test_one_is_killed(pair, step):
    one, two = pair(chunks=2)
    act = "linger" if step == "publish" else "slow"
    jobs = [one.submit(f"{step}={act}:1500ms,ok", params={"clips": 1}) for _ in range(2)]
    for job in jobs:
        one.wait_act("begin", job=job, stage=step)
    one.kill()
    killed = time.monotonic()
    for job in jobs:
        two.wait(lambda job=job: "works on this job" not in two.ask("why", job=job)["words"], "a new owner", 5)
    assert time.monotonic() - killed < 2 * LEASE
    for job in jobs:
        assert two.ended(job)["state"] == "succeeded"
    assert_once(two, jobs)
    stop(two)


def test_a_post_in_doubt_and_a_clip_are_known_to_both(pair):
    """Only the daemon that has the job settles its post; a clip that lies there is published by either."""
    one, two = pair(chunks=1)
    job = one.submit("post=sent,ok", params={"clips": 1, "targets": ["blind"]})
    assert one.wait_state(job, "held")["reason"] == "unconfirmed"
    effect, = one.show(job)["effects"]
    with pytest.raises(Refused, match="works on this job: ask that one"):
        two.ask("resolve", effect=effect["key"], url="https://example.org/1")
    one.ask("resolve", effect=effect["key"], url="https://example.org/1")
    assert one.ended(job)["state"] == "succeeded"
    posts = [daemon.ask("publish", clip=f"{job}/1", target="pub")["job"] for daemon in (two, one)]
    assert posts[0] == posts[1], "the same clip to the same target is the same job, whoever is asked"
    assert two.ended(posts[0])["state"] == "succeeded"
    assert len(one.posts()) == 1
    for daemon in (one, two):
        assert daemon.stop() == 0


def test_one_that_stops_leaves_its_jobs_to_the_other(pair):
    one, two = pair(chunks=1)
    job = one.submit("stt=slow:30s,ok")
    one.wait_act("begin", job=job, stage="stt")
    assert one.stop() == 0
    assert two.ended(job)["state"] == "succeeded"
    stop(two)


def test_asked_at_the_wrong_one(pair):
    """What another one works on is refused with its name; what is over is anybody's."""
    one, two = pair(chunks=1)
    job = one.submit("stt=slow:1s,reject")
    one.wait_act("begin", job=job, stage="stt")
    with pytest.raises(Refused) as refused:
        two.ask("cancel", job=job)
    assert f"process {one.process.pid}" in refused.value.words and refused.value.status == 75
    assert f"process {one.process.pid}" in two.ask("why", job=job)["words"]
    one.ask("cancel", job=job)
    assert two.ended(job)["state"] == "cancelled"
    two.ask("retry", job=job)
    assert one.ended(job)["state"] == "failed"
    two.ask("rm", job=job)
    stop(one, two)


def test_one_socket_each(pair):
    one, _ = pair()
    third = one.twin("c")
    third.control = one.control
    third.start(ready=False)
    assert third.process.wait(20) == 78
    assert "--control" in third.log_text()


def test_the_store_is_away_for_longer_than_the_lease(pair, postgres):  # noqa: F811
    one, two = pair(chunks=1)
    before = boot(one)
    jobs = [daemon.submit("stt=slow:300ms,ok") for daemon in (one, two)]
    one.wait_act("begin", job=jobs[0], stage="stt")
    postgres.stop()
    time.sleep(3 * LEASE)
    postgres.start()
    for daemon in (one, two):
        daemon.wait(lambda daemon=daemon: not daemon.ask("status")["words"], "a daemon that goes on")
    assert boot(one) != before
    jobs += [one.submit(), two.submit()]
    for job in jobs:
        assert one.ended(job)["state"] == "succeeded"
    assert_once(one, jobs)
    stop(one, two)
