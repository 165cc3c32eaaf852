"""clipmakerd as a service: what it tells the service manager, and plugins switched on and off while it runs."""
import os
import pathlib
import signal
import socket
import subprocess
import time

import pytest
from conftest import BUILD, STAGE
from daemon import Daemon

CTL = STAGE / "bin/clipmaker"


class Manager:
    """The service manager's end of sd_notify(3)."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(10)
        self.told = []

    def until(self, word):
        while not any(line.startswith(word) for line in self.told):
            self.told += self.socket.recv(4096).decode().splitlines()
        found = [line for line in self.told if line.startswith(word)][0]
        self.told = self.told[self.told.index(found) + 1:]
        return found


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_service_manager_is_told(tmp_path, abstract):
    name = f"clipmaker-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    manager = Manager("\0" + name if abstract else name)
    daemon = Daemon(tmp_path / "d")
    daemon.start(ready=False, NOTIFY_SOCKET="@" + name if abstract else name, WATCHDOG_USEC="300000")
    try:
        manager.until("READY=1")
        daemon.ask("status")  # ready means that it answers
        assert manager.until("STATUS=") == "STATUS=0 unfinished jobs, 0 attempts running"
        begun = time.monotonic()
        for _ in range(4):
            manager.until("WATCHDOG=1")
        assert time.monotonic() - begun < 4 * 0.3, "signs of life come too late for the watchdog"

        daemon.process.send_signal(signal.SIGHUP)
        manager.until("RELOADING=1")
        assert int(manager.until("MONOTONIC_USEC=").split("=")[1]) > 0
        manager.until("READY=1")
        daemon.write_config(daemon.config_text() + "nonsense = 1;\n")
        daemon.ask("reload")
        manager.until("RELOADING=1")
        manager.until("READY=1")
        assert "unknown setting nonsense" in daemon.log_text()

        daemon.process.send_signal(signal.SIGTERM)
        manager.until("STOPPING=1")
        assert int(manager.until("EXTEND_TIMEOUT_USEC=").split("=")[1]) > 1_000_000
        assert daemon.process.wait(20) == 0
    finally:
        daemon.kill()
        manager.socket.close()


def test_a_watchdog_of_another_process_is_not_ours(tmp_path):
    manager = Manager(str(tmp_path / "notify"))
    daemon = Daemon(tmp_path / "d")
    daemon.start(ready=False, NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="20000", WATCHDOG_PID="1")
    try:
        manager.until("STATUS=")
        manager.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            manager.until("WATCHDOG=1")
    finally:
        daemon.kill()
        manager.socket.close()


# ---- plugin enable, disable ----------------------------------------------------------------------

def plugin(daemon, *words, language="C.UTF-8"):
    return subprocess.run([CTL, "plugin", "-c", daemon.conf, "--state", daemon.state, *words], capture_output=True,
                          text=True, timeout=60, env={**os.environ, "LANGUAGE": language, "LC_ALL": "C.UTF-8"})


def instances(daemon):
    return {one["name"] for one in daemon.ask("status")["instances"]}


@pytest.fixture
def daemon(tmp_path):
    daemon = Daemon(tmp_path / "d")
    available = daemon.root / "plugins-available"
    available.mkdir()
    path = BUILD / "plugins/fake_publish.so"
    (available / "shelf.conf").write_text(
        f'plugins: {{ shelf: {{ plugin = "{path}"; tally = "{daemon.tally}"; platform = "{daemon.platform}"; }}; }};\n')
    (available / "bad.conf").write_text('plugins: { bad: { plugin = "publish_of_nobody"; }; };\n')
    yield daemon
    daemon.kill()


def test_plugin_is_enabled_in_a_running_daemon_and_disabled_again(daemon):
    daemon.start()
    assert "shelf" not in instances(daemon)
    done = plugin(daemon, "enable", "shelf")
    assert done.returncode == 0, done.stderr
    assert "shelf is enabled" in done.stderr and "reads its configuration again" in done.stderr
    assert os.readlink(daemon.root / "plugins-enabled/shelf.conf") == "../plugins-available/shelf.conf"
    daemon.wait(lambda: "shelf" in instances(daemon), "the new instance")
    assert plugin(daemon, "enable", "shelf").returncode == 0  # again: nothing to do
    job = daemon.submit(params={"targets": ["shelf"]})
    assert daemon.ended(job)["state"] == "succeeded"

    done = plugin(daemon, "disable", "shelf")
    assert done.returncode == 0, done.stderr
    daemon.wait(lambda: "shelf" not in instances(daemon), "the instance to go")
    assert not list((daemon.root / "plugins-enabled").iterdir())
    assert plugin(daemon, "disable", "shelf").returncode == 0


def test_what_cannot_be_enabled_changes_nothing(daemon):
    answer = plugin(daemon, "enable", "shelv")
    assert answer.returncode == 64
    assert "did you mean shelf? There are: bad, shelf" in answer.stderr
    answer = plugin(daemon, "enable", "bad")
    assert answer.returncode == 78
    assert "there is no such plugin" in answer.stderr and "bad stays disabled" in answer.stderr
    assert plugin(daemon, "enable", "../bad").returncode == 64
    assert not list(daemon.root.glob("plugins-enabled/*"))


def test_what_others_need_stays_enabled(daemon):
    assert plugin(daemon, "enable", "shelf").returncode == 0
    daemon.settings["publish"] = '"shelf"'
    daemon.write_config()
    answer = plugin(daemon, "disable", "shelf")
    assert answer.returncode == 78 and "shelf stays enabled" in answer.stderr
    assert (daemon.root / "plugins-enabled/shelf.conf").is_symlink()
    assert plugin(daemon, "disable", "--force", "shelf").returncode == 0
    assert not (daemon.root / "plugins-enabled/shelf.conf").is_symlink()


def test_a_link_whose_plugin_was_removed_is_named_and_can_be_disabled(daemon):
    assert plugin(daemon, "enable", "shelf").returncode == 0
    pathlib.Path(daemon.root / "plugins-available/shelf.conf").unlink()
    checked = subprocess.run([STAGE / "sbin/clipmakerd", "-t", "-c", daemon.conf], capture_output=True, text=True,
                             timeout=60, env={**os.environ, "LC_ALL": "C.UTF-8"})
    assert checked.returncode == 78 and "shelf.conf: the link leads nowhere" in checked.stderr
    assert plugin(daemon, "disable", "shelf").returncode == 0


def test_list_of_plugins(daemon):
    assert plugin(daemon, "enable", "shelf").returncode == 0
    lines = [line.split() for line in plugin(daemon).stdout.splitlines()]
    assert lines[1:] == [["bad", "disabled"], ["shelf", "enabled"]]
