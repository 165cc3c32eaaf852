"""Calls that cost money, through the daemon: each has a row before it is sent, and nothing answered is paid twice."""
import json
import os
import re
import resource
import signal
import sqlite3
import subprocess
import threading

import pytest

from daemon import Daemon, process_file, send_signal
from openai_server import Answer, Server, chat, error
from test_75_openai import KEY, example

SENT, ANSWERED, UNKNOWN, REFUSED = 1, 2, 3, 4


def answer(request):
    return chat(example(request.json["response_format"]["json_schema"]["schema"]), model="m-1")


@pytest.fixture
def server():
    with Server(otherwise=answer) as one:
        yield one


@pytest.fixture
def daemon(server, tmp_path):
    made = Daemon(tmp_path / "d", chunks=1)
    made.instance("llm1", "llm_openai", url=server.url, key=f"file:{tmp_path}/key", model="m-1", timeout="20s")
    (tmp_path / "key").write_text(KEY + "\n")
    made.write_config()
    made.start()
    yield made
    made.kill()
    made.wait(lambda: not made.processes(), "the end of every process", 10)


def calls(daemon):
    """The rows, as another reader of the file sees them."""
    with sqlite3.connect(f"file:{daemon.state}/store.sqlite?mode=ro", uri=True) as store:
        store.row_factory = sqlite3.Row
        return [dict(row) for row in store.execute("SELECT * FROM llm_call ORDER BY sent_ms, id")]


def test_each_call_has_its_row(daemon, server):
    job = daemon.submit()
    assert daemon.ended(job)["state"] == "succeeded"
    rows = calls(daemon)
    assert len(rows) == len(server.requests) == 2
    assert all((row["state"], row["model"], row["tokens_in"], row["tokens_out"]) == (ANSWERED, "m-1", 100, 20) for row in rows)
    assert {row["step"] for row in rows} == {"moments", "score"} and all(row["instance"] == "llm1" for row in rows)
    assert len({row["request"] for row in rows}) == 2
    assert len(list((daemon.state / "jobs" / job / "answers").iterdir())) == 2
    assert daemon.ask("fsck")["found"] == []
    daemon.ask("rm", job=job)
    daemon.wait(lambda: not (daemon.state / "jobs" / job).exists(), "an empty state folder")
    assert calls(daemon) == rows  # the invoice has them, too


def test_an_answer_that_nobody_took_is_not_asked_for_again(daemon, server):
    """The worker dies right after the answer is on the disk: the next attempt reads it from there."""
    killed = threading.Event()

    def kill_soon(request):
        # The answer comes, and the worker has a moment to write it before it is killed.
        threading.Timer(0.15, kill).start()
        reply = answer(request)
        reply.chopped = 0
        return reply

    def kill():
        for pid in workers(daemon):
            send_signal(pid, signal.SIGSTOP)
        if any((daemon.state / "jobs").glob("*/answers/*")):
            killed.set()
        for pid in workers(daemon):
            send_signal(pid, signal.SIGKILL)

    server.script = [kill_soon]
    job = daemon.submit()
    assert daemon.ended(job, 40)["state"] == "succeeded"
    assert len({(row["step"], row["request"]) for row in calls(daemon)}) == 2
    if killed.is_set():
        assert len(server.requests) == 2


def workers(daemon):
    return [pid for pid in daemon.processes() if b"clipmaker-worker" in process_file(pid, "cmdline")]


def test_a_call_cut_off_by_a_kill_is_on_record_as_unknown(daemon, server):
    server.script = [Answer("late", slow=30)]
    job = daemon.submit()
    daemon.wait(lambda: any(row["state"] == SENT for row in calls(daemon)), "a call on record")
    daemon.wait(lambda: server.requests, "its arrival")
    daemon.kill()
    daemon.start()
    assert daemon.ended(job, 40)["state"] == "succeeded"
    rows = calls(daemon)
    assert [row["state"] for row in rows] == [SENT, ANSWERED, ANSWERED]  # sent, and nobody came back to tell
    assert rows[0]["request"] == rows[1]["request"] and rows[0]["tokens_in"] > 0
    assert len(server.requests) == 3


def test_twenty_paid_calls_over_kills(daemon, server):
    """Every request that arrived has a row; no request that was answered in full arrives twice."""
    answered = []

    def counted(request):
        answered.append(json.dumps(request.json, sort_keys=True))
        return answer(request)
    server.otherwise = counted
    jobs = [daemon.submit() for _ in range(10)]
    for _ in range(4):
        daemon.wait(lambda: len(server.requests) % 5 == 4 or not unfinished(daemon, jobs), "some calls", 40)
        daemon.kill()
        daemon.start()
    for job in jobs:
        assert daemon.ended(job, 60)["state"] == "succeeded"
    rows = calls(daemon)
    assert len(rows) >= len(server.requests) >= 20
    assert sum(row["state"] == ANSWERED for row in rows) <= 20
    kept = list((daemon.state / "jobs").glob("*/answers/*"))
    assert len(kept) == 20 and not [path for path in kept if len(path.name) != 64]  # no half of one left by a kill
    assert daemon.ask("fsck")["found"] == []


