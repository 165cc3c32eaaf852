"""`clipmaker publish`: one clip of a job, now or at a time, once; what `resolve` and `targets` say."""
import datetime
import json
import time

import pytest

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
    assert "is due" in daemon.ask("why", job=job)["words"]
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
