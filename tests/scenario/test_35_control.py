"""What strangers write into the control socket: any bytes, and requests with anything in their fields."""
import json
import random
import socket

import pytest

from daemon import Client, Daemon

SEED = 20
REQUESTS = 1500
WORDS = ("submit", "jobs", "show", "watch", "why", "cancel", "retry", "rm", "resolve", "status", "fsck", "reload")
FIELDS = ("v", "do", "source", "params", "owner", "priority", "request_key", "pipeline", "limit", "job", "step", "item",
          "effect", "url")


@pytest.fixture
def daemon(tmp_path):
    one = Daemon(tmp_path / "d", short=True)
    one.start()
    yield one
    one.kill()
    one.wait(lambda: not one.processes(), "the end of every process", 10)


def odd_value(chance, job):
    return chance.choice([
        None, True, 0, -1, 2**63 - 1, -2**63, 1e308, "", job, "fake:ok", "/nowhere", "x" * chance.choice([1, 300, 40000]),
        "\u0000", "../..", "\U0001F3AC", [], {}, [[[]]], {"clips": {"min": "1s"}}, {"": ""}, {"language": 5},
        {"formats": ["9:16", 3]}, {"targets": ["pub", "nobody"]}, "{\"v\":1}"])


def request(chance, job):
    """Mostly a request that makes sense but for a field or two."""
    made = {"v": 1, "do": chance.choice(WORDS), "job": job, "step": "stt", "item": "0001", "source": "fake:ok"}
    for _ in range(chance.randrange(3)):
        made[chance.choice(FIELDS)] = odd_value(chance, job)
    for _ in range(chance.randrange(2)):
        made.pop(chance.choice(list(made)), None)
    return json.dumps(made, ensure_ascii=chance.random() < 0.5)


def line(chance, job):
    text = request(chance, job).encode("utf-8", "replace")
    kind = chance.randrange(8)
    if kind == 0:
        text = text[:chance.randrange(len(text))]
    if kind == 1:
        at = chance.randrange(len(text))
        text = text[:at] + bytes(chance.randrange(256) for _ in range(chance.randrange(1, 9))) + text[at:]
    return text.replace(b"\n", b" ")


def test_each_line_has_one_answer(daemon):
    """In order, "ok" or a status of sysexits with words on one line; the daemon and its store live on."""
    chance = random.Random(SEED)
    job = daemon.submit()
    daemon.ended(job)
    refused = answered = 0
    for number in range(REQUESTS):
        if number % 50 == 0:
            client = daemon.client()
        client.socket.sendall(line(chance, job) + b"\n")
        answer = client.line()
        while "event" in answer:  # somebody watches
            answer = client.line()
        if answer["ok"] is True:
            answered += 1
            continue
        refused += 1
        assert answer["ok"] is False and answer["status"] in range(64, 79), answer
        assert answer["words"] and "\n" not in answer["words"], answer
        if number % 50 == 49:
            client.close()
    assert answered > REQUESTS / 20 and refused > REQUESTS / 3, (answered, refused)
    for one in daemon.ask("jobs", limit=1000)["jobs"]:
        daemon.ended(one["id"], seconds=60)
    daemon.assert_after()


def test_bytes_that_are_no_lines(daemon):
    """A line without end is refused and its sender goes; noise and sudden ends cost nobody else anything."""
    chance = random.Random(SEED)
    endless = Client(daemon.control)
    try:
        endless.socket.sendall(b"{" * 300_000)
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert endless.line()["ok"] is False
    with pytest.raises((ConnectionError, socket.timeout)):
        endless.line()
    for number in range(200):
        client = Client(daemon.control)
        client.socket.sendall(bytes(chance.randrange(256) for _ in range(chance.randrange(200))))
        client.close()
        if number % 8 == 7:  # the socket's backlog is 16
            daemon.ask("status")
    job = daemon.submit()
    assert daemon.ended(job)["state"] == "succeeded"
    daemon.assert_after()
