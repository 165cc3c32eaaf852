"""The daemon, its workers and its command line, with plugins that misbehave on order."""
import glob
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

import pytest

from conftest import STAGE
from daemon import Client, Daemon, Refused


@pytest.fixture
def make(tmp_path):
    """Makes daemons; at the end of the test none of their processes is left."""
    made = []

    def new(**settings):
        daemon = Daemon(tmp_path / f"d{len(made)}", **settings)
        made.append(daemon)
        return daemon
    yield new
    for daemon in made:
        daemon.kill()
        daemon.wait(lambda one=daemon: not one.processes(), "the end of every process", 10)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """One daemon for many jobs: each step has a fallback."""
    daemon = Daemon(tmp_path_factory.mktemp("engine"), deadline="1500ms", chunks=1,
                    memory='memory: { stt = "96MiB"; render = "96MiB"; };')
    add_fallbacks(daemon)
    daemon.start()
    yield daemon
    assert daemon.stop() == 0
    daemon.assert_clean()


def add_fallbacks(daemon):
    for stage in ("source", "prepare", "stt", "llm", "render"):
        options = {"chunks": daemon.settings["chunks"], "chunk_length": "40s"} if stage == "prepare" else {}
        daemon.instance(stage + "2", "fake_" + stage, **options)
        daemon.uses[stage] = f'[ "{stage}1", "{stage}2" ]'
    daemon.write_config()


def tried(daemon, job, step="stt", item="0001"):
    """(instance, verdict) of each attempt at it."""
    rows = [one for one in daemon.show(job)["attempts"] if one["step"] == step and one["item"] == item]
    return [(one["instance"], one["verdict"]) for one in sorted(rows, key=lambda one: one["fence"])]


def task(daemon, job, step="stt"):
    return daemon.tasks(job, step)[0]


# ---- The whole, and the verdict table ----------------------------------------------------------------------------


def test_whole_pipeline(engine):
    job = engine.submit()
    summary = engine.ended(job)
    assert summary["state"] == "succeeded" and summary["progress"] == 1
    assert [step["step"] for step in summary["steps"]] == ["fetch", "prepare", "stt", "windows", "moments", "score",
                                                           "choose", "clip", "post"]
    shown = engine.show(job)
    assert {one["verdict"] for one in shown["attempts"]} == {"ok"}
    posted = [act for act in engine.acts(job=job) if act.what.startswith("posted")]
    assert len(posted) == len(shown["effects"]) > 0
    for artifact in shown["artifacts"]:
        assert pathlib.Path(artifact["path"]).stat().st_size == artifact["bytes"]


A, B = "stt1", "stt2"


@pytest.mark.parametrize("script, attempts, tries", [
    ("again:10ms,ok", [(A, "again"), (A, "ok")], 1),
    ("network,ok", [(A, "again"), (A, "ok")], 1),
    ("again,again,again,ok", [(A, "again")] * 3 + [(B, "ok")], 0),
    ("rate:30ms,rate:30ms,rate:30ms,rate:30ms,ok", [(A, "again")] * 4 + [(A, "ok")], 0),
    ("processing:20ms,processing:20ms,ok", [(A, "again")] * 2 + [(A, "ok")], 0),
    ("cannot,ok", [(A, "cannot"), (B, "ok")], 0),
    ("quota,ok", [(A, "cannot"), (B, "ok")], 0),
    ("malformed,ok", [(A, "cannot"), (B, "ok")], 0),
    ("auth,ok", [(A, "hold"), (B, "ok")], 0),
    ("crash,ok", [(A, "crashed"), (A, "ok")], 1),
    ("abort,ok", [(A, "crashed"), (A, "ok")], 1),
    ("exit:0,ok", [(A, "crashed"), (A, "ok")], 1),
    ("exit:3,ok", [(A, "crashed"), (A, "ok")], 1),
    ("crash,abort,ok", [(A, "crashed")] * 2 + [(B, "ok")], 0),
    ("hang,ok", [(A, "timeout"), (A, "ok")], 1),
    ("stubborn,ok", [(A, "timeout"), (A, "ok")], 1),
    pytest.param("leak:512M,ok", [(A, "crashed"), (A, "ok")], 1, marks=pytest.mark.plain),
    ("silent,ok", [(A, "again"), (A, "ok")], 1),
])
def test_an_act_costs_one_attempt(engine, script, attempts, tries):
    job = engine.submit(f"stt={script}")
    engine.ended(job)
    assert tried(engine, job) == attempts
    assert engine.job(job)["state"] == "succeeded"
    assert task(engine, job)["tries"] == tries
    assert [act.what for act in engine.begun(job=job, step="stt")] == ["begin " + one.split(":")[0]
                                                                       for one in script.split(",")]


