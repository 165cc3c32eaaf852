"""Faults that platforms and plugins bring: stalls, answers that get lost, limits, bans, failures after a post.

Which fault is shown where: docs/decisions/faults.md. After each test: Daemon.assert_after.
"""
import os
import shutil
import signal
import time

import pytest

from conftest import BUILD


def tried(daemon, job, step="stt", item="0001"):
    rows = [one for one in daemon.show(job)["attempts"] if one["step"] == step and one["item"] == item]
    return sorted(rows, key=lambda one: one["fence"])


def verdicts(rows):
    return [(one["instance"], one["verdict"]) for one in rows]


def more_pipelines(daemon, **changes):
    """A named pipeline for each name: the default one with texts replaced."""
    text = daemon.config_text()
    steps = text[text.index("pipeline: (") + len("pipeline: "):text.rindex(";")]
    named = []
    for name, replacements in changes.items():
        own = steps
        for old, new in replacements:
            assert old in own, old
            own = own.replace(old, new)
        named.append(f"  {name} = {own};\n")
    daemon.write_config(text + "pipelines: {\n" + "".join(named) + "};\n")


# ---- Stalls, crashes ---------------------------------------------------------------------------------------------


def test_a_stall_ends_with_the_last_checkpoint(daemons):
    daemon = daemons(chunks=1)
    more_pipelines(daemon, watched=[('step = "stt";', 'step = "stt"; stall = "500ms";')])
    daemon.start()
    job = daemon.submit("stt=stall,slow:1500ms", pipeline="watched")
    assert daemon.ended(job)["state"] == "succeeded"
    stalled, slow = tried(daemon, job)
    assert (stalled["verdict"], slow["verdict"]) == ("timeout", "ok"), "who shows progress is alive"
    for word in ("stt1", "500ms", "no sign of life", "40 %", '"uploaded"'):
        assert word in stalled["words"], stalled
    assert slow["started_ms"] - stalled["started_ms"] < 5000


def test_a_deadline_names_the_last_checkpoint(daemons):
    daemon = daemons(chunks=1, deadline="700ms").start()
    job = daemon.submit("stt=stall,ok")
    assert daemon.ended(job)["state"] == "succeeded"
    words = tried(daemon, job)[0]["words"]
    assert "700ms" in words and "40 %" in words and '"uploaded"' in words


def test_a_poisonous_task_is_held_while_others_go_on(daemons):
    daemon = daemons(chunks=3, deadline="30s")
    daemon.instance("stt2", "fake_stt")
    daemon.uses["stt"] = '[ "stt1", "stt2" ]'
    daemon.write_config()
    daemon.start()
    bad = daemon.submit("stt/0002=crash")
    good = [daemon.submit() for _ in range(5)]
    summary = daemon.wait_state(bad, "held")
    assert summary["reason"] == "plugin" and "three times" in summary["words"]
    assert [one["verdict"] for one in tried(daemon, bad, item="0002")] == ["crashed"] * 3
    assert [task["state"] for task in daemon.tasks(bad, "stt")] == ["succeeded", "held", "succeeded"]
    assert [daemon.ended(job)["state"] for job in good] == ["succeeded"] * 5


def test_a_worker_killed_from_outside_costs_one_attempt(daemons):
    daemon = daemons(chunks=1, deadline="30s").start()
    job = daemon.submit("stt=slow:10s,ok")
    act = daemon.wait_act("begin slow", job=job)[0]
    os.kill(int(act.pid), signal.SIGKILL)
    assert daemon.ended(job)["state"] == "succeeded"
    assert [one["verdict"] for one in tried(daemon, job)] == ["crashed", "ok"]
    assert "stt1 crashed in stt" in tried(daemon, job)[0]["words"]


# ---- The ledger, by what a platform can do -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["keyed", "phased"])
def test_a_lost_answer_is_settled_by_the_platform(daemons, kind):
    daemon = daemons(chunks=1, slots=6)
    folder = daemon.root / f"platform-{kind}"
    folder.mkdir()
    daemon.instance("shop", f"fake_{kind}", limit=6, platform=str(folder))
    daemon.write_config()
    daemon.start()
    acts = ("early", "sent", "posted", "lost", "doubt", "lost,posted")
    jobs = {act: daemon.submit(f"post={act},ok", params={"clips": 1, "targets": ["shop"]}) for act in acts}
    for act, job in jobs.items():
        assert daemon.ended(job)["state"] == "succeeded", act
        effect, = daemon.show(job)["effects"]
        posts = [path for path in folder.iterdir() if path.name.startswith(effect["key"])]
        assert effect["state"] == "confirmed" and [path.name for path in posts] == [effect["post_id"]], act
        uploads = [one for one in daemon.acts(job=job) if one.what.startswith("uploaded")]
        assert len(uploads) == (kind == "phased"), "a phase that is known is not repeated"
        assert not daemon.begun(job=job, stage="find")


