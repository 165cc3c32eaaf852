"""A real clipmakerd with real warm workers that do nothing, and DAGs for it."""
import json
import os
import pathlib
import signal
import socket
import sqlite3
import subprocess
import time

TASKS_IN_A_DAG = 33

CONFIG = """language = "en"; slots = {slots}; max_jobs = 0; min_free = "1MiB"; log = "{log}"; drain = "1s";
kill_after = "1s"; worker = "{worker}"; {store}
warm: {{ idle = "60s"; attempts = 1000000; }};
plugins: {{ noop: {{ plugin = "{plugin}"; limit = {slots}; }}; }};
pipeline: (
  {{ step = "a"; stage = "llm"; use = [ "noop" ]; ask = "make0"; }},
  {{ step = "b"; stage = "llm"; use = [ "noop" ]; ask = "make0"; after = [ "a" ]; }},
  {{ step = "c"; stage = "llm"; use = [ "noop" ]; ask = "make5"; after = [ "b" ]; makes = [ "part" ]; }},
  {{ step = "d"; stage = "llm"; use = [ "noop" ]; ask = "make5"; after = [ "c" ]; each = "part"; makes = [ "piece" ]; }},
  {{ step = "e"; stage = "llm"; use = [ "noop" ]; ask = "make0"; after = [ "d" ]; each = "part*piece"; }}
);
"""

EFFECTS = """language = "en"; slots = 10; max_jobs = 0; min_free = "1MiB"; drain = "1s"; kill_after = "1s";
worker = "{worker}"; {store}
warm: {{ idle = "60s"; attempts = 1000000; }};
plugins: {{ noop: {{ plugin = "{noop}"; limit = 10; }}; effect: {{ plugin = "{effect}"; limit = 10; file = "{file}"; }}; }};
targets = [ "effect" ];
pipeline: (
  {{ step = "clip"; stage = "llm"; use = [ "noop" ]; ask = "clip"; }},
  {{ step = "post"; stage = "publish"; use = [ "target" ]; after = [ "clip" ]; each = "target"; }}
);
"""


class Daemon:
    """Everything under `root`; started by start(), gone after kill() or stop()."""

    def __init__(self, root, programs, config):
        self.root, self.programs = pathlib.Path(root), programs
        self.state = self.root / "state"
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / "clipmaker.conf").write_text(config)
        self.process = None

    def start(self):
        with open(self.root / "log", "ab") as log:
            self.process = subprocess.Popen([self.programs["clipmakerd"], "--config", self.root / "clipmaker.conf",
                                             "--state", self.state], stdout=log, stderr=log)
        path = self.state / "control.sock"
        until = time.monotonic() + 20
        while True:
            try:
                self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                self.socket.settimeout(60)
                self.socket.connect(str(path))
                break
            except OSError:
                if self.process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError("clipmakerd does not serve: " + (self.root / "log").read_text()[-2000:])
                time.sleep(0.005)
        self.lines = self.socket.makefile("r", encoding="utf-8")
        return self

    def send(self, do, **fields):
        self.socket.sendall(json.dumps({"v": 1, "do": do, **fields}).encode() + b"\n")

    def answer(self):
        answer = json.loads(self.lines.readline())
        if not answer["ok"]:
            raise RuntimeError(answer["words"])
        return answer

    def ask(self, do, **fields):
        self.send(do, **fields)
        return self.answer()

    def submit(self):
        return self.ask("submit", source="/etc/hostname", params={})["job"]

    def unfinished(self):
        return self.ask("status")["jobs"]

    def rows(self, sql):
        database = sqlite3.connect(f"file:{self.state}/store.sqlite?mode=ro", uri=True)
        try:
            return database.execute(sql).fetchall()
        finally:
            database.close()

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()


def dags(daemon, count, in_flight, rate):
    """COUNT DAGs, IN_FLIGHT at once or RATE a second; what was measured."""
    begun, submitted = time.monotonic(), 0
    while submitted < count:
        if rate:
            time.sleep(max(0, begun + submitted / rate - time.monotonic()))
            room = 1
        else:
            room = min(count - submitted, in_flight - daemon.unfinished())
            if room <= 0:
                time.sleep(0.004)
                continue
        for _ in range(room):
            daemon.send("submit", source="/etc/hostname", params={})
        for _ in range(room):
            daemon.answer()
        submitted += room
    while daemon.unfinished() or daemon.rows("SELECT count(*) FROM job WHERE state < 3")[0][0]:
        time.sleep(0.002)
    seconds = time.monotonic() - begun
    lengths = sorted(one[0] for one in daemon.rows("SELECT finished_ms - created_ms FROM job WHERE state = 3 "
                                                   f"ORDER BY id DESC LIMIT {count}"))
    assert len(lengths) == count, f"{len(lengths)} of {count} DAGs succeeded"
    tasks = count * TASKS_IN_A_DAG
    return {"tasks": tasks, "seconds": seconds, "tasks_per_s": round(tasks / seconds),
            "p50_ms": lengths[round(0.5 * (count - 1))], "p99_ms": lengths[round(0.99 * (count - 1))]}
