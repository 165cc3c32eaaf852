"""Where data may go: ru never leaves the country, global only with its owner's consent."""
import os
import pty
import select
import subprocess
import time

import pytest

import clips
from conftest import STAGE
from daemon import Daemon, Refused


def make(tmp_path, strategy="global", chain='[ "spare", "llm1" ]', **spare):
    """spare: a second language model, abroad unless it says otherwise."""
    made = Daemon(tmp_path / "d", chunks=1, extra=f'strategy = "{strategy}";')
    made.instance("spare", "fake_llm", **{"data": "abroad", "recipient": "Example Inc., USA", **spare})
    made.uses["llm"] = chain
    made.write_config()
    return made


@pytest.fixture
def started(tmp_path):
    all_made = []

    def start(*arguments, **more):
        made = make(tmp_path, *arguments, **more)
        all_made.append(made)
        return made.start()
    yield start
    for made in all_made:
        made.kill()
        made.wait(lambda made=made: not made.processes(), "the end of every process", 10)


def by(daemon, job, step="moments"):
    return [attempt["instance"] for attempt in daemon.show(job)["attempts"] if attempt["step"] == step]


def check(daemon):
    return subprocess.run([STAGE / "sbin/clipmakerd", "-t", "-c", daemon.conf], capture_output=True, text=True,
                          timeout=20, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"})


# ---- The configuration


@pytest.mark.parametrize("chain, options, words", [
    ('[ "llm1", "spare" ]', {}, 'spare: step "moments" would send data abroad (to Example Inc., USA)'),
    ('[ "spare" ]', {}, 'spare: step "score" would send data abroad'),
    ('[ "llm1", "spare" ]', {"data": "ru"}, ""),
    ('[ "llm1" ]', {}, ""),  # nobody asks it
    ('[ "llm1" ]', {"data": "mars"}, 'plugins.spare.data must be "ru"'),
    ('[ "llm1" ]', {"data": "public"}, 'plugins.spare.data must be "ru"'),  # it publishes nothing
    ('[ "llm1" ]', {"recipient": ""}, "plugins.spare.recipient must be who"),
])
def test_ru_with_somebody_abroad_is_refused_by_the_check(tmp_path, chain, options, words):
    daemon = make(tmp_path, "ru", chain, **options)
    done = check(daemon)
    assert done.returncode == (78 if words else 0) and words in done.stderr, done
    if words:
        line = next(one for one in done.stderr.splitlines() if words in one)
        assert f"{daemon.conf}:" in line


def test_what_says_nothing_is_taken_for_abroad(tmp_path):
    """llm_openai, and a platform: whoever may send it anywhere must say where it goes."""
    daemon = Daemon(tmp_path / "d", publish='"channel"')
    daemon.instance_text, plain = lambda name, plugin, options: plain(name, plugin, options).replace(' data = "ru";', ""), \
        daemon.instance_text
    daemon.instance("cloud", "llm_openai", url="http://127.0.0.1:1/v1", model="m")
    daemon.instance("channel", "publish_telegram", url="http://127.0.0.1:1", token=f"file:{tmp_path}/token", chat="@c")
    (tmp_path / "token").write_text("1:x\n")
    daemon.uses["llm"] = '[ "cloud" ]'
    daemon.write_config()
    done = check(daemon)
    assert done.returncode == 78
    assert 'cloud: step "moments" would send data abroad (to cloud (' in done.stderr
    assert 'channel: step "post" would send data abroad' in done.stderr and 'posts are for everybody' in done.stderr
    daemon.instance("cloud", "llm_openai", url="http://127.0.0.1:1/v1", model="m", region="x")
    text = daemon.config_text().replace('model = "m"; region = "x";', 'model = "m"; data = "ru";')
    daemon.write_config(text.replace('chat = "@c";', 'chat = "@c"; data = "public";'))
    done = check(daemon)
    assert done.returncode == 0, done.stderr


# ---- ru


def test_a_ru_job_goes_past_whoever_is_abroad(started):
    daemon = started()
    job = daemon.submit(params={"strategy": "ru"})
    assert daemon.ended(job)["state"] == "succeeded"
    assert set(by(daemon, job)) == set(by(daemon, job, "score")) == {"llm1"} and not daemon.begun(instance="spare")
    attempt = next(one for one in daemon.show(job)["attempts"] if one["step"] == "moments")
    assert attempt["skipped"] == "spare (abroad)"
    assert "spare (abroad)" in daemon.run("show", "--state", str(daemon.state), job).stdout
    daemon.fsck()


def test_a_ru_job_is_held_and_not_sent_abroad_when_nobody_else_is_left(started):
    """The one at home cannot; its fallback is abroad, and is not asked."""
    daemon = started(chain='[ "llm1", "spare" ]')
    job = daemon.submit("moments=cannot:quota", params={"strategy": "ru"})
    held = daemon.wait_state(job, "held")
    assert held["reason"] == "policy" and "spare would send the text of the speech abroad" in held["words"]
    assert not held["consent"] and "held (policy)" in daemon.ask("why", job=job)["words"]
    time.sleep(0.3)
    assert set(by(daemon, job)) == {"llm1"} and not daemon.begun(instance="spare")
    daemon.instance("spare", "fake_llm", data="ru")  # it moved
    daemon.write_config()
    assert daemon.reload()[0]
    daemon.wait(lambda: daemon.begun(instance="spare"), "the one that is at home now")


def test_a_strategy_is_checked(started):
    daemon = started()
    with pytest.raises(Refused) as refused:
        daemon.submit(params={"strategy": "moon"})
    assert "must be ru or global" in refused.value.words


# ---- global


def test_a_global_job_waits_for_consent(started):
    daemon = started(chain='[ "llm1", "spare" ]')
    jobs = [daemon.submit(owner="anna"), daemon.submit(owner="boris")]
    for job in jobs:
        held = daemon.wait_state(job, "held")
        assert held["reason"] == "policy" and held["consent"]
        assert "the text of the speech to Example Inc., USA" in held["words"]
    assert not daemon.acts()  # not even its source was asked
    listed = daemon.ask("consent", owner="anna")
    assert [(one["recipient"], one["instances"], one["given_ms"]) for one in listed["recipients"]] == \
        [("Example Inc., USA", ["spare"], 0)] and listed["missing"] == 1
    done = daemon.run("consent", "--state", str(daemon.state), "--owner", "anna", "--give")
    assert done.returncode == 0 and "Example Inc., USA" in done.stdout, done
    assert daemon.ended(jobs[0])["state"] == "succeeded"
    assert daemon.job(jobs[1])["held"]
    # It is in the store: another daemon knows it, and boris goes on waiting.
    daemon.kill()
    daemon.start()
    again = daemon.submit(owner="anna")
    assert daemon.ended(again)["state"] == "succeeded" and daemon.job(jobs[1])["held"]
    assert daemon.ask("consent", owner="anna")["missing"] == 0
    daemon.fsck()


def test_a_new_recipient_asks_again_and_consent_can_be_withdrawn(started):
    daemon = started()
    daemon.ask("consent", change="give")
    job = daemon.submit()
    assert daemon.ended(job)["state"] == "succeeded" and set(by(daemon, job)) == {"spare"}
    daemon.instance("spare", "fake_llm", data="abroad", recipient="Another GmbH, Germany")
    daemon.write_config()
    assert daemon.reload()[0]
    job = daemon.submit()
    assert "Another GmbH, Germany" in daemon.wait_state(job, "held")["words"]
    daemon.ask("consent", change="give")
    assert daemon.ended(job)["state"] == "succeeded"
    daemon.ask("consent", change="withdraw")
    assert daemon.wait_state(daemon.submit(), "held")["consent"]


def test_consent_taken_back_in_the_middle_stops_what_has_not_begun(started):
    daemon = started()
    daemon.ask("consent", change="give")
    job = daemon.submit("prepare=slow:1500")
    daemon.wait_act("begin", stage="prepare")
    daemon.ask("consent", change="withdraw")
    assert daemon.wait_state(job, "held")["consent"]
    assert not daemon.begun(instance="spare")


# ---- run


@pytest.fixture
def run_config(tmp_path):
    """The main pipeline, whose titles come from abroad."""
    path = clips.fast_config(tmp_path)
    (tmp_path / "conf.d/80-abroad.conf").write_text(
        'plugins: { abroad: { plugin = "llm_offline"; data = "abroad"; recipient = "Example Inc., USA"; }; };\n'
        'strategy = "global";\nchains: { title = [ "abroad", "offline" ]; };\n')
    return path


def asked(out):
    return {one["instance"] for one in clips.shown(out)["attempts"]}


def test_run_names_what_leaves_and_refuses_without_consent(tmp_path, run_config, sample_en):
    done = clips.run(sample_en, tmp_path / "out", "-c", run_config, "--lang", "en", "--strategy", "global")
    assert done.status == 77, done
    assert "the text of the speech to Example Inc., USA" in done.err and "--consent" in done.err
    assert not list((tmp_path / "out").glob("*.mp4"))
    assert not asked(tmp_path / "out")


def test_run_asks_on_a_terminal(tmp_path, run_config, sample_en):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(clips.command(sample_en, tmp_path / "out", "-c", run_config, "--lang", "en"),
                               stdin=theirs, stdout=subprocess.DEVNULL, stderr=theirs, env=clips.environment(),
                               start_new_session=True)
    os.close(theirs)
    seen = b""
    try:
        while b"[y/N]" not in seen:
            assert select.select([ours], [], [], 20)[0], seen
            seen += os.read(ours, 4096)
        assert b"Example Inc., USA" in seen
        os.write(ours, b"n\n")
        assert process.wait(20) == 77
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_run_with_consent_goes_through(tmp_path, run_config, sample_ru):
    done = clips.run(sample_ru, tmp_path / "out", "-c", run_config, "--lang", "ru", "--clips", "1", "--consent")
    assert done.status == 0 and "Example Inc., USA" in done.err, done
    assert "abroad" in asked(tmp_path / "out")
