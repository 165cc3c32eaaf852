"""Clouds that misbehave, through the daemon: who is asked next, what is remembered, what is on record."""
import email.utils
import json
import sqlite3
import time

import pytest

from daemon import Daemon
from openai_server import Answer, Server, chat, error
from test_75_openai import KEY, SEGMENTS, VERBOSE, moments_of


@pytest.fixture
def servers():
    with Server(otherwise=moments_of) as first, Server(otherwise=moments_of) as second:
        yield first, second


@pytest.fixture
def daemon(servers, tmp_path):
    """Its models: llm1 at the first server, llm2 at the second when it fails."""
    made = Daemon(tmp_path / "d", chunks=1, backoff_max="5s")
    (tmp_path / "key").write_text(KEY + "\n")
    for number, server in enumerate(servers, 1):
        made.instance(f"llm{number}", "llm_openai", url=server.url, key=f"file:{tmp_path}/key", model=f"m-{number}",
                      timeout="20s")
    made.uses["llm"] = '[ "llm1", "llm2" ]'
    made.write_config()
    made.start()
    yield made
    made.kill()
    made.wait(lambda: not made.processes(), "the end of every process", 10)


def tried(daemon, job, step):
    return sorted((one for one in daemon.show(job)["attempts"] if one["step"] == step), key=lambda one: one["fence"])


def calls(daemon, step):
    """The rows of paid calls."""
    with sqlite3.connect(f"file:{daemon.state}/store.sqlite?mode=ro", uri=True) as store:
        store.row_factory = sqlite3.Row
        rows = store.execute("SELECT * FROM llm_call WHERE step = ? ORDER BY sent_ms, id", (step,))
        return [(row["instance"], row["state"], row["tokens_in"], row["tokens_out"]) for row in rows]


ANSWERED = 2


# ---- Limits -------------------------------------------------------------------------------------

def in_seconds(seconds):
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


@pytest.mark.plain
@pytest.mark.parametrize("headers, least_ms, most_ms, next_one", [
    ({"Retry-After": "1"}, 1000, 1000, "llm1"),
    ({"retry-after-ms": "300"}, 300, 300, "llm1"),
    ({"Retry-After": lambda: in_seconds(3)}, 1, 3000, "llm1"),
    ({"Retry-After": "garbage"}, 0, 0, "llm1"),
    ({"Retry-After": "3600"}, 3600000, 3600000, "llm2"),
    ({"Retry-After": lambda: in_seconds(3600)}, 3590000, 3600000, "llm2"),
])
def test_a_limit_is_waited_for_or_the_next_is_asked_at_once(daemon, servers, headers, least_ms, most_ms, next_one):
    headers = {name: value() if callable(value) else value for name, value in headers.items()}
    servers[0].script = [error(429, "rate_limit_exceeded", "requests", headers=headers)]
    job = daemon.submit()
    assert daemon.ended(job)["state"] == "succeeded"
    first, second = tried(daemon, job, "moments")
    assert (first["instance"], first["verdict"], first["reason"]) == ("llm1", "again", "rate")
    assert least_ms <= first["delay_ms"] <= most_ms and second["instance"] == next_one
    waited_ms = second["started_ms"] - first["ended_ms"]
    assert waited_ms >= first["delay_ms"] if next_one == "llm1" else waited_ms < 1000
    assert daemon.tasks(job, "moments")[0]["tries"] == 0


# ---- Answers that cannot be used ----------------------------------------------------------------

@pytest.mark.parametrize("useless, reason", [
    ([chat("The best is the first."), chat('```json\n{"moments": 7}\n```')], "malformed"),
    ([chat('{"moments": [{"fir', "length"), chat('{"moments": [{"first": 0, "la', "length")], "too_large"),
    ([chat('{"moments": [{"fir', "length"), chat("{}"), chat("[]")], "malformed"),
    ([chat(None, refusal="I will not")], "content"),
])
def test_a_useless_answer_is_asked_for_again_then_elsewhere_and_booked(daemon, servers, useless, reason):
    servers[0].script = list(useless)
    job = daemon.submit()
    assert daemon.ended(job)["state"] == "succeeded"
    first, second = tried(daemon, job, "moments")
    assert (first["instance"], first["verdict"], first["reason"]) == ("llm1", "cannot", reason)
    assert (second["instance"], second["verdict"]) == ("llm2", "ok")
    assert calls(daemon, "moments") == [("llm1", ANSWERED, 100, 20)] * len(useless) + [("llm2", ANSWERED, 100, 20)]


def test_a_stream_that_is_cut_is_asked_for_again(daemon, servers):
    def cut(request):
        answer = moments_of(request)
        answer.lost = "inside"
        return answer
    servers[0].script = [cut, Answer(lost="during"), Answer("<html>502</html>", 502), Answer({"error": {"code": 503}}, 200)]
    job = daemon.submit()
    assert daemon.ended(job, 40)["state"] == "succeeded"
    reasons = [(one["instance"], one["reason"]) for one in tried(daemon, job, "moments")]
    assert reasons[0] == ("llm1", "network") and reasons[-1][1] == ""
    assert {("llm1", "network")} <= set(reasons)


# ---- Speech -------------------------------------------------------------------------------------

@pytest.fixture
def listener(tmp_path):
    """A daemon that hears through stt_cloudru; listener.server is its server."""
    with Server() as server:
        made = Daemon(tmp_path / "d", chunks=1)
        (tmp_path / "key").write_text(KEY + "\n")
        made.instance("stt1", "stt_cloudru", url=server.url, key=f"file:{tmp_path}/key", model="w", trial="1s", timeout="9s")
        made.write_config()
        made.server = server
        made.start()
        yield made
        made.kill()
        made.wait(lambda: not made.processes(), "the end of every process", 10)


def spoken(first_s=0, last_s=40):
    return Answer({**VERBOSE, "words": None, "segments": [
        {**SEGMENTS[0], "start": at, "end": at + 4.9, "text": " Many words are said here every time."}
        for at in range(first_s, last_s, 5)]})


TEXT = Answer({"text": " ".join(["word"] * 60)})


def formats(server):
    return [one.fields["response_format"][0] for one in server.requests]


def test_what_the_server_cannot_is_found_out_once_and_survives_a_restart(listener):
    listener.server.script, listener.server.otherwise = [Answer("never", slow=4)], TEXT
    begun = time.monotonic()
    assert listener.ended(listener.submit())["state"] == "succeeded"
    assert formats(listener.server) == ["verbose_json", "json"] and time.monotonic() - begun < 6
    assert listener.ended(listener.submit())["state"] == "succeeded"
    listener.kill()
    listener.start()
    assert listener.ended(listener.submit())["state"] == "succeeded"
    assert formats(listener.server) == ["verbose_json", "json", "json", "json"]


def test_a_part_that_was_lost_is_noticed_and_asked_for_again(listener):
    listener.server.script = [spoken(0, 10), spoken()]
    job = listener.submit()
    assert listener.ended(job)["state"] == "succeeded"
    first, second = tried(listener, job, "stt")
    assert (first["verdict"], first["reason"], second["verdict"]) == ("again", "malformed", "ok")
    assert "lost a part" in first["words"] and len(listener.server.requests) == 2


def test_nothing_heard_twice_is_no_transcript(listener):
    listener.server.otherwise = Answer({"text": ""})
    job = listener.submit()
    assert listener.ended(job)["state"] == "failed"
    assert not [one for one in listener.show(job)["artifacts"] if one["role"] == "words"]
    assert not list(listener.state.glob("jobs/*/answers/*"))
