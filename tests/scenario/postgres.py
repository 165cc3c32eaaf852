"""A real PostgreSQL server in a folder of its own, on a unix socket, as an unprivileged user."""
import glob
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

NOBODY = 65534
FOUND = sorted(glob.glob("/usr/lib/postgresql/*/bin"))


class Postgres:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cm-postgres-"))
        self.data, self.log = self.folder / "data", open(self.folder / "log", "ab")
        if os.getuid() == 0:
            os.chown(self.folder, NOBODY, NOBODY)
        self.url = f"postgresql:///postgres?host={self.folder}&user=clipmaker"
        self.process = None
        self.command("initdb", "-D", self.data, "-U", "clipmaker", "-A", "trust", "-E", "UTF8", "--locale=C",
                     "--no-sync").wait()
        self.start()

    def command(self, program, *arguments):
        who = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
        return subprocess.Popen([pathlib.Path(FOUND[-1]) / program, *arguments], stdin=subprocess.DEVNULL,
                                stdout=self.log, stderr=self.log, start_new_session=True, cwd="/", **who)

    def start(self):
        self.process = self.command("postgres", "-D", self.data, "-k", self.folder, "-h", "", "-c", "max_connections=30",
                                    "-c", "shared_buffers=16MB")
        until = time.monotonic() + 30
        while subprocess.run([pathlib.Path(FOUND[-1]) / "pg_isready", "-q", "-h", self.folder]).returncode:
            assert self.process.poll() is None and time.monotonic() < until, (self.folder / "log").read_text()
            time.sleep(0.05)

    def stop(self, number=signal.SIGINT):
        """SIGINT: at once, in order; SIGQUIT: as a crash would."""
        self.process.send_signal(number)
        self.process.wait(30)

    def ask(self, sql, database="postgres"):
        """The lines of an answer."""
        return subprocess.run([pathlib.Path(FOUND[-1]) / "psql", "-h", self.folder, "-U", "clipmaker", "-AtX", "-c", sql,
                               database], check=True, capture_output=True, text=True).stdout.splitlines()

    def database(self, name):
        """An empty one, and its address."""
        self.ask(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self.ask(f"CREATE DATABASE {name}")
        return f"postgresql:///{name}?host={self.folder}&user=clipmaker"

    def end(self):
        if self.process and self.process.poll() is None:
            self.stop()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def postgres():
    """The server; skips where PostgreSQL is not installed."""
    if not FOUND:
        pytest.skip("PostgreSQL is not installed (package postgresql)")
    server = Postgres()
    yield server
    server.end()