def test_whoever_gives_no_sign_of_life_is_ended_long_before_the_deadline(make):
    daemon = make(chunks=1, stall='stall = "400ms";', deadline="60s").start()
    busy = daemon.submit("stt=slow:1500ms,ok")  # three times as long, but it shows progress
    still = daemon.submit("stt=stall,ok")
    begun = time.monotonic()
    assert daemon.ended(busy)["state"] == daemon.ended(still)["state"] == "succeeded"
    assert time.monotonic() - begun < 30
    assert tried(daemon, busy) == [(A, "ok")]
    assert tried(daemon, still) == [(A, "timeout"), (A, "ok")]
    assert "stt1 gave no sign of life in stt for 400ms (it was at 40 %" in daemon.log_text()


def test_a_long_rate_limit_goes_to_the_next(make):
    daemon = make(chunks=1)
    add_fallbacks(daemon)
    daemon.start()
    job = daemon.submit("stt=rate:1m,ok")
    assert daemon.ended(job)["state"] == "succeeded"
    assert tried(daemon, job) == [(A, "again"), (B, "ok")]
    assert task(daemon, job)["tries"] == 0


@pytest.mark.parametrize("step, stage", [("fetch", "source"), ("prepare", "prepare"), ("moments", "llm"),
                                         ("score", "llm"), ("clip", "render")])
@pytest.mark.parametrize("act", ["crash", "exit:0", "again:10ms", "cannot", "garbage", "silent"])
def test_every_stage_survives(engine, step, stage, act):
    job = engine.submit(f"{step}={act},ok")
    engine.ended(job)
    assert engine.job(job)["state"] == "succeeded"
    item = task(engine, job, step)["item"]
    if (stage, act) == ("llm", "garbage"):  # the same model is asked once more, at once
        assert tried(engine, job, step, item) == [("llm1", "ok")]
        assert [one.what for one in engine.begun(job=job, step=step)] == ["begin garbage", "begin ok"]
        return
    attempts = tried(engine, job, step, item)
    assert len(attempts) == 2 and attempts[1][1] == "ok" and attempts[0][1] != "ok", attempts
    assert attempts[0][0] == stage + "1" and attempts[1][0] in (stage + "1", stage + "2")


@pytest.mark.parametrize("script, attempts, reason", [
    ("reject", [(A, "reject")], "input"),
    ("silence", [(A, "reject")], "no_speech"),
    ("cannot", [(A, "cannot"), (B, "cannot")], "unsupported"),
    ("quota", [(A, "cannot"), (B, "cannot")], "quota"),
    ("again", [(A, "again")] * 3 + [(B, "again")] * 3, "unavailable"),
])
def test_it_fails_with_words(engine, script, attempts, reason):
    job = engine.submit(f"stt={script}")
    summary = engine.ended(job)
    assert (summary["state"], summary["reason"]) == ("failed", reason)
    assert "the script says" in summary["words"]
    assert tried(engine, job) == attempts
    assert not engine.begun(job=job, step="moments")


@pytest.mark.parametrize("script, held_by", [("hold", "operator"), ("full", "resource"),
                                             ("crash,crash,crash,ok", "plugin"), ("auth,auth,ok", "auth")])
