"""`clipmaker publish`: one clip of a job, now or at a time, once; what `resolve` and `targets` say."""
import datetime
import json
import os
import shutil
import subprocess
import time

import pytest

from conftest import STAGE
from daemon import Daemon


@pytest.fixture(name="make")
def make_fixture(tmp_path):
    daemons = []

    def make(**settings):
        daemons.append(Daemon(tmp_path / f"d{len(daemons)}", **settings))
        return daemons[-1]
    yield make
    for daemon in daemons:
        daemon.kill()


def clipped(daemon, target="blind", **params):
    """A job whose two clips are out, at another target than that of the test."""
    job = daemon.submit(params={"clips": 2, "targets": [target], **params})
    assert daemon.ended(job)["state"] == "succeeded"
    return job


def publish(daemon, clip, *arguments, ok=True):
    done = daemon.run("publish", clip, *arguments, "--state", str(daemon.state))
    if ok:
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()
    return done.returncode, done.stderr


def later(seconds):
    return (datetime.datetime.now() + datetime.timedelta(seconds=seconds)).isoformat(" ", "seconds")


def test_a_clip_is_published_once_and_needs_nobody(make):
    daemon = make(chunks=1).start()
    origin = clipped(daemon)
    job = publish(daemon, f"{origin}/1", "--to", "pub", "--title", "Другой заголовок", "--wait")
    assert daemon.ended(job)["state"] == "succeeded"
    assert len(daemon.posts()) == 1
    clip, = [one for one in daemon.show(job)["artifacts"] if one["role"] == "clip"]
    assert clip["facts"]["title"] == "Другой заголовок"
    first, = [one for one in daemon.show(origin)["artifacts"] if one["role"] == "clip" and one["item"] == "01/9:16"]
    assert clip["sha256"] == first["sha256"]

    again = ["--to", "pub", "--title", "Другой заголовок"]
    assert publish(daemon, f"{origin}/01/9:16", *again) == job, "the same clip to the same target is the same job"
    status, words = publish(daemon, f"{origin}/1", "--to", "pub", ok=False)
    assert status == 65 and job in words and "--again" in words
    other = publish(daemon, f"{origin}/1", *again, "--again", "--wait")
    assert other != job and len(daemon.posts()) == 2

    daemon.ask("rm", job=origin)
    daemon.wait(lambda: not (daemon.state / "jobs" / origin).exists(), "the end of the folder")
    retried = [one for one in daemon.show(job)["artifacts"] if one["role"] == "clip"]
    with open(retried[0]["path"], "rb") as file:
        assert len(file.read()) == clip["bytes"]
    daemon.fsck()  # not the ledger of all: the removed job's posts have no row any more
    assert daemon.stop() == 0
    daemon.assert_clean()


def test_what_cannot_be_published_is_said(make):
    daemon = make(chunks=1).start()
    origin = clipped(daemon, formats=["9:16", "1:1"])
    for clip, arguments, status, words in [
            (f"{origin}/1/9:16", ["--to", "pubb"], 64, "did you mean pub?"),
            (f"{origin}/1/9:16", [], 64, "--to NAME"),
            (f"{origin}/7", ["--to", "pub"], 65, f"{origin}/01/9:16"),
            (f"{origin}/1", ["--to", "pub"], 65, f"{origin}/01/1:1"),
            (f"{origin}/1/9:16", ["--to", "blind"], 65, "has published this clip to blind"),
            ("nonsense", ["--to", "pub"], 64, "JOB/RANK"),
            ("0197-none/1", ["--to", "pub"], 66, "there is no job"),
            (f"{origin}/1/9:16", ["--to", "pub", "--at", "2026-02-30 10:00"], 64, "is no time"),
            (f"{origin}/1/9:16", ["--to", "pub", "--at", "2001-01-01 10:00"], 64, "over already"),
            ("/nowhere/clip.mp4", ["--to", "pub"], 66, "no such file")]:
        found, said = publish(daemon, clip, *arguments, ok=False)
        assert (found, words in said) == (status, True), (clip, arguments, found, said)
    assert not daemon.posts()
    daemon.assert_after()


