"""kill -9 of everything, ten times over one real job: it goes on where it was and ends as if undisturbed."""
import contextlib
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import time

import pytest

from conftest import STAGE, made
from daemon import send_signal

#: Which step's new attempt to wait for, and how long after its start everything is killed.
MOMENTS = [("fetch", 0), ("prepare", 0.05), ("transcript", 0.1), ("transcript", 0.5), ("transcript", 1.0),
           ("moments", 0), ("clip", 0.1), ("clip", 0.6), ("clip", 1.2), ("publish", 0)]


def cut(source, target):
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", source, "-t", "35", "-c", "copy", target], check=True)


@pytest.fixture
def config(tmp_path):
    folder = tmp_path / "etc"
    shutil.copytree(STAGE / "etc/clipmaker", folder)
    (folder / "conf.d").mkdir(exist_ok=True)
    (folder / "conf.d/fast.conf").write_text('plugins: { cut: { preset = "ultrafast"; }; };\n')
    return folder / "clipmaker.conf"


class Job:
    def __init__(self, film, out, config):
        self.out = out
        self.command = [STAGE / "bin/clipmaker", "run", film, "-o", out, "--lang", "en", "--min", "5s", "--clips", "3",
                        "-c", config]

    def start(self):
        return subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, env={**os.environ, "LC_ALL": "C.UTF-8"})

    def state(self):
        found = list((self.out / ".clipmaker").glob("*/jobs"))
        return found[0].parent if found else None

    def attempts(self, step):
        """As the store has them: they are there before their workers are."""
        state = self.state()
        if not state:
            return set()
        try:
            with contextlib.closing(sqlite3.connect(f"file:{state}/store.sqlite?mode=ro", uri=True, timeout=5)) as store:
                return set(store.execute("SELECT item, fence FROM attempt WHERE step=?", [step]))
        except sqlite3.OperationalError:  # not there yet
            return set()

    def processes(self):
        mine = str(self.out).encode()
        return [int(folder.name) for folder in pathlib.Path("/proc").iterdir()
                if folder.name.isdigit() and int(folder.name) != os.getpid() and belongs(folder, mine)]

    def kill_everything(self):
        while True:
            alive = self.processes()
            if not alive:
                return
            for pid in alive:
                send_signal(pid, 9)
            time.sleep(0.02)

    def ask(self, *arguments):
        done = subprocess.run([STAGE / "bin/clipmaker", *arguments, "--state", self.state(), "--json"], timeout=30,
                              capture_output=True, text=True, env={**os.environ, "LC_ALL": "C.UTF-8"}, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def done(self):
        """(step, item, fence) of every attempt that is stored as good. One that only looks for a post in doubt makes
        nothing: it may be good many times."""
        jobs = self.ask("jobs")
        rows = self.ask("show", jobs[0]["id"])["attempts"] if jobs else []
        return [(one["step"], one["item"], one["fence"]) for one in rows if one["verdict"] == "ok" and one["op"] != "find"]


def belongs(folder, mine):
    try:
        if (folder / "stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return False
        if mine in (folder / "cmdline").read_bytes():
            return True
        return any(opens(one, mine) for one in (folder / "fd").iterdir())
    except OSError:
        return False


def opens(link, mine):
    try:
        return os.readlink(link).encode().startswith(mine)
    except OSError:
        return False


def kill_in(job, step, after_s):
    """True when everything was killed within a new attempt of that step."""
    before = job.attempts(step)
    client = job.start()
    while client.poll() is None and not job.attempts(step) - before:
        time.sleep(0.003)
    time.sleep(after_s)
    caught = client.poll() is None
    job.kill_everything()
    client.communicate()
    return caught


def clips_of(out):
    listed = json.loads((out / "clips.json").read_text())["clips"]
    return [(one["file"], one["start_s"], one["end_s"], one["title"], duration(out / one["file"])) for one in listed]


def duration(path):
    return float(subprocess.run(["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", path],
                                capture_output=True, text=True, check=True).stdout)


def visible(out):
    return sorted(path.name for path in out.iterdir() if path.name != ".clipmaker")


@pytest.mark.long
def test_ten_kills_over_the_main_job(sample_en, config, tmp_path):
    film = made("en35.mp4", lambda path: cut(sample_en, path))
    calm = Job(film, tmp_path / "calm", config)
    client = calm.start()
    assert client.communicate(timeout=300) and client.returncode == 0
    job = Job(film, tmp_path / "out", config)
    caught, finished = [], []
    for step, after_s in MOMENTS:
        if kill_in(job, step, after_s):
            caught.append(step)
        if job.state():
            good = job.done()
            assert set(finished) <= set(good), "what was done is not lost"
            finished = good
    client = job.start()
    out, err = client.communicate(timeout=300)
    assert client.returncode == 0, err
    print("killed in", caught)
    assert len(caught) == len(MOMENTS)
    good = job.done()
    assert set(finished) <= set(good)
    assert len({one[:2] for one in good}) == len(good), "nothing that was done is done again"
    assert clips_of(job.out) == clips_of(calm.out)
    assert visible(job.out) == visible(calm.out)
    assert not job.processes()
    fsck = subprocess.run([STAGE / "bin/clipmaker", "fsck", "--state", job.state()], capture_output=True, text=True,
                          timeout=60, check=False)
    assert fsck.returncode == 0, fsck.stdout + fsck.stderr