def test_the_daemon_dies_while_a_post_is_out(daemons):
    """On each kind of platform: killed between the post and its confirmation, with the worker."""
    daemon = daemons(chunks=1, slots=6, backoff_base="50ms")
    for kind in ("keyed", "phased"):
        (daemon.root / f"platform-{kind}").mkdir()
        daemon.instance(kind, f"fake_{kind}", platform=str(daemon.root / f"platform-{kind}"))
    daemon.write_config()
    daemon.start(CLIPMAKER_DEBUG="1")
    script = "post=linger:20s,ok"
    jobs = {target: daemon.submit(script, params={"clips": 1, "targets": [target]})
            for target in ("pub", "keyed", "phased", "blind")}
    for job in jobs.values():
        daemon.wait_act("posted", job=job)
    daemon.kill()
    daemon.start()
    for target in ("pub", "keyed", "phased"):
        assert daemon.ended(jobs[target])["state"] == "succeeded", target
    held = daemon.wait_state(jobs["blind"], "held")
    assert held["reason"] == "unconfirmed"
    effect, = daemon.show(jobs["blind"])["effects"]
    assert daemon.run("resolve", effect["key"], "https://example.org/1", "--state", str(daemon.state)).returncode == 0
    assert daemon.ended(jobs["blind"])["state"] == "succeeded"


def test_cancel_of_what_nobody_can_tell(daemons):
    daemon = daemons(chunks=1).start()
    job = daemon.submit("post=lost", params={"clips": 1, "targets": ["blind"]})
    daemon.wait_state(job, "held")
    daemon.ask("cancel", job=job)
    assert daemon.wait_state(job, "held", "cancelled")["state"] != "cancelled", "it may be out: nobody forgets that"
    effect, = daemon.show(job)["effects"]
    assert daemon.run("resolve", effect["key"], "https://example.org/1", "--state", str(daemon.state)).returncode == 0
    assert daemon.ended(job)["state"] in ("cancelled", "succeeded")
    assert daemon.show(job)["effects"][0]["state"] == "confirmed"


def test_a_failure_after_the_post_leaves_the_post_alone(daemons):
    daemon = daemons(chunks=1)
    (daemon.root / "platform-news").mkdir()
    daemon.instance("news", "fake_publish", platform=str(daemon.root / "platform-news"))
    after = 'tries = 4; deadline = "20s"; }'
    announce = ',\n  { step = "announce"; stage = "publish"; use = [ "news" ]; after = [ "post" ];' \
               ' each = "moment*format*target"; tries = 2; deadline = "20s"; %s }'
    more_pipelines(daemon, strict=[(after, after + announce % "")], lenient=[(after, after + announce % "optional = true;")])
    daemon.start()
    strict = daemon.submit("announce=cannot", pipeline="strict", params={"clips": 1})
    lenient = daemon.submit("announce=crash", pipeline="lenient", params={"clips": 1})
    assert daemon.ended(strict)["state"] == "failed"
    assert daemon.ended(lenient)["state"] in ("succeeded", "partial")
    for job in (strict, lenient):
        assert [task["state"] for task in daemon.tasks(job, "post")] == ["succeeded"]
        assert len([act for act in daemon.acts(job=job, step="post") if act.what.startswith("posted")]) == 1
    (daemon.tally / f"{strict}.plan").write_text("ok")
    daemon.ask("retry", job=strict)
    assert daemon.ended(strict)["state"] == "succeeded"
    assert len([act for act in daemon.acts(job=strict, step="post") if act.what.startswith("begin")]) == 1
    assert len(daemon.posts()) == 2 and len(list((daemon.root / "platform-news").iterdir())) == 1


# ---- Limits and bans ---------------------------------------------------------------------------------------------


def test_what_a_limit_asks_for_is_recorded(daemons):
    daemon = daemons(chunks=1, limit=4)
    daemon.instance("stt2", "fake_stt")
    daemon.uses["stt"] = '[ "stt1", "stt2" ]'
    daemon.write_config()
    daemon.start()
    short, long = daemon.submit("stt=rate:150ms,ok"), daemon.submit("stt=processing:30ms,ok")
    for job in (short, long):
        assert daemon.ended(job)["state"] == "succeeded"
    far = daemon.submit("stt=rate:60m,ok")
    assert daemon.ended(far)["state"] == "succeeded"
    first, second = tried(daemon, short)
    assert (first["reason"], first["delay_ms"], second["instance"]) == ("rate", 150, "stt1")
    assert second["started_ms"] - first["ended_ms"] >= 150
    first, second = tried(daemon, far)
    assert (first["reason"], first["delay_ms"], second["instance"]) == ("rate", 3600000, "stt2")
    assert second["started_ms"] - first["ended_ms"] < 1000
    assert {task["tries"] for job in (short, long, far) for task in daemon.tasks(job, "stt")} == {0}


def shop(daemon, names, **options):
    for name in names:
        daemon.instance(name, "fake_publish", platform=str(daemon.platform), account="shop", **options)