def test_it_is_held_by_name_and_goes_on(engine, script, held_by):
    job = engine.submit(f"stt={script}")
    summary = engine.wait_state(job, "held")
    assert (summary["state"], summary["reason"]) == ("running", held_by)
    why = engine.ask("why", job=job)["words"]
    assert f"held ({held_by})" in why and "stt 0001" in why
    assert engine.run("why", job, "--state", str(engine.state)).stdout.strip() == why
    (engine.tally / f"{job}.plan").write_text("ok")
    engine.ask("retry", job=job, step="stt", item="0001")
    assert engine.ended(job)["state"] == "succeeded"


@pytest.mark.parametrize("act", ["leave", "escape"])
@pytest.mark.parametrize("step", ["stt", "clip"])
def test_no_child_is_left_behind(engine, act, step):
    job = engine.submit(f"{step}={act}:100s")
    assert engine.ended(job)["state"] == "succeeded"
    children = [int(act.what.split()[1]) for act in engine.acts(job=job) if act.what.startswith("child")]
    assert children
    daemon_side = [one for one in engine.processes() if one in children]
    # A confined worker has process numbers of its own perhaps; whoever holds the folder is found either way.
    engine.wait(lambda: not [one for one in engine.processes() if one in children and alive(one)],
                f"the end of {daemon_side or children}", 5)


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_one_failed_clip_stops_no_other(engine):
    job = engine.submit("clip/01+9x16=reject;*=ok")
    summary = engine.ended(job)
    assert summary["state"] in ("failed", "partial")
    assert [one["state"] for one in engine.tasks(job, "post") if one["item"].startswith("02/")] == ["succeeded"]


# ---- Order -------------------------------------------------------------------------------------------------------


def test_higher_priority_first(make):
    daemon = make(short=True, slots=1, limit=1).start()
    first = daemon.submit("fetch=slow:600ms")
    daemon.wait_act("begin slow", job=first)
    low = daemon.submit("fetch=ok", priority=-50)
    high = daemon.submit("fetch=ok", priority=50)
    daemon.ended(low)
    order = [act.job for act in daemon.begun(stage="source")]
    assert order.index(high) < order.index(low)
    assert daemon.job(high)["finished_ms"] < daemon.job(low)["finished_ms"]


def test_owners_take_turns(make):
    daemon = make(short=True, slots=1, limit=1, chunks=1).start()
    daemon.submit("fetch=slow:400ms", owner="greedy")
    greedy = [daemon.submit("stt=slow:60ms", owner="greedy") for _ in range(6)]
    modest = daemon.submit("stt=slow:60ms", owner="modest")
    for job in greedy:
        daemon.ended(job)
    ends = sorted([*greedy, modest], key=lambda job: daemon.job(job)["finished_ms"])
    assert ends.index(modest) <= 2, [job == modest for job in ends]


def test_limit_of_an_instance(make):
    daemon = make(short=True, chunks=6, chunk_limit=2, slots=8).start()
    job = daemon.submit("stt=slow:100ms")
    most = 0
    while daemon.job(job)["state"] not in ("succeeded", "failed"):
        most = max(most, [one["running"] for one in daemon.job(job)["steps"] if one["step"] == "stt"][0])
    assert most == 2


# ---- Cancel ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script, state", [("fetch=slow:20s", "running"), ("stt=hang", "running"),
                                           ("stt=hold", "held"), ("stt=again:10s", "backoff"),
                                           ("stt=stubborn", "running")])
def test_cancel(make, script, state):
    daemon = make(deadline="60s").start()
    job = daemon.submit(script)
    step = script.split("=")[0]
    daemon.wait(lambda: [one for one in daemon.tasks(job, step) if one["state"] == state], state)
    daemon.wait_act("begin", job=job, step=step)
    daemon.ask("cancel", job=job)
    assert daemon.ended(job)["state"] == "cancelled"
    daemon.wait(lambda: not daemon.ask("status")["running"], "nothing running")
    with pytest.raises(Refused) as refused:
        daemon.ask("cancel", job=job)
    assert refused.value.status == 65 and "over already" in refused.value.words
    assert daemon.stop() == 0
    daemon.assert_clean()


def test_cancel_of_a_waiting_job(make):
    daemon = make(slots=1, limit=1).start()
    first = daemon.submit("fetch=slow:1s")
    second = daemon.submit()
    daemon.ask("cancel", job=second)
    assert daemon.ended(second)["state"] == "cancelled"
    assert daemon.ended(first)["state"] == "succeeded"
    assert not daemon.begun(job=second)


