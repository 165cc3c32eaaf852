"""Every command of the README does what it says."""
import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest
from conftest import BUILD, STAGE, TOP, made

README = TOP / "README.md"
OWN = ("./quickstart", "./check")  # these install and build: only their existence and help are looked at


def blocks():
    return re.findall(r"^```sh\n(.*?)^```", README.read_text(), re.S | re.M)


def commands(block):
    return [line for line in block.splitlines() if line.strip() and not line.startswith(OWN)]


def beginning(name, film, seconds=24):
    """The first part of a film, so that the README's commands take seconds."""
    return made(name, lambda path: subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-i", film, "-t", str(seconds), "-c", "copy", path], check=True))


@pytest.fixture(scope="module")
def place(tmp_path_factory, sample_en, sample_ru):
    """A folder with the videos that the README names, programs in PATH, and a sudo that is none."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copy(beginning("beginning-en.mp4", sample_en), folder / "talk.mp4")
    shutil.copy(beginning("beginning-ru.mp4", sample_ru), folder / "webinar.mp4")
    shutil.copy(sample_ru.with_suffix(".srt"), folder / "webinar.srt")
    (folder / "build").mkdir()
    (folder / "build/quickstart").symlink_to(BUILD)
    (folder / "bin").mkdir()
    sudo = folder / "bin/sudo"
    sudo.write_text('#!/bin/sh\nexec "$@"\n')
    sudo.chmod(0o755)
    return folder


def script_of(block):
    """The block as one shell script. What goes to the background is waited for as a person would."""
    lines = ["set -eu"]
    for line in commands(block):
        lines.append(line)
        if line.rstrip().endswith("&"):
            lines.append("until [ -S state/control.sock ]; do kill -0 $!; sleep 0.1; done")
    return "\n".join(lines + ["if [ -n \"${!:-}\" ]; then kill $!; wait $! || exit 1; fi"])


def environment(place):
    env = dict(os.environ, LANG="C.UTF-8", LC_ALL="C.UTF-8", DESTDIR=str(place / "installed"))
    env["PATH"] = f"{place}/bin:{STAGE}/bin:{STAGE}/sbin:{env['PATH']}"
    return env


def run(script, place):
    shell = subprocess.Popen(["bash", "-c", script], cwd=place, env=environment(place), start_new_session=True,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        out, err = shell.communicate(timeout=300)
    finally:
        try:
            os.killpg(shell.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    assert shell.returncode == 0, f"{script}\nended with {shell.returncode}:\n{out}\n{err}"
    return out


def test_every_shell_block_is_closed():
    fences = [line for line in README.read_text().splitlines() if line.startswith("```")]
    assert len(fences) == 2 * len(blocks()), "a fenced block of the README that is not ```sh is not tested"


@pytest.mark.parametrize("block", [block for block in blocks() if commands(block)],
                         ids=lambda block: commands(block)[0][:40])
def test_commands(place, block):
    run(script_of(block), place)


def test_what_the_readme_promises_is_there(place):
    for folder in ("talk-clips", "square", "clips", "posts"):
        clips = sorted(path.name for path in (place / folder).glob("*.mp4"))
        assert clips and clips[0].startswith("01-"), f"no clip in {folder}: {clips}"
        for clip in clips:
            for suffix in (".jpg", ".srt", ".txt"):
                assert (place / folder / clip).with_suffix(suffix).exists(), f"{folder}/{clip} has no {suffix}"
    assert (place / "talk-clips/clips.json").exists()


def test_install_puts_the_programs_where_they_belong(place):
    prefix = place / "installed/usr/local"
    for name in ("bin/clipmaker", "sbin/clipmakerd", "libexec/clipmaker/clipmaker-worker",
                 "etc/clipmaker/clipmaker.conf", "include/clipmaker/plugin.h", "share/doc/clipmaker/operator.md"):
        assert (prefix / name).exists(), f"make install leaves out {name}"


@pytest.mark.parametrize("name", OWN)
def test_own_scripts(name):
    script = TOP / name
    assert os.access(script, os.X_OK), f"{name} is not executable"
    subprocess.run(["bash", "-n", script], check=True)


def test_quickstart_explains_itself():
    words = subprocess.run([TOP / "quickstart", "--help"], check=True, capture_output=True, text=True).stdout
    assert "VIDEO" in words
    answer = subprocess.run([TOP / "quickstart", "no-such-film.mp4"], capture_output=True, text=True)
    assert answer.returncode == 66 and "no-such-film.mp4" in answer.stderr


def test_links():
    for target in re.findall(r"\]\(([^)#]+)\)", README.read_text()):
        assert pathlib.Path(TOP / target).exists(), f"the README links to {target}, which is not there"
