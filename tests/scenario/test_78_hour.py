"""An hour of speech at a recogniser elsewhere: chunks side by side, as many as its limit says; and what a rate limit
or a dead key in the middle of it costs.

The server takes its time as a real one does, ten times faster: 2 s for a chunk of three minutes.
`make check-media` runs it in real proportion, over a film of an hour.
"""
import threading
import time

import pytest

from daemon import Daemon
from openai_server import Answer, Server, error

CHUNKS, CHUNK_S, TAKES_S, LIMIT = 20, 180, 2.0, 4
KEY = "sk-test-77aa"


def words_of(length_s):
    return [{"word": f"word{number}", "start": number / 2, "end": number / 2 + 0.4} for number in range(length_s * 2)]


class Slow:
    """A recogniser that needs `takes` seconds a chunk, and counts who is there at once. special: {number of the request:
    what it does}."""

    def __init__(self, takes, length_s=CHUNK_S):
        self.takes, self.length_s, self.special = takes, length_s, {}
        self.lock, self.now, self.most, self.asked, self.answered, self.begun = threading.Lock(), 0, 0, [], [], []

    def __call__(self, request):
        chunk = request.files["file"][2].decode().split("\n")[-2]
        with self.lock:
            number = len(self.asked)
            self.asked.append(chunk)
            self.begun.append(time.monotonic())
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            if number in self.special:
                return self.special[number](request)
            time.sleep(self.takes)
            self.answered.append(chunk)
            words = words_of(self.length_s)
            return Answer({"task": "transcribe", "language": "english", "duration": self.length_s, "segments": [],
                           "text": " ".join(one["word"] for one in words), "words": words})
        finally:
            with self.lock:
                self.now -= 1


@pytest.fixture
def new_daemon(tmp_path):
    made = []

    def new(**instances):
        """instances: name → server; they are the chain of stt, in this order."""
        daemon = Daemon(tmp_path / "d", short=True, chunks=CHUNKS, chunk_length=f"{CHUNK_S}s", slots=1, deadline="60s")
        (tmp_path / "key").write_text(KEY + "\n")
        for name, server in instances.items():
            daemon.instance(name, "stt_openai", url=server.url, key=f"file:{tmp_path}/key", model="m-1", limit=LIMIT)
        daemon.uses["stt"] = "[ " + ", ".join(f'"{name}"' for name in instances) + " ]"
        daemon.write_config()
        made.append(daemon)
        return daemon.start()
    yield new
    for daemon in made:
        daemon.kill()
        daemon.wait(lambda one=daemon: not one.processes(), "the end of every process", 10)


def transcribed(daemon, job):
    tasks = daemon.tasks(job, "stt")
    assert len(tasks) == CHUNKS and all(task["state"] == "succeeded" for task in tasks)


@pytest.mark.plain
def test_an_hour_takes_as_long_as_its_chunks_side_by_side(new_daemon):
    """One slot on this machine is enough: who waits for a server takes none."""
    ear = Slow(TAKES_S)
    with Server(otherwise=ear) as server:
        daemon = new_daemon(hear=server)
        begun = time.monotonic()
        job = daemon.submit()
        assert daemon.ended(job, 60)["state"] == "succeeded"
        seconds = time.monotonic() - begun
    transcribed(daemon, job)
    assert sorted(ear.answered) == sorted(set(ear.asked)) and len(ear.asked) == CHUNKS
    assert ear.most == LIMIT
    ideal = -(-CHUNKS // LIMIT) * TAKES_S
    print(f"{seconds:.2f} s, ideal {ideal:.2f} s: {seconds / ideal:.3f}")
    assert seconds <= 1.5 * ideal  # of a machine that may be busy; in real proportion it is 1.15


def test_a_rate_limit_costs_its_own_chunk_and_the_wait_that_was_asked_for(new_daemon):
    wait_s, ear = 1.2, Slow(0.4)
    ear.special[6] = lambda request: error(429, "rate_limit_exceeded", "requests", headers={"retry-after-ms": str(int(wait_s * 1000))})
    with Server(otherwise=ear) as server:
        daemon = new_daemon(hear=server)
        job = daemon.submit()
        assert daemon.ended(job, 60)["state"] == "succeeded"
    transcribed(daemon, job)
    limited = ear.asked[6]
    assert ear.asked.count(limited) == 2 and len(ear.asked) == CHUNKS + 1
    assert sorted(ear.answered) == sorted(set(ear.asked)), "something answered was asked again"
    quiet = [at for at in ear.begun[7:] if ear.begun[6] + 0.15 < at < ear.begun[6] + wait_s - 0.05]
    assert not quiet, "asked although it was told to wait"


def test_a_key_that_dies_hands_the_rest_to_the_next(new_daemon):
    first, second = Slow(0.3), Slow(0.3)
    dead = threading.Event()

    def refuse(_):
        dead.set()
        return error(401, "invalid_api_key", message="Incorrect API key provided")
    first.special = {number: refuse for number in range(7, 1000)}
    with Server(otherwise=first) as one, Server(otherwise=second) as other:
        daemon = new_daemon(hear=one, spare=other)
        job = daemon.submit()
        assert daemon.ended(job, 60)["state"] == "succeeded"
    transcribed(daemon, job)
    assert dead.is_set() and len(first.answered) == 7
    assert sorted(first.answered + second.answered) == sorted(set(first.asked + second.asked))
    assert not set(first.answered) & set(second.asked), "what the first had answered was asked again"
    assert len(second.asked) == len(set(second.asked)) == CHUNKS - 7
    for chunk in set(first.asked):
        assert first.asked.count(chunk) == 1
    assert KEY not in daemon.log_text()