@pytest.mark.parametrize("act, posts", [("posted", 1), ("sent", 0)])
def test_cancel_while_sending_settles_first(make, act, posts):
    daemon = make(chunks=1, backoff_base="300ms", backoff_max="600ms").start()
    job = daemon.submit(f"post/01+9x16+pub={act};post=slow:20s")
    daemon.wait_act("sending", job=job)
    daemon.ask("cancel", job=job)
    assert daemon.ended(job)["state"] == "cancelled"
    states = {one["item"]: one["state"] for one in daemon.show(job)["effects"]}
    assert states["01/9:16/pub"] == ("confirmed" if posts else "absent")
    assert len(daemon.posts()) == posts
    assert daemon.stop() == 0
    daemon.assert_clean()


# ---- Stopping, reloading -----------------------------------------------------------------------------------------


def test_drain_interrupts_and_burns_no_try(make):
    daemon = make(drain="100ms", deadline="60s").start()
    job = daemon.submit("stt=slow:30s,ok")
    daemon.wait_act("begin slow", job=job, item="0001")
    begun = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - begun < 5
    daemon.start()
    assert daemon.ended(job)["state"] == "succeeded"
    assert [verdict for _, verdict in tried(daemon, job)] == ["interrupted", "ok"]
    assert task(daemon, job)["tries"] == 0
    assert daemon.stop() == 0
    daemon.assert_clean()


def test_drain_lets_short_work_end(make):
    daemon = make(drain="10s").start()
    job = daemon.submit("stt=slow:500ms")
    daemon.wait_act("begin slow", job=job, item="0001")
    assert daemon.stop() == 0
    daemon.start()
    assert daemon.ended(job)["state"] == "succeeded"
    assert tried(daemon, job) == [("stt1", "ok")]


def test_reload_while_jobs_run(make):
    daemon = make(chunks=4).start()
    job = daemon.submit("stt=slow:700ms")
    daemon.wait_act("begin slow", job=job)
    daemon.settings["max_jobs"] = 1
    daemon.write_config()
    assert daemon.reload()[0]
    with pytest.raises(Refused) as refused:
        daemon.submit()
    assert refused.value.status == 75 and "max_jobs" in refused.value.words
    daemon.write_config(daemon.config_text() + "\nmax_jbos = 3;\n")
    used, said = daemon.reload()
    assert not used and "did you mean max_jobs?" in said
    daemon.conf.unlink()
    assert not daemon.reload()[0]
    assert daemon.ended(job)["state"] == "succeeded"
    assert {verdict for _, verdict in tried(daemon, job)} == {"ok"}


def test_reloads_without_end(make):
    daemon = make(chunks=4).start()
    jobs = [daemon.submit("stt=slow:300ms,ok") for _ in range(3)]
    for turn in range(15):
        daemon.settings["slots"] = 2 + turn % 3
        daemon.write_config(None if turn % 3 else "nonsense = {")
        daemon.process.send_signal(signal.SIGHUP)
        time.sleep(0.1)
    assert [daemon.ended(job)["state"] for job in jobs] == ["succeeded"] * 3


def test_an_instance_that_a_reload_removes(make):
    daemon = make(chunks=1)
    add_fallbacks(daemon)
    daemon.start()
    job = daemon.submit("stt=hold")
    daemon.wait_state(job, "held")
    del daemon.instances["stt2"]
    daemon.instance("stt3", "fake_stt")
    daemon.uses["stt"] = '[ "stt3" ]'
    daemon.write_config()
    assert daemon.reload()[0]
    (daemon.tally / f"{job}.plan").write_text("stt=cannot,cannot,cannot")
    daemon.ask("retry", job=job)
    summary = daemon.wait_state(job, "failed", "held")
    assert summary["words"]
    fresh = daemon.submit()
    assert daemon.ended(fresh)["state"] == "succeeded"
    assert tried(daemon, fresh)[0][0] == "stt3"


# ---- The config --------------------------------------------------------------------------------------------------


