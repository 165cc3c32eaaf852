"""clipmakerd -t asks providers whether the models that the configuration names are still there."""
import os
import subprocess
import time

import pytest

from conftest import STAGE
from daemon import Daemon
from openai_server import Answer, Server, error
from test_75_openai import KEY


def listing(*names):
    return Answer({"object": "list", "data": [{"id": name, "object": "model", "created": 1760000000, "owned_by": "x"}
                                              for name in names]})


LISTED = listing("a-vendor/Large-2.1", "a-vendor/Large-2.2", "a-vendor/Small-1", "b-vendor/Other-1", "heard/whisper-large-v3",
                 "local:latest")


@pytest.fixture
def server():
    with Server(otherwise=LISTED) as one:
        yield one


@pytest.fixture
def checked(tmp_path, server):
    """checked(instance=(plugin, model), …) runs clipmakerd -t; checked.instances may be changed before."""
    def run(*arguments, url=server.url, **instances):
        daemon = Daemon(tmp_path / "d")
        (tmp_path / "key").write_text(KEY)
        (tmp_path / "temporary").mkdir(exist_ok=True)
        for name, (plugin, model) in instances.items():
            daemon.instance(name, plugin, url=url, model=model, key=f"file:{tmp_path}/key")
        daemon.write_config()
        begun = time.monotonic()
        done = subprocess.run([STAGE / "sbin/clipmakerd", "-t", "-c", daemon.conf, *arguments], capture_output=True,
                              text=True, timeout=60, env={**os.environ, "TMPDIR": str(tmp_path / "temporary"),
                                                          "LC_ALL": "C.UTF-8"})
        done.seconds = time.monotonic() - begun
        done.warnings = [line for line in done.stderr.splitlines() if line]
        assert done.returncode == 0 and "sound" in done.stdout, done.stderr  # whatever the models are
        assert KEY not in done.stdout + done.stderr
        assert not list((tmp_path / "temporary").iterdir())
        return done
    return run


def test_models_that_are_there_are_no_news(checked, server):
    done = checked(one=("llm_openai", "a-vendor/Large-2.1"), two=("llm_cloudru", "local"),
                   three=("stt_cloudru", "heard/whisper-large-v3"), four=("stt_openai", "heard/whisper-large-v3"))
    assert done.warnings == []
    assert [one.path for one in server.requests] == ["/v1/models"] * 4
    assert all(one.headers["Authorization"] == f"Bearer {KEY}" for one in server.requests)


def test_a_model_that_is_gone_is_told_with_the_nearest(checked):
    done = checked(good=("llm_openai", "a-vendor/Small-1"), gone=("llm_openai", "a-vendor/Large-2.0"),
                   deaf=("stt_openai", "whisper-large-v3"))
    assert len(done.warnings) == 2, done.stderr
    gone = next(line for line in done.warnings if "gone: " in line)
    assert '"a-vendor/Large-2.0"' in gone
    assert gone.rstrip().endswith("the nearest of 6: a-vendor/Large-2.1, a-vendor/Large-2.2, a-vendor/Small-1")
    deaf = next(line for line in done.warnings if "deaf: " in line)
    assert "heard/whisper-large-v3" in deaf.split("nearest")[1].split(",")[0]


def test_nobody_is_asked_offline(checked, server):
    assert checked("--offline", gone=("llm_openai", "no such")).warnings == []
    assert server.requests == []


@pytest.mark.parametrize("answer, said", [
    (error(401, "invalid_api_key", message=f"Incorrect API key provided: {KEY}"), "does not accept the key"),
    (Answer("<html>502</html>", 502), "502"),
    (Answer("not found", 404), "no such model or address"),
    (listing(), "lists none"),
    (Answer({"object": "list"}), "lists none"),
    (Answer(lost="after"), "no complete answer"),
])
def test_a_server_that_does_not_tell_gets_one_line(checked, server, answer, said):
    server.otherwise = answer
    done = checked(one=("llm_openai", "a"))
    assert len(done.warnings) == 1 and said in done.warnings[0] and "one: " in done.warnings[0], done.stderr


def test_a_server_that_is_not_there_gets_one_line(checked):
    done = checked(url="http://127.0.0.1:9/v1", one=("llm_openai", "a"))
    assert len(done.warnings) == 1 and "cannot be reached" in done.warnings[0], done.stderr


@pytest.mark.plain
def test_silent_servers_are_waited_for_side_by_side(checked, server):
    server.otherwise = Answer("late", slow=12)
    done = checked(**{f"n{number}": ("llm_openai", "a") for number in range(4)})
    assert len(done.warnings) == 4 and all("no answer within 5 s" in line for line in done.warnings), done.stderr
    assert done.seconds < 10