def test_a_file_with_what_lies_beside_it(make, tmp_path):
    daemon = make(chunks=1).start()
    (tmp_path / "01-talk.mp4").write_bytes(b"clip" * 100)
    (tmp_path / "01-talk.txt").write_text("Слова\n#тег\n", encoding="utf-8")
    (tmp_path / "01-talk.srt").write_text("1\n", encoding="utf-8")
    job = publish(daemon, str(tmp_path / "01-talk.mp4"), "--to", "pub", "--wait")
    files = {one["role"]: one for one in daemon.show(job)["artifacts"]}
    assert set(files) >= {"clip", "captions_srt"} and files["clip"]["facts"]["text"] == "Слова\n#тег"
    assert len(daemon.posts()) == 1
    daemon.assert_after()


def test_a_post_waits_for_its_time_and_outlives_the_daemon(make):
    daemon = make(chunks=1).start()
    origin = clipped(daemon)
    due = time.time() + 4
    job = publish(daemon, f"{origin}/1", "--to", "pub", "--at", later(4))
    far = publish(daemon, f"{origin}/2", "--to", "pub", "--at", "+26h")
    daemon.wait(lambda: daemon.job(job)["publish_at_ms"], "the schedule")
    assert abs(daemon.job(job)["publish_at_ms"] / 1000 - due) < 2
    assert f"at {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(daemon.job(job)['publish_at_ms'] / 1000))}" in \
        daemon.ask("why", job=job)["words"]
    assert "due at 20" in daemon.run("jobs", "--state", str(daemon.state)).stdout
    daemon.kill()
    daemon.start()
    assert not daemon.posts()
    assert daemon.ended(job)["state"] == "succeeded"
    attempt, = [one for one in daemon.show(job)["attempts"] if one["op"] == "publish"]
    scheduled = json.loads(daemon.run("show", job, "--json", "--state", str(daemon.state)).stdout)
    at_ms = scheduled["job"]["params"]["publish_at_ms"]
    assert 0 <= attempt["started_ms"] - at_ms < 1000, "within a second of its time"
    assert len(daemon.posts()) == 1

    daemon.ask("cancel", job=far)
    assert daemon.ended(far)["state"] == "cancelled"
    status, words = publish(daemon, f"{origin}/2", "--to", "pub", ok=False)
    assert status == 65 and far in words and "retry" in words
    daemon.assert_after()


def test_a_post_that_was_due_while_nothing_ran_goes_out_at_once(make):
    daemon = make(chunks=1).start()
    origin = clipped(daemon)
    job = publish(daemon, f"{origin}/1", "--to", "pub", "--at", later(2))
    daemon.wait(lambda: daemon.job(job)["publish_at_ms"], "the schedule")
    daemon.kill()
    time.sleep(3)
    started = time.time()
    daemon.start()
    assert daemon.ended(job)["state"] == "succeeded"
    attempt, = [one for one in daemon.show(job)["attempts"] if one["op"] == "publish"]
    assert attempt["started_ms"] / 1000 - started < 3
    assert "was due" in daemon.log_text()
    assert len(daemon.posts()) == 1
    daemon.assert_after()


def test_targets_and_whether_they_work(make, tmp_path):
    daemon = make(chunks=1)
    daemon.instance("small", "fake_publish", platform=str(daemon.platform), max_clip="50MB", max_clip_length="3m",
                    account="shop")
    daemon.instance("sick", "fake_publish", platform=str(daemon.platform), script="check=auth")
    daemon.instance("dying", "fake_publish", platform=str(daemon.platform), script="check=crash")
    daemon.write_config()
    daemon.start()
    state = ["--state", str(daemon.state)]
    told = {one["name"]: one for one in json.loads(daemon.run("targets", "--json", *state).stdout)}
    assert set(told) == {"pub", "blind", "small", "sick", "dying"}
    assert told["small"]["account"] == "shop" and told["small"]["max_clip_bytes"] == 50_000_000
    assert told["small"]["max_clip_ms"] == 180_000
    assert (told["pub"]["settle"], told["blind"]["settle"]) == ("search", "person")
    assert "47.7 MiB" in daemon.run("targets", *state).stdout

    done = daemon.run("targets", "--check", "small", *state)
    assert (done.returncode, done.stdout) == (0, "small works\n"), done.stderr
    assert [one.instance for one in daemon.acts(stage="check", what="begin ok")] == ["small"]
    done = daemon.run("targets", "--check", "small", "--check", "sick", "--check", "dying", "--json", *state)
    assert done.returncode != 0 and "sick: " in done.stderr and "dying: " in done.stderr
    said = {one["target"]: (one["verdict"], one["reason"]) for one in json.loads(done.stdout)}
    assert said["small"] == ("ok", "") and said["sick"] == ("hold", "auth") and said["dying"][0] == "crashed"
    done = daemon.run("targets", "--check", "smal", *state)
    assert done.returncode == 64 and "did you mean small?" in done.stderr
    assert not daemon.posts()
    daemon.assert_after()