def check(daemon):
    done = subprocess.run([STAGE / "sbin/clipmakerd", "-t", "-c", daemon.conf], capture_output=True, text=True,
                          env={**os.environ, "LC_ALL": "C.UTF-8"}, timeout=20, check=False)
    return done.returncode, done.stdout + done.stderr


def test_config_is_sound(make):
    status, said = check(make())
    assert status == 0 and "sound" in said


@pytest.mark.parametrize("right, wrong, hint", [
    ("max_jobs = ", "max_jbos = ", "did you mean max_jobs?"),
    ("chunk_length = ", "chunk_lenght = ", "did you mean chunk_length?"),
    ("makes = [ \"moment\" ]", "mkaes = [ \"moment\" ]", "did you mean makes?"),
    ("use = [ \"llm1\" ]", "use = [ \"lml1\" ]", "did you mean llm1?"),
    ("slots = 4", "slots = \"four\"", "whole number"),
    ("kill_after = \"300ms\"", "kill_after = 300", "duration in quotes"),
    ("limit = 4;", "limit = 0;", "from 1 to"),
    ("fake_stt.so", "fake_stx.so", "cannot be used"),
])
def test_config_complaints_name_the_line(make, right, wrong, hint):
    daemon = make()
    text = daemon.config_text()
    assert right in text
    daemon.write_config(text.replace(right, wrong))
    line = text[:text.index(right)].count("\n") + 1
    status, said = check(daemon)
    assert status == 78 and hint in said and f"{daemon.conf}:{line}:" in said
    daemon.start(ready=False)
    assert daemon.process.wait(20) == 78
    assert hint in daemon.log_text()


# ---- The ledger --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act, attempts", [("early,ok", 2), ("sent,ok", 2), ("posted,ok", 1), ("lost,ok", 1),
                                           ("doubt,ok", 2), ("crash,ok", 2)])
def test_exactly_one_post(make, act, attempts):
    daemon = make(chunks=1).start()
    job = daemon.submit(f"post/01+9x16+pub={act}", params={"clips": 1})
    assert daemon.ended(job)["state"] == "succeeded"
    assert len(daemon.posts()) == 1
    assert len(daemon.begun(job=job, stage="publish")) == attempts
    effect, = daemon.show(job)["effects"]
    assert effect["state"] == "confirmed" and effect["post_id"] == daemon.posts()[0]
    assert daemon.stop() == 0
    daemon.assert_clean()


@pytest.mark.parametrize("act, answer, posts", [("posted,ok", ["--live", "https://example.org/1"], 1),
                                                ("sent,ok", ["--absent"], 1), ("sent,ok", ["absent"], 1),
                                                ("lost,ok", ["https://example.org/1"], 1)])
def test_blind_platform_asks_a_person(make, act, answer, posts):
    daemon = make(chunks=1).start()
    job = daemon.submit(f"post={act}", params={"clips": 1, "targets": ["blind"]})
    assert daemon.wait_state(job, "held")["reason"] == "unconfirmed"
    effect, = daemon.show(job)["effects"]
    assert effect["state"] == "unconfirmed"
    assert effect["key"] in daemon.ask("why", job=job)["words"]
    assert "resolve" in daemon.ask("why", job=job)["words"]
    time.sleep(0.3)
    assert len(daemon.begun(job=job, stage="publish")) == 1, "nothing is sent before a person spoke"
    assert daemon.run("resolve", effect["key"], "nonsense", "--state", str(daemon.state)).returncode == 64
    done = daemon.run("resolve", effect["key"], *answer, "--state", str(daemon.state))
    assert done.returncode == 0, done.stderr
    assert daemon.ended(job)["state"] == "succeeded"
    assert len(list(daemon.blind.iterdir())) == posts
    effect, = daemon.show(job)["effects"]
    assert effect["state"] == "confirmed"
    assert daemon.stop() == 0
    daemon.assert_clean()


# ---- Submitting and removing -------------------------------------------------------------------------------------


