"""Workers and daemons killed while they talk to a scripted server, at every phase of a request."""
import collections
import itertools
import os
import pathlib
import re
import signal
import threading
import time

from daemon import OVER, send_signal

#: How many posts the killing goes over.
POSTS = int(os.environ.get("CLIPMAKER_TEST_POSTS", 30))

PHASES = ("head", "part", "body", "accepted", "answered")
LATE = ("body", "accepted", "answered")
VICTIMS = ("worker", "daemon", "both")


def owner_of(port):
    """The process that has the TCP connection from that local port."""
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].split(":")[1], 16) == port and fields[9] != "0":
            return process_with(f"socket:[{fields[9]}]")
    return None


def process_with(link):
    for folder in pathlib.Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                if any(os.readlink(fd) == link for fd in (folder / "fd").iterdir()):
                    return int(folder.name)
            except OSError:
                continue
    return None


class Killer:
    """For `server.watch`: of the requests of each kind, one of `every` meets the next of all (phase, victim)."""

    def __init__(self, daemon, every=2):
        self.daemon, self.every, self.turns, self.plans = daemon, every, collections.Counter(), {}
        self.kills, self.kinds, self.lock = collections.Counter(), collections.Counter(), threading.Lock()

    def plan(self, kind):
        """Each kind begins elsewhere, so that few requests meet many plans, too."""
        if kind not in self.plans:
            plans = list(itertools.product(PHASES, VICTIMS))
            first = 4 * len(self.plans) % len(plans)
            self.plans[kind] = itertools.cycle(plans[first:] + plans[:first])
        self.turns[kind] += 1
        return next(self.plans[kind]) if self.turns[kind] % self.every == 1 else None

    def __call__(self, phase, handler):
        if phase == "head":
            with self.lock:
                handler.plan = self.plan(re.sub(r"\d+$", "", handler.path))
        if getattr(handler, "plan", None) and handler.plan[0] == phase:
            self.kill(handler, *handler.plan)

    def kill(self, handler, phase, victim):
        worker = owner_of(handler.client_address[1])
        if phase == "answered":
            time.sleep(0.02)  # the worker reads the answer, and may have told it
        for pid in {"worker": [worker], "daemon": [self.daemon.process.pid]}.get(victim, [self.daemon.process.pid, worker]):
            if pid:
                send_signal(pid, signal.SIGKILL)
        with self.lock:
            self.kills[phase, victim] += 1
            self.kinds[re.sub(r"\d+$", "", handler.path), phase] += 1


def tend(daemon, jobs, seconds, settle=lambda job: None):
    """Starts the daemon whenever it is dead, and settles what is held, until every job is over."""
    until, left = time.monotonic() + seconds, list(jobs)
    while left and time.monotonic() < until:
        if daemon.process.poll() is not None:
            assert daemon.process.returncode == -signal.SIGKILL, daemon.log_text()[-3000:]
            daemon.start(ready=False)
        try:
            for job in left[:4]:
                settle(job)
            left = [job for job in left if daemon.job(job)["state"] not in OVER]
        except (OSError, ConnectionError):
            time.sleep(0.02)
        time.sleep(0.05)
    assert not left, (left, daemon.log_text()[-3000:])
