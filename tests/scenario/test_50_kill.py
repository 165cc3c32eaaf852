"""kill -9 of the daemon at every numbered commit point, and of workers at random: 200 runs with the fakes."""
import collections
import concurrent.futures
import os
import random
import re
import time

import pytest

from daemon import OVER, Daemon, Refused, send_signal

RUNS = int(os.environ.get("CLIPMAKER_TEST_KILLS", 200))
SEED = int(os.environ.get("CLIPMAKER_TEST_SEED", 0)) or random.SystemRandom().randrange(1, 10**6)
AT_ONCE = 3


def workers_of(daemon):
    path = f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children"
    try:
        with open(path, encoding="ascii") as children:
            return [int(pid) for pid in children.read().split()]
    except OSError:
        return []


def kill_worker(daemon, chance):
    """True when one was killed. It is a child of ours' child, so its number may be old: then it is gone."""
    pids = workers_of(daemon)
    if not pids:
        return False
    return send_signal(chance.choice(pids), 9)


def hand_in(daemon):
    """The job's id, or None when the daemon died meanwhile. The key makes it one job however often it is asked for."""
    try:
        return daemon.submit(request_key="once")
    except (OSError, ConnectionError):
        return None


def is_over(daemon, job):
    try:
        return daemon.job(job)["state"] in OVER
    except (OSError, ConnectionError):
        return False


def live(daemon, crash_at, worker_at, chance):
    """One life of a daemon: until it dies or its job is over. What was killed: (daemon, workers)."""
    daemon.start(ready=False, **({"CLIPMAKER_CRASH_AT": str(crash_at)} if crash_at else {}))
    job, begun, workers, until = None, time.monotonic(), 0, time.monotonic() + 30
    while daemon.process.poll() is None and time.monotonic() < until:
        job = job or hand_in(daemon)
        if job and is_over(daemon, job):
            break
        if worker_at and not workers and job and time.monotonic() - begun > worker_at:
            workers += kill_worker(daemon, chance)
        time.sleep(0.01)
    assert time.monotonic() < until, f"no end: {daemon.log_text()[-4000:]}"
    died = daemon.process.poll()
    assert died in (None, -9), f"clipmakerd ended with {died}:\n{daemon.log_text()[-4000:]}"
    return died is not None, workers


def judge(daemon, kills, job):
    shown = daemon.show(job)
    assert shown["job"]["state"] == "succeeded", (shown["job"], daemon.log_text()[-4000:])
    assert len(daemon.ask("jobs")["jobs"]) == 1
    posts = daemon.posts()
    assert len(posts) == 2 and all(name.endswith(".1") for name in posts), posts
    assert sorted(effect["post_id"] for effect in shown["effects"]) == posts
    assert {effect["state"] for effect in shown["effects"]} == {"confirmed"}
    assert len([act for act in daemon.acts() if act.what.startswith("posted")]) <= len(posts)
    begun = collections.Counter((act.step, act.item) for act in daemon.begun() if act.stage not in ("find", "plan"))
    assert max(begun.values()) <= 1 + kills, (kills, begun)
    good = collections.Counter((one["step"], one["item"]) for one in shown["attempts"] if one["verdict"] == "ok")
    assert max(good.values()) == 1 or kills, good
    clips = [one for one in shown["artifacts"] if one["role"] == "clip"]
    assert len({(one["step"], one["item"]) for one in clips}) == 2


def one_run(root, number, points):
    chance = random.Random(f"{SEED}/{number}")
    daemon = Daemon(root, backoff_base="10ms", backoff_max="50ms", warm="5s")
    first = number % points + 1 if number < points else chance.randrange(1, points)
    killed = 0
    try:
        worker_at = chance.uniform(0, 0.25) if number % 2 else 0
        died, workers = live(daemon, first, worker_at, chance)
        killed += died + workers
        if died and number % 4 == 3:
            died, workers = live(daemon, chance.randrange(1, points), 0, chance)
            killed += died
        if not died:
            assert daemon.stop() in (0, -9)  # its point may come while it stops
        daemon.start()
        job = daemon.submit(request_key="once")
        daemon.ended(job)
        judge(daemon, killed, job)
        assert daemon.stop() == 0
        daemon.assert_clean()
    except (AssertionError, Refused) as error:
        raise AssertionError(f"run {number}, seed {SEED}, daemon killed at {first}: {error}") from error
    finally:
        daemon.kill()
    return killed


def points_of_a_run(root):
    daemon = Daemon(root, backoff_base="10ms", backoff_max="50ms", warm="5s").start()
    try:
        daemon.ended(daemon.submit(request_key="once"))
        assert daemon.stop() == 0
    finally:
        daemon.kill()
    return int(re.search(r"crash points passed: (\d+)", daemon.log_text()).group(1))


@pytest.mark.long
def test_every_job_ends_and_nothing_is_done_twice(tmp_path):
    points = min(points_of_a_run(tmp_path / "undisturbed"), RUNS)
    print(f"seed {SEED}, {points} points")
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        runs = [pool.submit(one_run, tmp_path / str(number), number, points) for number in range(RUNS)]
        killed = sum(run.result() for run in runs)
    print(f"{killed} kills in {RUNS} runs")
    assert killed > RUNS * 3 // 4