def test_request_keys(make):
    daemon = make().start()
    clients = [daemon.client() for _ in range(8)]
    for client in clients:
        client.socket.sendall(json.dumps({"v": 1, "do": "submit", "source": "fake:ok", "params": {}, "owner": "me",
                                          "request_key": "k"}).encode() + b"\n")
    answers = [client.line() for client in clients]
    assert len({answer["job"] for answer in answers}) == 1
    assert [answer["existing"] for answer in answers].count(False) == 1
    job = answers[0]["job"]
    daemon.ended(job)
    again = daemon.ask("submit", source="fake:ok", params={}, owner="me", request_key="k")
    assert again["job"] == job and again["existing"]
    with pytest.raises(Refused) as refused:
        daemon.ask("submit", source="fake:again,ok", params={}, owner="me", request_key="k")
    assert refused.value.status == 65 and job in refused.value.words
    other = daemon.ask("submit", source="fake:ok", params={}, owner="you", request_key="k")
    assert other["job"] != job and not other["existing"]


def test_rm_leaves_nothing(make):
    daemon = make().start()
    job = daemon.submit()
    running = daemon.submit("stt=hang")
    daemon.ended(job)
    with pytest.raises(Refused) as refused:
        daemon.ask("rm", job=running)
    assert "cancel it first" in refused.value.words
    assert daemon.run("rm", job, "--state", str(daemon.state)).returncode == 0
    daemon.wait(lambda: not glob.glob(f"{daemon.state}/**/*{job}*", recursive=True), "an empty state folder")
    with pytest.raises(Refused) as refused:
        daemon.ask("show", job=job)
    assert refused.value.status == 66
    assert daemon.stop() == 0
    store = b"".join(path.read_bytes() for path in daemon.state.glob("store*"))
    assert daemon.run("show", job, "--state", str(daemon.state)).returncode == 66, len(store)
    daemon.assert_clean()


def test_too_many_jobs(make):
    daemon = make(max_jobs=2).start()
    for _ in range(2):
        daemon.submit("stt=hold")
    with pytest.raises(Refused) as refused:
        daemon.submit()
    assert refused.value.status == 75 and "max_jobs" in refused.value.words


def test_no_room_on_the_disk(make):
    daemon = make(min_free="1000TiB").start()
    with pytest.raises(Refused) as refused:
        daemon.submit()
    assert refused.value.status == 75 and "min_free" in refused.value.words


# ---- Secrets -----------------------------------------------------------------------------------------------------

CANARY = "canary-7f3a9c51d2e8"


def test_a_secret_is_nowhere(make):
    daemon = make(chunks=1)
    secret = daemon.root / "secret"
    secret.write_text(CANARY + "\n")
    secret.chmod(0o600)
    daemon.instance("keyed", "template", token=f"file:{secret}", url="http://127.0.0.1:9/")
    daemon.write_config()
    daemon.start()
    job = daemon.submit("stt=slow:500ms", params={"clips": 1, "targets": ["keyed", "pub"]})
    while daemon.job(job)["state"] not in ("succeeded", "partial", "failed"):
        assert CANARY.encode() not in daemon.process_texts()
        if [one for one in daemon.show(job)["attempts"] if one["instance"] == "keyed" and one["verdict"]]:
            break
    assert [one for one in daemon.show(job)["attempts"] if one["instance"] == "keyed"]
    shown = json.dumps(daemon.show(job)) + json.dumps(daemon.ask("status"))
    daemon.ask("cancel", job=job) if daemon.job(job)["state"] in ("queued", "running") else None
    assert daemon.stop() == 0
    assert CANARY not in shown and CANARY not in daemon.log_text()
    for path in [one for one in daemon.root.glob("**/*") if one.is_file() and one != secret]:
        assert CANARY.encode() not in path.read_bytes(), path


# ---- The control socket ------------------------------------------------------------------------------------------


def raw(daemon):
    return Client(daemon.state / "control.sock", timeout=5)