def test_an_account_waits_as_a_whole(daemons):
    daemon = daemons(chunks=1, slots=6)
    shop(daemon, ("one", "two"), limit=1)
    daemon.write_config()
    daemon.start()
    flooded = daemon.submit("post=flood:4s,ok", params={"clips": 1, "targets": ["one"]})
    daemon.wait_act("end again", job=flooded)
    other = daemon.submit("ok", params={"clips": 1, "targets": ["two"]})
    free = daemon.submit("ok", params={"clips": 1, "targets": ["pub"]})
    for job in (flooded, other, free):
        assert daemon.ended(job)["state"] == "succeeded"

    def post(job):
        return sorted((one for one in daemon.show(job)["attempts"] if one["step"] == "post"), key=lambda one: one["fence"])
    first = post(flooded)[0]
    assert (first["reason"], first["scope"], first["delay_ms"]) == ("rate", "account", 4000)
    assert post(other)[0]["started_ms"] - first["ended_ms"] >= 4000 - 5
    assert post(free)[0]["started_ms"] - first["ended_ms"] < 4000
    assert {task["tries"] for task in daemon.tasks(flooded, "post")} == {0}


def test_the_breaker_of_an_account(daemons):
    daemon = daemons(chunks=1, slots=6, failures=2, rest="5s", backoff_max="50ms")
    shop(daemon, ("one", "two"), limit=1)
    daemon.write_config()
    daemon.start()

    def states():
        return {one["name"]: (one["breaker"], one["account_breaker"]) for one in daemon.ask("status")["instances"]
                if one["stage"] == "publish"}
    banned = daemon.submit("post=banned,banned,ok", params={"clips": 1, "targets": ["one"]})
    daemon.wait(lambda: states()["one"] == ("closed", "open"), "the account's rest")
    assert states()["two"] == ("closed", "open") and states()["pub"] == ("closed", "closed")
    said = daemon.run("status", "--state", str(daemon.state)).stdout
    assert "open until" in said and "shop" in said
    resting = daemon.submit("ok", params={"clips": 1, "targets": ["two"]})
    free = daemon.submit("ok", params={"clips": 1, "targets": ["pub"]})
    assert daemon.ended(free)["state"] == "succeeded"
    assert not daemon.begun(job=resting, stage="publish")
    daemon.wait(lambda: states()["two"][1] in ("half_open", "closed"), "the end of the rest")
    for job in (banned, resting):
        assert daemon.ended(job)["state"] == "succeeded"
    assert states()["one"] == states()["two"] == ("closed", "closed")


def test_the_breaker_of_an_instance(daemons):
    daemon = daemons(chunks=1, failures=2, rest="1s", backoff_max="50ms").start()
    job = daemon.submit("stt=down,down,ok")
    daemon.wait(lambda: [one for one in daemon.ask("status")["instances"]
                         if one["name"] == "stt1" and one["breaker"] == "open" and one["until_ms"] > time.time() * 1000],
                "an open breaker")
    other = daemon.submit()
    daemon.wait(lambda: "stt1" in daemon.ask("why", job=other)["words"], "a word on who rests")
    for one in (job, other):
        assert daemon.ended(one)["state"] == "succeeded"
    assert {one["breaker"] for one in daemon.ask("status")["instances"]} == {"closed"}


# ---- Plugins on the disk -----------------------------------------------------------------------------------------


def test_a_plugin_replaced_and_removed_while_it_works(daemons):
    daemon = daemons(chunks=1, chunk_limit=4)
    own = daemon.root / "own/fake_stt.so"
    own.parent.mkdir()
    shutil.copy(BUILD / "plugins/fake_stt.so", own)
    daemon.instance("own", str(own), tally=str(daemon.tally))
    daemon.instance("stt2", "fake_stt")
    daemon.uses["stt"] = '[ "own", "stt2" ]'
    daemon.write_config()
    daemon.start()
    before = daemon.submit("stt=slow:800ms")
    daemon.wait_act("begin slow", job=before)
    shutil.copy(own, daemon.root / "new.so")
    (daemon.root / "new.so").rename(own)
    after = daemon.submit()
    for job in (before, after):
        assert daemon.ended(job)["state"] == "succeeded"
        assert verdicts(tried(daemon, job)) == [("own", "ok")]
    pids = {job: daemon.begun(job=job, stage="stt")[0].pid for job in (before, after)}
    assert pids[before] != pids[after], "a warm worker of the old file is not used"
    own.unlink()
    gone = daemon.submit()
    assert daemon.ended(gone)["state"] == "succeeded"
    rows = tried(daemon, gone)
    assert rows[-1]["instance"] == "stt2" and rows[0]["verdict"] == "nostart" and str(own) in rows[0]["words"], rows
    used, said = daemon.reload()
    assert not used and str(own) in said, "the config that was in force stays so"
    assert daemon.ended(daemon.submit())["state"] == "succeeded"