def test_resolve_says_what_is_wrong_with_a_key(make):
    daemon = make(chunks=1).start()
    job = daemon.submit("post=sent,ok", params={"clips": 1, "targets": ["blind"]})
    assert daemon.wait_state(job, "held")["reason"] == "unconfirmed"
    effect, = daemon.show(job)["effects"]
    state = ["--state", str(daemon.state)]
    for arguments, status, words in [
            ([effect["key"]], 64, "--live URL or --absent"),
            ([effect["key"], "--live", "https://example.org/1", "--absent"], 64, "either"),
            ([effect["key"], "--live", "nonsense"], 64, "address"),
            ([effect["key"][:12], "--absent"], 66, f"did you mean {effect['key']}?"),
            (["0" * 40, "--absent"], 66, effect["key"])]:
        done = daemon.run("resolve", *arguments, *state)
        assert (done.returncode, words in done.stderr) == (status, True), (arguments, done.returncode, done.stderr)
    assert daemon.run("resolve", effect["key"], "--live", "https://example.org/1", *state).returncode == 0
    assert daemon.ended(job)["state"] == "succeeded"
    done = daemon.run("resolve", effect["key"], "--absent", *state)
    assert done.returncode == 65 and "it is live: https://example.org/1" in done.stderr
    daemon.assert_after()


# ---- Clips that are too large for their target ---------------------------------------------------------------------


def posted(daemon, job):
    """The publish task's attempts in order, and the clip that it made for itself."""
    shown = daemon.show(job)
    attempts = sorted((one["fence"], one["op"], one["verdict"]) for one in shown["attempts"] if one["step"] == "post")
    own = [one for one in shown["artifacts"] if one["step"] == "post" and one["role"] == "clip"]
    return [(op, verdict) for _, op, verdict in attempts], own


def test_a_clip_is_made_to_fit_before_it_is_published(make):
    daemon = make(chunks=1)
    daemon.instance("small", "fake_publish", platform=str(daemon.platform), max_clip="300")
    daemon.write_config()
    daemon.start()
    job = daemon.submit(params={"clips": 1, "targets": ["small"]})
    assert daemon.ended(job)["state"] == "succeeded"
    attempts, own = posted(daemon, job)
    assert attempts == [("fit", "ok"), ("publish", "ok")]
    clip, = [one for one in daemon.show(job)["artifacts"] if one["role"] == "clip" and one["step"] == "clip"]
    assert clip["bytes"] > 300 >= own[0]["bytes"] and own[0]["facts"]["title"] == clip["facts"]["title"]
    assert len(daemon.posts()) == 1
    assert f"{job}/01/9:16 " in daemon.run("show", job, "--state", str(daemon.state)).stdout

    again = publish(daemon, f"{job}/1", "--to", "small", "--again", "--wait")
    assert [one["op"] for one in daemon.show(again)["attempts"]].count("fit") == 1, "also where nothing was rendered"
    assert len(daemon.posts()) == 2
    daemon.assert_after()