@pytest.mark.parametrize("line", [b"\n", b"{\n", b"[]\n", b"null\n", b"\xff\xfe\x00\n", b'{"v":1}\n',
                                  b'{"v":1,"do":"nothing"}\n', b'{"v":99,"do":"status"}\n', b'{"v":1,"do":17}\n',
                                  b'{"v":1,"do":"show","job":{"a":[1]}}\n', b'{"v":1,"do":"submit"}\n',
                                  b'{"v":1,"do":"submit","source":"fake:ok","params":7}\n',
                                  b'{"v":1,"do":"submit","source":"fake:ok","params":{"clips":"x"}}\n',
                                  b'{"v":1,"do":"show","job":"../../etc/passwd"}\n',
                                  b"[" * 5000 + b"\n"])
def test_garbage_is_answered_in_words(engine, line):
    client = raw(engine)
    client.socket.sendall(line)
    if line != b"\n":
        try:
            answer = client.line()
            assert answer["ok"] is False and answer["words"] and "\n" not in answer["words"]
            assert 64 <= answer["status"] <= 78
        except ConnectionError:
            pass
    client.close()
    assert engine.ask("status")["ok"]


def test_a_line_without_end(engine):
    client = raw(engine)
    with pytest.raises(OSError):
        for _ in range(1000):
            client.socket.sendall(b"x" * 65536)
            time.sleep(0.001)
    client.close()
    assert engine.ask("status")["ok"]


def test_slow_and_silent_readers_hurt_nobody(make):
    daemon = make(chunks=1).start()
    stuck = []
    for _ in range(5):
        client = raw(daemon)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.socket.sendall(b'{"v":1,"do":"watch","job":""}\n')
        stuck.append(client)
    asker = raw(daemon)
    asker.socket.setblocking(False)
    try:
        for _ in range(20000):
            asker.socket.send(b'{"v":1,"do":"status"}\n')
    except BlockingIOError:
        pass
    half = raw(daemon)
    half.socket.sendall(b'{"v":1,"do":"sta')
    jobs = [daemon.submit() for _ in range(10)]
    assert [daemon.ended(job)["state"] for job in jobs] == ["succeeded"] * 10
    for client in [*stuck, asker, half]:
        client.close()
    assert daemon.ask("status")["ok"]


def test_watch_ends_with_the_job(engine):
    job = engine.submit("stt=slow:300ms")
    client = raw(engine)
    client.ask("watch", job=job)
    events = []
    while not events or events[-1]["event"] != "end":
        events.append(client.line())
    client.close()
    assert events[-1]["job"]["state"] == "succeeded" and {one["job"]["id"] for one in events} == {job}


# ---- Exit statuses -----------------------------------------------------------------------------------------------


def test_exit_statuses(engine):
    state = ["--state", str(engine.state)]

    def status(*arguments):
        return engine.run(*arguments, *state).returncode
    good, bad = engine.submit(), engine.submit("stt=reject")
    engine.ended(good), engine.ended(bad)
    assert status("watch", good) == 0
    assert status("watch", bad) == 65
    assert status("show", good) == 0
    assert status("show", "01a20593-0000-7000-8000-000000000000") == 66
    assert status("cancel", good) == 65
    assert status("cancel") == 64
    assert status("nonsense") == 64
    assert status("fsck") == 0
    failing = engine.submit("stt=cannot")
    engine.ended(failing)
    assert status("watch", failing) == 69


def test_two_daemons_on_one_state_folder(make):
    daemon = make().start()
    second = subprocess.run([STAGE / "sbin/clipmakerd", "-c", daemon.conf, "--state", daemon.state], timeout=20,
                            capture_output=True, text=True, check=False)
    assert second.returncode == 75 and "another clipmakerd" in second.stderr
    assert daemon.ask("status")["ok"]


def test_no_daemon_no_state(make):
    daemon = make()
    done = daemon.run("submit", "fake:ok", "--state", str(daemon.root / "nowhere"))
    assert done.returncode in (66, 69, 75) and done.stderr.count("\n") == 1
    done = subprocess.run([STAGE / "sbin/clipmakerd", "-c", daemon.root / "absent.conf"], capture_output=True,
                          text=True, timeout=20, check=False)
    assert done.returncode == 78 and "absent.conf" in done.stderr
    assert subprocess.run([STAGE / "sbin/clipmakerd", "--nonsense"], capture_output=True, check=False).returncode == 64
