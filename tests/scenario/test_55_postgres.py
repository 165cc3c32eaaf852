"""Jobs kept in PostgreSQL: the same engine, the same results, and nothing lost when the server goes away."""
import json
import re
import signal
import subprocess
import time

import pytest

import clips
from conftest import STAGE
from daemon import Daemon, Refused
from postgres import postgres  # noqa: F401 pylint: disable=unused-import


@pytest.fixture
def engine(postgres, tmp_path):  # noqa: F811
    made = []

    def new(name, **settings):
        daemon = Daemon(tmp_path / name, store=f'store = "{postgres.database(name)}";', **settings)
        made.append(daemon)
        return daemon
    yield new
    for daemon in made:
        daemon.kill()


def test_jobs_of_the_fakes(engine, postgres):  # noqa: F811
    daemon = engine("fakes")
    daemon.start()
    jobs = [daemon.submit() for _ in range(5)]
    for job in jobs:
        assert daemon.ended(job)["state"] == "succeeded"
    assert daemon.ask("fsck")["found"] == []
    assert postgres.ask("SELECT count(*) FROM job WHERE state=3", "fakes") == ["5"]
    assert not list(daemon.state.glob("*.sqlite"))
    assert daemon.stop() == 0
    assert postgres.ask("SELECT count(*) FROM commit_marker", "fakes") == ["0"]
    listed = daemon.run("jobs", "--state", str(daemon.state), "--json")
    assert sorted(one["id"] for one in json.loads(listed.stdout)) == sorted(jobs)
    daemon.fsck()
    postgres.ask("UPDATE task SET state=4 WHERE step='fetch'", "fakes")
    damaged = daemon.run("fsck", "--state", str(daemon.state))
    assert damaged.returncode == 65 and jobs[0] in damaged.stdout


def test_killed_in_the_middle(engine):
    daemon = engine("killed")
    daemon.start()
    jobs = [daemon.submit("slow:200ms,ok") for _ in range(3)]
    daemon.wait(lambda: daemon.begun(stage="stt"), "some work")
    daemon.kill()
    daemon.start()
    for job in jobs:
        assert daemon.ended(job, 40)["state"] == "succeeded"
    posts = [post["key"] if isinstance(post, dict) else post for post in daemon.posts()]
    assert len(posts) == len(set(map(str, posts)))
    assert daemon.ask("fsck")["found"] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_the_server_goes_away_and_comes_back(engine, postgres, number):  # noqa: F811
    daemon = engine("away")
    daemon.start()
    jobs = [daemon.submit("slow:100ms,ok") for _ in range(4)]
    daemon.wait(lambda: daemon.begun(stage="stt"), "some work")
    postgres.stop(number)
    time.sleep(3)
    postgres.start()

    def answers():
        try:
            return daemon.job(jobs[0])
        except Refused as refused:  # as long as the store takes nothing
            assert refused.status == 75 and "the database" in refused.words
            return None
    daemon.wait(answers, "the store's return")
    for job in jobs:
        assert daemon.ended(job, 40)["state"] == "succeeded"
    assert daemon.ask("fsck")["found"] == []
    assert "the database postgresql://" in daemon.log_text()


def test_absent_at_the_start(engine, postgres):  # noqa: F811
    daemon = engine("absent")
    postgres.stop()
    try:
        done = subprocess.run([STAGE / "sbin/clipmakerd", "-c", daemon.conf, "--state", daemon.state, "--plain-log"],
                              capture_output=True, text=True, timeout=60)
    finally:
        postgres.start()
    assert done.returncode == 75, done.stderr
    assert "cannot open the store: the database postgresql://" in done.stderr


def test_the_address_may_be_a_secret(engine, postgres, tmp_path):  # noqa: F811
    daemon = engine("secret")
    address = re.search(r'store = "(.*?)";', daemon.settings["store"]).group(1)
    (tmp_path / "address").write_text(address.replace("user=clipmaker", "user=clipmaker&password=canary-91") + "\n")
    daemon.settings["store"] = f'store = "file:{tmp_path}/address";'
    daemon.write_config()
    daemon.start()
    assert daemon.ended(daemon.submit())["state"] == "succeeded"
    assert daemon.stop() == 0
    assert "canary-91" not in daemon.log_text()
    assert (daemon.state / "store").read_text(encoding="utf-8") == f"file:{tmp_path}/address"
    daemon.fsck()
    daemon.settings["store"] = 'store = "postgresql://ann:canary-91@127.0.0.1/x";'
    daemon.write_config()
    done = subprocess.run([STAGE / "sbin/clipmakerd", "-c", daemon.conf, "-t"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 78 and "password" in done.stderr and "canary-91" not in done.stderr


def test_the_main_job(postgres, sample_en, tmp_path):  # noqa: F811
    """A private run keeps its own store; a daemon with the shipped config and this store does the job."""
    out, state = tmp_path / "clips", tmp_path / "state"
    out.mkdir()
    text = clips.fast_config(tmp_path).read_text().replace("/var/lib/clipmaker/clips", str(out))
    conf = tmp_path / "postgres.conf"
    conf.write_text(f'store = "{postgres.database("main")}";\n' + text)
    daemon = subprocess.Popen([STAGE / "sbin/clipmakerd", "-c", conf, "--state", state, "--plain-log", "--output", out],
                              stderr=open(tmp_path / "log", "w", encoding="utf-8"))
    try:
        until = time.monotonic() + 20
        while not (state / "control.sock").exists():
            assert daemon.poll() is None and time.monotonic() < until, (tmp_path / "log").read_text()
            time.sleep(0.05)
        where = ["--state", state]
        job = subprocess.run([STAGE / "bin/clipmaker", "submit", *where, sample_en, "--lang", "en", "--clips", "1"],
                             check=True, capture_output=True, text=True).stdout.strip()
        subprocess.run([STAGE / "bin/clipmaker", "watch", *where, job], check=True, capture_output=True, timeout=300)
        shown = json.loads(subprocess.run([STAGE / "bin/clipmaker", "show", *where, "--json", job], check=True,
                                          capture_output=True, text=True).stdout)
        assert shown["job"]["state"] == "succeeded"
        made = list(out.glob("01-*.mp4"))
        assert len(made) == 1
        assert clips.probe(made[0])
        subprocess.run([STAGE / "bin/clipmaker", "fsck", *where], check=True)
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(30)