def test_a_limit_that_the_platform_told_only_by_refusing(make):
    daemon = make(chunks=1)
    daemon.instance("shy", "fake_publish", platform=str(daemon.platform), untold="850")
    daemon.instance("mean", "fake_publish", platform=str(daemon.platform), untold="10")
    daemon.write_config()
    daemon.start()
    job = daemon.submit(params={"clips": 1, "targets": ["shy", "mean"]})
    assert daemon.ended(job)["state"] in ("partial", "failed")
    shown = daemon.show(job)
    states = {one["item"]: one["state"] for one in shown["tasks"] if one["step"] == "post"}
    given, = [one["bytes"] for one in shown["artifacts"] if one["role"] == "clip" and one["step"] == "clip"]
    assert 850 < given and given * 0.9 <= 850, f"a clip of {given} bytes proves nothing: change the limit"
    assert states == {"01/9:16/shy": "succeeded", "01/9:16/mean": "failed"}
    for target, ops in (("shy", ["publish", "fit", "publish"]), ("mean", ["publish", "fit", "publish"])):
        found = sorted((one["fence"], one["op"]) for one in shown["attempts"] if one["item"].endswith(target))
        assert [op for _, op in found] == ops, "once, and then it is over"
    assert len(daemon.posts()) == 1
    daemon.assert_after()


def test_what_is_too_long_is_not_made_smaller(make):
    daemon = make(chunks=1)
    daemon.instance("brief", "fake_publish", platform=str(daemon.platform), max_clip="300", max_clip_length="1s")
    daemon.write_config()
    daemon.start()
    job = daemon.submit(params={"clips": 1, "targets": ["brief"]})
    assert daemon.ended(job)["reason"] == "too_large"
    attempts, own = posted(daemon, job)
    assert attempts == [("publish", "cannot")] and not own
    daemon.assert_after()


def test_a_daemon_dies_while_a_clip_is_made_to_fit(make):
    daemon = make(chunks=1)
    daemon.instance("small", "fake_publish", platform=str(daemon.platform), max_clip="300")
    daemon.write_config()
    daemon.start()
    job = daemon.submit("render/01+9x16+small=hang,ok", params={"clips": 1, "targets": ["small"]})
    daemon.wait_act("begin hang", stage="render", step="post")
    assert "making the clip smaller" in daemon.ask("why", job=job)["words"]
    daemon.kill()
    daemon.start()
    assert daemon.ended(job)["state"] == "succeeded"
    attempts, own = posted(daemon, job)
    assert attempts == [("fit", "lost"), ("fit", "ok"), ("publish", "ok")] and len(own) == 1
    assert len(daemon.posts()) == 1
    daemon.assert_after()


@pytest.mark.plain
def test_a_real_clip_keeps_to_the_size_of_its_target(tmp_path, sample_ru):
    folder = tmp_path / "etc"
    shutil.copytree(STAGE / "etc/clipmaker", folder)
    (folder / "conf.d").mkdir(exist_ok=True)
    (folder / "conf.d/fit.conf").write_text('plugins: { cut: { preset = "ultrafast"; size = 540; };\n'
                                            '  folder: { max_clip = "600KB"; }; };\n')
    done = subprocess.run([STAGE / "bin/clipmaker", "run", sample_ru, "-o", tmp_path / "out", "--lang", "ru", "--min", "10s",
                           "--max", "15s", "-n", "1", "--json", "-c", folder / "clipmaker.conf"], capture_output=True, text=True,
                          timeout=120, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"})
    assert done.returncode == 0, done.stderr
    clip, = json.loads(done.stdout)["clips"]
    made = tmp_path / "out" / clip["file"]
    before, = (tmp_path / "out").glob(".clipmaker/*/jobs/*/clip.*/clip.mp4")
    assert before.stat().st_size > 600000 >= made.stat().st_size > 300000
    told = {path: json.loads(subprocess.run(
        ["ffprobe", "-v", "error", "-of", "json", "-show_streams", "-show_format", path], capture_output=True, text=True,
        check=True).stdout) for path in (before, made)}
    assert [one["codec_name"] for one in told[made]["streams"]] == ["h264", "aac"]
    lengths = [float(one["format"]["duration"]) for one in told.values()]
    assert abs(lengths[0] - lengths[1]) < 0.05