def unfinished(daemon, jobs):
    return [job for job in jobs if daemon.job(job)["state"] in ("queued", "running")]


# ---- The key ------------------------------------------------------------------------------------

def holders(daemon, name):
    """Processes with the key in /proc/PID/name."""
    return [pid for pid in daemon.processes() if KEY.encode() in process_file(pid, name)]


def told(daemon, job):
    """Whatever the daemon and its client say about a job."""
    said = [daemon.ask(do, **fields) for do, fields in [("show", {"job": job}), ("why", {"job": job}), ("jobs", {}),
                                                        ("status", {}), ("fsck", {})]]
    asked = [["show", job], ["show", job, "--json"], ["why", job], ["jobs"], ["costs"], ["costs", "--json"]]
    said += [daemon.run(*one, "--state", str(daemon.state)).stdout for one in asked]
    return json.dumps(said, ensure_ascii=False)


@pytest.mark.parametrize("kind", ["file", "env"])
def test_the_key_is_nowhere(daemon, server, kind):
    """Not while it is used, not when the server repeats it, not in what is left."""
    assert daemon.stop() == 0
    if kind == "env":
        daemon.instances["llm1"][1]["key"] = "env:CLIPMAKER_CANARY"
        daemon.write_config()
    daemon.start(**({"CLIPMAKER_CANARY": KEY} if kind == "env" else {}))

    def slow(request):
        reply = answer(request)
        reply.slow = 0.7
        return reply
    server.script = [slow]
    good = daemon.submit()
    daemon.wait(lambda: server.requests, "a call")
    assert len(daemon.processes()) >= 2 and holders(daemon, "cmdline") == []
    assert holders(daemon, "environ") == ([daemon.process.pid] if kind == "env" else [])
    assert daemon.ended(good)["state"] == "succeeded"
    assert server.requests[0].headers["Authorization"] == f"Bearer {KEY}"
    server.otherwise = error(401, "invalid_api_key", message=f"Incorrect API key provided: {KEY}. Or is it {KEY}?",
                             headers={"x-said": KEY})
    held = daemon.submit()
    assert daemon.wait_state(held, "held")["reason"] == "auth"
    server.otherwise = Answer(f"<html>{KEY}</html>", 500)
    again = daemon.submit()
    daemon.wait(lambda: len(server.requests) > 4, "a try again")
    assert KEY not in told(daemon, good) + told(daemon, held) + told(daemon, again)
    assert daemon.stop() == 0
    assert KEY not in daemon.log_text()
    assert (daemon.state / "store.sqlite").exists() and list(daemon.state.glob("jobs/*/answers/*"))
    for path in daemon.root.rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path


def dumps_core(folder):
    """Whether a process that aborts leaves a core here."""
    pid = subprocess.Popen(["sleep", "60"], cwd=folder).pid
    os.kill(pid, signal.SIGABRT)
    return os.WCOREDUMP(os.waitpid(pid, 0)[1])


def test_no_core_holds_the_key(daemon, server, tmp_path, monkeypatch):
    """Neither the daemon nor a worker leaves a core, on a machine where others do."""
    assert daemon.stop() == 0
    monkeypatch.chdir(tmp_path)
    most = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))
    if not dumps_core(tmp_path):
        pytest.skip("no process leaves a core on this machine")
    daemon.start()
    server.script = [Answer("late", slow=20)]
    daemon.submit()
    daemon.wait(lambda: server.requests, "a call")
    for pid in workers(daemon):
        limits = process_file(pid, "limits").decode()
        assert re.search(r"Max core file size +0 +0 ", limits), limits
        os.kill(pid, signal.SIGABRT)
    daemon.wait(lambda: "signal 6" in daemon.log_text(), "a word about the worker's end")
    daemon.wait(lambda: len(server.requests) > 1, "another worker")
    os.kill(daemon.process.pid, signal.SIGABRT)
    status = os.waitpid(daemon.process.pid, 0)[1]
    daemon.process.returncode = -signal.SIGABRT
    assert os.WIFSIGNALED(status) and not os.WCOREDUMP(status)
    assert [path for path in tmp_path.rglob("core*") if path.is_file() and path.parent != tmp_path] == []
    assert not [path for path in tmp_path.glob("core*") if KEY.encode() in path.read_bytes()]
