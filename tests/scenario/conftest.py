"""What every scenario stands on: the staged programs, a daemon of the fakes, the films.

check sets CLIPMAKER_STAGE (prefix of the staged tree), CLIPMAKER_BUILD (build folder, for the fake
plugins), CLIPMAKER_SAMPLES (where films that the tests make are kept), CLIPMAKER_NPM (where npm's packages are),
CLIPMAKER_TEST_MEDIA and CLIPMAKER_TEST_CONTRACTS.
"""
import contextlib
import fcntl
import os
import pathlib
import subprocess

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("CLIPMAKER_BUILD", TOP / "build/gcc"))
STAGE = pathlib.Path(os.environ.get("CLIPMAKER_STAGE", BUILD / "stage/usr/local"))
SAMPLES = pathlib.Path(os.environ.get("CLIPMAKER_SAMPLES", TOP / "build/sample"))
NPM = pathlib.Path(os.environ.get("CLIPMAKER_NPM", TOP / "build/npm"))
MEDIA = pathlib.Path(os.environ.get("CLIPMAKER_TEST_MEDIA", TOP.parent / "shared/media"))
CONTRACTS = pathlib.Path(os.environ.get("CLIPMAKER_TEST_CONTRACTS", TOP.parent / "shared/contracts"))


def pytest_configure(config):
    config.addinivalue_line("markers", "long: takes more than half a minute; run on the plain build only")
    config.addinivalue_line("markers", "plain: of memory or time, which AddressSanitizer takes too much of")


def made(name, command):
    """A film that is made once and kept: command gets the path to write."""
    SAMPLES.mkdir(parents=True, exist_ok=True)
    target = SAMPLES / name
    with open(SAMPLES / (name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            part = SAMPLES / ("making-" + name)
            command(part)
            for side in SAMPLES.glob(part.stem + ".*"):
                side.rename(SAMPLES / side.name.replace("making-", "", 1))
    return target


def sample(language):
    script = TOP / "tests/sample/make-sample"
    return made(f"{language}.mp4", lambda path: subprocess.run([script, language, path], check=True))


@pytest.fixture(scope="session")
def sample_en():
    """80 s of two voices in English; en.tsv beside it has the true times and words."""
    return sample("en")


@pytest.fixture(scope="session")
def sample_ru():
    """72 s of Russian; ru.srt beside it has the captions, ru.tsv the true times."""
    return sample("ru")


@pytest.fixture
def daemons(tmp_path):
    """Makes daemons; after the test each of them must have left nothing behind."""
    from daemon import Daemon
    made = []

    def new(**settings):
        made.append(Daemon(tmp_path / f"d{len(made)}", **settings))
        return made[-1]
    yield new
    try:
        for daemon in made:
            if daemon.process and daemon.process.poll() is None:
                daemon.assert_after()
    finally:
        for daemon in made:
            daemon.kill()
            daemon.wait(lambda one=daemon: not one.processes(), "the end of every process", 10)


@pytest.fixture(scope="module")
def contracts():
    """contracts(NAME) holds requests and answers to NAME.openapi.json; contract.py tells how. Skips without it."""
    from contract import Contracts
    with contextlib.ExitStack() as stack:
        yield Contracts(stack)


@pytest.fixture
def film():
    """A film of CLIPMAKER_TEST_MEDIA by name; skips where it is absent."""
    def find(name):
        path = MEDIA / name
        if not path.exists():
            pytest.skip(f"no {name}: CLIPMAKER_TEST_MEDIA does not name a folder with the test films")
        return path
    return find
