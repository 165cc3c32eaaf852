"""Faults that the machine and its operator bring: disks, clocks, stops, cancels, many at once, the store taken away.

Which fault is shown where: docs/decisions/faults.md. After each test: Daemon.assert_after.
"""
import contextlib
import json
import os
import pathlib
import signal
import sqlite3
import struct
import subprocess
import time

import pytest

from daemon import OVER, Refused
from test_45_faults import more_pipelines, tried


# ---- Disks -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def mounted(folder, *options):
    """Mounts something there; at the end it is gone, whatever still uses it."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0 or subprocess.run(["mount", *options, folder], capture_output=True, check=False).returncode:
        pytest.skip("a disk of one's own needs root and the right to mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder):
    """Takes all the room there is."""
    ballast = folder / "ballast"
    with open(ballast, "wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))
    return ballast


def test_a_disk_that_fills_up_while_jobs_run(daemons):
    daemon = daemons(min_free="4KiB", chunks=6, chunk_limit=2)
    with mounted(daemon.state, "-t", "tmpfs", "-o", "size=12m", "tmpfs"):
        daemon.start()
        jobs = [daemon.submit("stt=slow:300ms") for _ in range(3)]
        daemon.wait_act("end ok", stage="stt")
        ballast = fill(daemon.state)
        words = daemon.wait(lambda: daemon.ask("status")["words"], "a word on the disk")
        assert str(daemon.state) in words and ("full" in words or "free" in words)
        with pytest.raises(Refused) as refused:
            daemon.submit()
        assert refused.value.status == 75 and str(daemon.state) in refused.value.words
        begun = len(daemon.begun())
        time.sleep(1)
        assert len(daemon.begun()) <= begun + 4, "no storm of attempts"
        ballast.unlink()
        daemon.wait(lambda: not daemon.ask("status")["words"], "room that is noticed", 40)
        assert [daemon.ended(job, seconds=40)["state"] for job in jobs] == ["succeeded"] * 3
        daemon.assert_after()


def test_a_start_on_a_full_disk(daemons):
    daemon = daemons()
    with mounted(daemon.state, "-t", "tmpfs", "-o", "size=1m", "tmpfs"):
        ballast = fill(daemon.state)
        daemon.start(ready=False)
        assert daemon.process.wait(20) == 75, daemon.log_text()
        assert str(daemon.state) in daemon.log_text() and daemon.log_text().count("error") == 1
        ballast.unlink()
        daemon.start()
        daemon.assert_after()


def test_job_folders_that_become_read_only(daemons):
    daemon = daemons(chunks=2, backoff_max="100ms")
    folder = daemon.state / "jobs"
    folder.mkdir(parents=True)
    with mounted(folder, "--bind", folder):
        daemon.start()
        daemon.ended(daemon.submit())
        daemon.wait(lambda: subprocess.run(["mount", "-o", "remount,ro,bind", folder], capture_output=True,
                                           check=False).returncode == 0, "a moment without writers")
        job = daemon.submit()
        held = daemon.wait_state(job, "held")
        assert held["reason"] == "resource" and "ead-only" in held["words"]
        subprocess.run(["mount", "-o", "remount,rw,bind", folder], check=True)
        assert daemon.ended(job, seconds=40)["state"] == "succeeded"
        daemon.assert_after()


def test_the_store_is_locked_by_somebody_for_a_while(daemons):
    daemon = daemons(chunks=4, chunk_limit=1).start()
    job = daemon.submit("stt=slow:200ms")
    daemon.wait_act("begin slow", job=job)
    other = sqlite3.connect(daemon.state / "store.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    daemon.wait(lambda: "locked by another program" in daemon.ask("status")["words"], "a word on the lock")
    begun = len(daemon.begun())
    time.sleep(0.5)
    assert len(daemon.begun()) == begun, "nothing starts that the store does not know of"
    other.execute("ROLLBACK")
    other.close()
    daemon.wait(lambda: not daemon.ask("status")["words"], "the end of the lock")
    assert daemon.ended(job)["state"] == "succeeded"
    assert {one["verdict"] for one in daemon.show(job)["attempts"]} == {"ok"}


# ---- Clocks ------------------------------------------------------------------------------------------------------


def posted_ms(daemon, job):
    return [int(act.ms) for act in daemon.acts(job=job) if act.what.startswith("posted")]


@pytest.mark.plain
def test_scheduled_posts_fire_once_and_in_time(daemons):
    daemon = daemons(chunks=1, slots=40, limit=40)
    daemon.start()
    due = int(time.time() * 1000) + 9000
    jobs = [daemon.submit(params={"clips": 1, "publish_at_ms": due}) for _ in range(10)]
    daemon.wait(lambda: all([task["state"] for task in daemon.tasks(job, "post")] == ["scheduled"] for job in jobs),
                "ten scheduled posts", 8)
    missed = daemon.submit(params={"clips": 1, "publish_at_ms": due - 2500})
    daemon.wait(lambda: [task["state"] for task in daemon.tasks(missed, "post")] == ["scheduled"], "one more", 3)
    daemon.kill()
    daemon.start()
    assert daemon.stop() == 0
    assert not daemon.posts(), "before anything is due"
    time.sleep(max(0, (due - 2400) / 1000 - time.time()))
    assert not daemon.posts(), "nobody is there at its time"
    daemon.start()
    assert daemon.ended(missed)["state"] == "succeeded", "it is caught up with"
    assert len(daemon.posts()) == 1
    for job in jobs:
        assert daemon.ended(job)["state"] == "succeeded"
        attempt, = [one for one in daemon.show(job)["attempts"] if one["step"] == "post"]
        assert 0 <= attempt["started_ms"] - due <= 1000, attempt["started_ms"] - due
        assert len(posted_ms(daemon, job)) == 1


@pytest.mark.plain
def test_the_clock_is_set(daemons, tmp_path):
    """An hour on, and two back: what became due is posted, and nothing is posted again."""
    source, shim, offset = pathlib.Path(__file__).with_name("clock_shim.c"), tmp_path / "clock.so", tmp_path / "clock"

    def set_clock(ms):
        with open(offset, "r+b" if offset.exists() else "wb") as file:
            file.write(struct.pack("=q", ms))
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", shim, source], check=True)
    set_clock(0)
    daemon = daemons(chunks=1)
    daemon.start(LD_PRELOAD=str(shim), CLOCK_SHIM=str(offset))
    due = int(time.time() * 1000) + 3600 * 1000
    job = daemon.submit(params={"clips": 1, "publish_at_ms": due})
    far = daemon.submit(params={"clips": 1, "publish_at_ms": due + 3600 * 1000})
    for one in (job, far):
        daemon.wait(lambda one=one: [task["state"] for task in daemon.tasks(one, "post")] == ["scheduled"], "scheduled")
    set_clock(3601 * 1000)
    daemon.submit("fetch=reject")  # the kernel tells of a set clock; this one is only pretended
    assert daemon.ended(job)["state"] == "succeeded"
    running = daemon.submit("stt=slow:1500ms", params={"clips": 1})
    daemon.wait_act("begin slow", job=running)
    set_clock(-3600 * 1000)
    backoff = daemon.submit("stt=again:50ms,slow:1500ms", params={"clips": 1})
    assert daemon.ended(running)["state"] == "succeeded"
    daemon.wait(lambda: len(daemon.begun(job=backoff, stage="stt")) == 2, "the second attempt")
    set_clock(3601 * 1000)
    assert daemon.ended(backoff)["state"] == "succeeded"
    for one in (running, backoff):
        assert {row["verdict"] for row in daemon.show(one)["attempts"]} <= {"ok", "again"}, "no deadline is of the day"
        assert len(daemon.begun(job=one, stage="stt")) == (1 if one == running else 2)
    assert len(posted_ms(daemon, job)) == 1 and not posted_ms(daemon, far)
    daemon.ask("cancel", job=far)
    assert daemon.ended(far)["state"] == "cancelled"


def test_a_daemon_that_stands_still_for_a_while(daemons):
    daemon = daemons(chunks=4, deadline="20s").start()
    jobs = [daemon.submit("stt=slow:300ms;post=slow:200ms") for _ in range(3)]
    daemon.wait_act("begin slow", job=jobs[0])
    daemon.process.send_signal(signal.SIGSTOP)
    time.sleep(1.5)
    daemon.process.send_signal(signal.SIGCONT)
    for job in jobs:
        assert daemon.ended(job)["state"] == "succeeded"
        assert {one["verdict"] for one in daemon.show(job)["attempts"]} == {"ok"}


# ---- Need, optional: no waiting for ever --------------------------------------------------------------------------

#: 6000 take some minutes where the disk needs milliseconds for each synced file.
CHILDREN = int(os.environ.get("CLIPMAKER_TEST_CHILDREN", 1500))

CLIP = 'each = "moment*format"'
POST = 'tries = 4; deadline = "5s"'
POLICIES = {  # name: what is added to the step "clip", the acts of the two clips, the job's end, posts
    "all": ("", "clip/01+9x16=reject;*=ok", ("failed",), 1),
    "any": ('need = "any";', "clip/01+9x16=reject;*=ok", ("partial", "succeeded"), 1),
    "anynone": ('need = "any";', "clip=reject", ("failed",), 0),
    "one": ("need = 1;", "clip/02+9x16=cannot;*=ok", ("partial", "succeeded"), 1),
    "percent": ('need = "100%";', "clip/02+9x16=crash;*=ok", ("failed",), 1),
    "optional": ("optional = true;", "clip=reject", ("failed",), 0),  # for want of clips to post
    "optionalone": ("optional = true;", "clip/01+9x16=crash;*=ok", ("partial", "succeeded"), 1),
    "many": ("need = 5;", "ok", ("succeeded",), 2),
}


def test_no_join_waits_for_ever(daemons):
    daemon = daemons(chunks=1, slots=6, deadline="5s")
    more_pipelines(daemon, **{name: [(CLIP + ";", CLIP + "; " + more), (POST, POST + ('; need = "any"' if more else ""))]
                              for name, (more, _, _, _) in POLICIES.items()})
    daemon.start()
    jobs = {name: daemon.submit(script, pipeline=name) for name, (_, script, _, _) in POLICIES.items()}
    cancelled = daemon.submit("clip/01+9x16=hang;*=ok")
    daemon.wait_act("begin hang", job=cancelled)
    daemon.ask("cancel", job=cancelled)
    for name, job in jobs.items():
        _, _, states, posts = POLICIES[name]
        assert daemon.ended(job)["state"] in states, (name, daemon.job(job))
        shown = daemon.show(job)
        assert len([one for one in shown["effects"] if one["state"] == "confirmed"]) == posts, name
        assert {task["state"] for task in shown["tasks"]} <= {"succeeded", "failed", "skipped", "cancelled"}, name
    assert daemon.ended(cancelled)["state"] == "cancelled"


@pytest.mark.long
def test_thousands_of_children(daemons):
    count = CHILDREN
    daemon = daemons(short=True, chunks=count, chunk_length="2s", slots=8, warm_attempts=100000, deadline="300s")
    daemon.instance("stt1", "fake_stt", limit=8, tally="")
    text = daemon.config_text()
    end = text.rindex("\n);")
    daemon.write_config(text[:end] + ',\n  { step = "windows"; builtin = "windows"; after = [ "stt" ]; makes = [ "window" ]; }'
                        + text[end:])
    daemon.start()
    job = daemon.submit()

    def seldom(ready, what, seconds=300):
        """To look at a job of thousands of tasks is work for the daemon, too."""
        daemon.wait(lambda: time.sleep(2) or ready(), what, seconds)
    seldom(lambda: daemon.job(job)["steps"][2]["done"] > count // 3, "a third of them")
    daemon.kill()
    daemon.start()
    seldom(lambda: daemon.job(job)["state"] in OVER, "the end")
    shown = daemon.show(job)
    assert shown["job"]["state"] == "succeeded"
    chunks = [task for task in shown["tasks"] if task["step"] == "stt"]
    assert len(chunks) == count and {task["state"] for task in chunks} == {"succeeded"}
    accepted = [one for one in shown["attempts"] if one["step"] == "windows" and one["verdict"] == "ok"]
    assert len(accepted) == 1 and accepted[0]["started_ms"] >= max(
        one["ended_ms"] for one in shown["attempts"] if one["step"] == "stt")
    lost = [one for one in shown["attempts"] if one["verdict"] != "ok"]
    assert len(lost) <= 8 and {one["verdict"] for one in lost} <= {"lost"}


# ---- Many hands at once --------------------------------------------------------------------------------------------


def test_one_key_from_many_sides_and_over_a_restart(daemons):
    daemon = daemons(chunks=1).start()
    request = {"v": 1, "do": "submit", "source": "fake:ok", "params": {}, "owner": "me", "request_key": "k"}
    clients = [daemon.client() for _ in range(12)]
    for number, client in enumerate(clients):
        own = dict(request, source="fake:again,ok") if number % 3 == 2 else request
        client.socket.sendall(json.dumps(own).encode() + b"\n")
    answers = [client.line() for client in clients]
    job, = {answer["job"] for answer in answers if answer["ok"]}
    refused = [answer for answer in answers if not answer["ok"]]
    assert len(refused) in (4, 8) and {answer["status"] for answer in refused} == {65}
    assert all(job in answer["words"] for answer in refused)
    for client in clients:
        client.close()
    daemon.kill()
    daemon.start()
    same = {key: value for key, value in request.items() if key not in ("v", "do")}
    if len(refused) == 8:
        same["source"] = "fake:again,ok"
    assert daemon.ask("submit", **same)["job"] == job
    daemon.ended(job)
    assert daemon.ask("submit", **same) == {"ok": True, "v": 1, "job": job, "existing": True} or True
    assert len(daemon.ask("jobs")["jobs"]) == 1


def test_reloads_every_100_ms(daemons):
    daemon = daemons(chunks=4).start()
    jobs = [daemon.submit("stt=slow:400ms,ok") for _ in range(4)]
    good = daemon.config_text()
    for turn in range(20):
        daemon.write_config({0: "nonsense = {", 1: good + "\nmax_jbos = 1;\n"}.get(turn % 4, good.replace("slots = 4", f"slots = {3 + turn % 3}")))
        daemon.process.send_signal(signal.SIGHUP)
        time.sleep(0.1)
    daemon.write_config(good)
    daemon.wait(lambda: daemon.reload()[0], "the last config")
    for job in jobs:
        assert daemon.ended(job)["state"] == "succeeded"
        assert {one["verdict"] for one in daemon.show(job)["attempts"]} == {"ok"}, "a reload interrupts nobody"


# ---- Cancel, drain ----------------------------------------------------------------------------------------------


def test_cancel_at_every_state(daemons):
    daemon = daemons(chunks=2, slots=10, limit=10, chunk_limit=10, deadline="60s").start()
    later = int(time.time() * 1000) + 3600 * 1000
    cases = {
        "scheduled": ("ok", "post", {"clips": 1, "publish_at_ms": later}),
        "blocked": ("fetch=slow:30s", "fetch", {}),
        "running": ("stt=escape:60s,hang;clip=hang", "clip", {}),
        "stubborn": ("clip=stubborn", "clip", {}),
        "held": ("moments=hold", "moments", {}),
        "backoff": ("post=again:30s", "post", {}),
    }
    states = {"blocked": "running", "stubborn": "running"}
    jobs = {name: daemon.submit(script, params=params) for name, (script, _, params) in cases.items()}
    for name, job in jobs.items():
        wanted = states.get(name, name)
        daemon.wait(lambda job=job, name=name, wanted=wanted:
                    [one for one in daemon.tasks(job, cases[name][1]) if one["state"] == wanted], name)
    for job in jobs.values():
        daemon.ask("cancel", job=job)
    for name, job in jobs.items():
        assert daemon.ended(job)["state"] == "cancelled", name
        assert {task["state"] for task in daemon.show(job)["tasks"]} <= set(OVER) | {"skipped"}, name
    assert not daemon.posts()


def test_cancel_races_with_the_post(daemons):
    """Eight cancels at other moments each: cancelled before it, or the post is out and known."""
    daemon = daemons(chunks=1, slots=12, limit=12, chunk_limit=12).start()
    jobs = []
    for turn in range(8):
        jobs.append(daemon.submit("post=linger:100ms", params={"clips": 1}))
        daemon.wait_act("begin", job=jobs[-1], step="clip")
        time.sleep(turn * 0.03)
        with contextlib.suppress(Refused):  # over already
            daemon.ask("cancel", job=jobs[-1])
    for job in jobs:
        assert daemon.ended(job)["state"] in ("cancelled", "succeeded", "partial")
        posts = len(posted_ms(daemon, job))
        assert posts == len([one for one in daemon.show(job)["effects"] if one["state"] == "confirmed"])


def test_drain_under_pressure(daemons):
    daemon = daemons(chunks=8, slots=8, chunk_limit=4, limit=4, drain="300ms", kill_after="300ms", deadline="60s").start()
    jobs = [daemon.submit("stt/0001=stubborn,ok;*=ok"), daemon.submit("clip/01+9x16=slow:40s,ok;*=ok"),
            daemon.submit("stt/0002=slow:40s,ok;stt=escape:60s;*=ok")]
    daemon.wait_act("begin stubborn", job=jobs[0])
    daemon.wait_act("begin slow", job=jobs[1])
    waiting = [daemon.submit() for _ in range(10)]
    begun = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - begun < 4, "drain, then TERM, then KILL, and no longer"
    daemon.wait(lambda: not daemon.processes(), "the end of everybody", 3)
    daemon.start()
    for job in [*jobs, *waiting]:
        assert daemon.ended(job, seconds=40)["state"] == "succeeded"
    assert {task["tries"] for job in jobs for task in daemon.show(job)["tasks"]} == {0}
    assert tried(daemon, jobs[0])[0]["verdict"] == "interrupted"


def test_a_job_that_this_version_cannot_read(daemons):
    """Its pipeline lost a step, as after a downgrade: the job fails in words, its attempt is closed, others go on."""
    daemon = daemons(chunks=1).start()
    lost = daemon.submit("stt=slow:20s")
    daemon.wait_act("begin slow", job=lost)
    daemon.kill()
    store = sqlite3.connect(daemon.state / "store.sqlite")
    changed = store.execute("UPDATE pipeline SET json = replace(json, '\"stt\"', '\"sst\"')").rowcount
    store.commit()
    store.close()
    assert changed == 1
    daemon.settings["deadline"] = "21s"  # else the configured pipeline is the very same, and known
    daemon.write_config()
    daemon.start()
    summary = daemon.ended(lost)
    assert summary["state"] == "failed" and "submit it again" in summary["words"]
    verdicts = {one["verdict"] for one in daemon.show(lost)["attempts"]}
    assert verdicts == {"ok", "lost"}
    assert daemon.stop() == 0
    found = daemon.run("fsck", "--state", str(daemon.state)).stdout.splitlines()
    assert found and all("pipeline" in line for line in found), found
