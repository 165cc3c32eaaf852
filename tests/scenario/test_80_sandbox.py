"""A hostile plugin inside the real daemon, as an unprivileged user: it gets nowhere, it costs one attempt at
most, and the daemon lives. And what nobody may see: secrets; whom nobody waits for: a plugin that hangs."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

import pytest

import daemon as the_daemon
from conftest import BUILD, STAGE
from daemon import Daemon, process_file

pytestmark = pytest.mark.plain

NOBODY = 65534
CANARY = "canary-7f3a9b52c1d84e60"

#: What even the most confined worker needs.
ALLOWED = {"read_input", "write_inside", "make_thread"}
#: There is no terminal here to type into: it is refused, or there is nobody to refuse.
MAY_PASS = {"type_into_terminal"}
#: What only Landlock keeps shut.
LANDLOCK_ONLY = {"write_outside", "write_bait", "write_input", "write_shm", "write_tmp", "climb_root", "list_above",
                 "rename_in", "rename_out", "remove_bait", "make_folder"}


def no_landlock():
    return BUILD / "tests/hostile/no_landlock"


def has_landlock():
    import ctypes
    return ctypes.CDLL(None, use_errno=True).syscall(444, None, 0, 1) > 0


class Unprivileged(Daemon):
    """A daemon with programs, plugins and state in a folder of an unprivileged user's own."""

    def __init__(self, root, **settings):
        self.prefix, self.places = [], root / "programs"
        super().__init__(root, short=False, **settings)

    def install(self):
        shutil.copytree(STAGE, self.places / "usr/local")
        (self.places / "plugins").mkdir()
        for plugin in (BUILD / "plugins").glob("*.so"):
            shutil.copy(plugin, self.places / "plugins")
        shutil.copy(no_landlock(), self.places)

    def instance_text(self, name, plugin, options):
        text = super().instance_text(name, plugin, options)
        return text.replace(str(BUILD / "plugins"), str(self.places / "plugins"))

    def start(self, ready=True, **environment):
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", str(self.root)], check=True)
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        with open(self.log, "a", encoding="utf-8") as log:
            os.chmod(self.log, 0o666)
            self.process = subprocess.Popen(
                [*self.prefix, self.places / "usr/local/sbin/clipmakerd", "-c", self.conf, "--state", self.state,
                 "--plain-log"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                env={**os.environ, "LC_ALL": "C.UTF-8", "HOME": str(self.root), **environment}, **user)
        if ready:
            self.wait(self.answers, "the control socket")
        return self


@pytest.fixture
def place():
    """Where an unprivileged user gets at: pytest's own folders are the user's of the tests."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="clipmaker-sandbox-"))
    folder.chmod(0o755)
    daemons = []

    def make(**settings):
        one = Unprivileged(folder / f"d{len(daemons)}", **settings)
        one.install()
        (one.root / "outside").mkdir()
        (one.root / "outside/bait").write_text("bait")
        (one.root / "secret").write_text(CANARY + "\n")
        os.chmod(one.root / "secret", 0o600)
        daemons.append(one)
        return one
    yield make
    for one in daemons:
        one.kill()
    shutil.rmtree(folder, ignore_errors=True)


def hostile(d, stage, mode, places=()):
    d.instance("bad", f"hostile_{stage}", mode=mode, places=":".join(str(one) for one in places),
               outside=str(d.root / "outside"))
    d.uses[stage] = f'[ "bad", "{stage}1" ]'
    d.write_config()


def told(d):
    """What the plugin says of its tries: name -> errno, all of them over all attempts."""
    found = {}
    for name, number in re.findall(r'hostile: ([^"]+) = (\d+)', d.log_text()):
        found.setdefault(name, []).append(int(number))
    return found


def attempts_of(d, job, step, instance):
    return [one for one in d.show(job)["attempts"] if one["step"] == step and one["instance"] == instance]


def assert_refused(tries, passing=frozenset()):
    assert len(tries) > 60
    for name, results in tries.items():
        if name in ALLOWED:
            assert set(results) == {0}, f"{name} must be possible: {results}"
        elif name not in MAY_PASS and name not in passing:
            assert 0 not in results, f"{name} was possible"


def assert_bait_whole(d):
    bait = d.root / "outside/bait"
    assert bait.read_text() == "bait"
    assert bait.stat().st_mode & 0o777 == 0o644
    assert sorted(one.name for one in (d.root / "outside").iterdir()) == ["bait"]


@pytest.mark.skipif(not has_landlock(), reason="this kernel has no Landlock")
@pytest.mark.parametrize("stage", ["prepare", "render"])
def test_a_hostile_plugin_gets_nowhere(place, stage):
    d = place(extra='', slots=2)
    d.start()
    assert "no Landlock" not in d.log_text()
    other = d.submit("ok")
    d.ended(other)
    theirs = [path for path in (d.state / "jobs" / other).rglob("*") if path.is_file()]
    assert theirs
    places = [d.state / "store.sqlite", d.state / "lock", d.conf, d.root / "secret", theirs[0], d.log,
              d.root / "outside/bait", "/etc/shadow", "/proc/1/environ", "/proc/1/mem", "/etc/hostname",
              "/var/log/dpkg.log", "/etc/clipmaker/clipmaker.conf"]
    hostile(d, stage, "try", places)
    in_force, words = d.reload()
    assert in_force, words
    before = d.process.pid
    job = d.submit("ok")
    assert d.ended(job)["state"] == "succeeded" and d.process.poll() is None and d.process.pid == before
    tries = told(d)
    assert_refused(tries)
    for one in places:
        assert 0 not in tries[f"read {one}"]
    assert_bait_whole(d)
    step = {"prepare": "prepare", "render": "clip"}[stage]
    items = len(d.tasks(job, step))
    assert len(tries["read_input"]) == items, "more than one attempt at an item"
    fds = dict(re.findall(r'hostile: fd (\d+) is ([^"\n]+)', d.log_text()))
    for number, target in fds.items():
        expected = {"0": "/dev/null", "1": str(d.log), "2": str(d.log)}.get(number)
        assert target == expected or (number == "3" and target.startswith("socket:")) or target.endswith("/lock"), \
            f"fd {number} is {target}"
    assert str(d.state / "lock") not in fds.values()
    assert d.stop() == 0
    d.assert_clean()


def test_memory_and_threads_are_bounded(place):
    d = place(memory='memory: { prepare = "64MiB"; };', slots=2)
    hostile(d, "prepare", "memory")
    d.start()
    job = d.submit("ok")
    assert d.ended(job)["state"] == "succeeded"
    taken = re.findall(r"hostile: took (\d+) MiB", d.log_text())
    assert len(taken) == 1 and 16 <= int(taken[0]) <= 64
    hostile(d, "prepare", "threads")
    assert d.reload()[0]
    threads = []
    job = d.submit("ok")

    def watched():
        for pid in d.processes():
            threads.extend(int(one) for one in re.findall(rb"Threads:\t(\d+)", process_file(pid, "status")))
        return d.job(job)["state"] in the_daemon.OVER
    d.wait(watched, "the end of the bomb", 30)
    assert d.job(job)["state"] == "succeeded"
    assert len(re.findall("bad was ended in prepare: it had .* threads", d.log_text())) in (1, 2)
    assert max(threads) < 20000
    assert d.process.poll() is None
    assert d.stop() == 0
    d.assert_clean()


def test_an_answer_that_the_plugin_forges_is_not_believed(place):
    """It has the worker's socket, so it may say anything there; a path of others' would be opened for it next."""
    d = place(slots=2)
    hostile(d, "prepare", "forge")
    d.start()
    job = d.submit("ok")
    assert d.ended(job)["state"] == "succeeded"
    assert told(d)["forge"] == [0] * len(told(d)["forge"])
    assert "gave an answer that makes no sense: its media is outside of its folder" in d.log_text()
    assert "outside/bait" not in subprocess.run(["sqlite3", d.state / "store.sqlite", "select path from artifact"],
                                                capture_output=True, text=True, check=True).stdout
    assert d.stop() == 0
    d.assert_clean()


def test_without_landlock_it_says_so_once_and_seccomp_is_on(place):
    d = place(slots=2)
    d.prefix = [d.places / "no_landlock"]
    hostile(d, "prepare", "try")
    d.start()
    jobs = [d.submit("ok"), d.submit("ok")]
    for job in jobs:
        assert d.ended(job)["state"] == "succeeded"
    log = d.log_text()
    assert len(re.findall("this kernel has no Landlock", log)) == 1
    assert log.index("this kernel has no Landlock") < log.index("hostile:")
    tries = told(d)
    assert_refused(tries, passing=LANDLOCK_ONLY)
    assert len(tries["read_input"]) == 2
    for name in ("socket_inet", "make_process", "become_command", "trace_daemon", "kill_daemon", "memory_file",
                 "chmod_bait", "make_symlink", "truncate_bait", "climb_parent", "read daemon's memory"):
        assert 0 not in tries[name], name
    assert d.stop() == 0


# ---- Secrets --------------------------------------------------------------------------------------------

def test_a_secret_is_seen_by_its_plugin_only(place):
    """The canary is an option of a plugin, and in the daemon's environment as `env:` takes it. The plugin even
    tells the log."""
    d = place(slots=2)
    d.instance("keyed", "fake_stt", limit=1, key=f"file:{d.root}/secret", note="env:CLIPMAKER_CANARY")
    d.uses["stt"] = '[ "keyed" ]'
    d.write_config()
    d.start(CLIPMAKER_CANARY=CANARY)
    job = d.submit("*=ok;stt=slow:500ms,ok")
    d.wait(lambda: [one for one in d.begun(stage="stt")], "the worker with the secret")
    seen = []
    for pid in d.processes():
        if pid == d.process.pid:
            continue
        for name in ("environ", "cmdline"):
            seen.append(process_file(pid, name))
    assert any(b"clipmaker-worker" in one for one in seen)
    assert CANARY.encode() not in b"".join(seen)
    assert d.ended(job)["state"] == "succeeded"
    assert "the secrets are *** and ***" in d.log_text()
    answers = [d.show(job), d.ask("status"), d.ask("jobs"), d.ask("why", job=job)]
    told_about = d.run("plugins", "keyed", "-c", str(d.conf))
    assert CANARY not in str(answers) + told_about.stdout + told_about.stderr
    assert d.stop() == 0
    for path in d.root.rglob("*"):
        if path.is_file() and path != d.root / "secret" and d.places not in path.parents:
            assert CANARY.encode() not in path.read_bytes(), path


# ---- A plugin that hangs before it says what it is ------------------------------------------------------

def test_a_plugin_that_hangs_when_it_is_loaded_stops_the_start_with_words(place):
    d = place()
    d.instance("stuck", "hang")
    d.write_config()
    begun = time.monotonic()
    done = subprocess.run([d.places / "usr/local/sbin/clipmakerd", "-t", "-c", d.conf, "--state", d.state],
                          capture_output=True, text=True, timeout=60, check=False,
                          env={**os.environ, "LC_ALL": "C.UTF-8"})
    assert done.returncode == 78
    assert re.search(r"clipmaker\.conf:\d+: .*hang.*did not describe itself within 10 s", done.stderr), done.stderr
    assert 9 < time.monotonic() - begun < 20
    assert not [pid for pid in d.processes() if pathlib.Path(f"/proc/{pid}").exists()]
