"""The main job through clouds: a recogniser that really hears English, one that knows its Russian films, and an editor.

All of it over HTTP, through stt_openai and llm_openai (or stt_cloudru, llm_cloudru), as an operator would
configure them. What is heard is decoded from what the plugin sent, and what is chosen from what the prompt said.
"""
import re
import shutil
import subprocess

import pytest

import clips
import known
from cloud import Ears, Editor, Known, both, written
from conftest import STAGE, made
from openai_server import Server

KEY = "sk-test-0b7c"


def beginning(name, film, seconds):
    """The first seconds of a sample, with its lines."""
    def cut(path):
        subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-t", str(seconds), "-i", film, "-c", "copy", path], check=True)
        lines = [line for line in film.with_suffix(".tsv").read_text().splitlines() if float(line.split("\t")[1]) < seconds]
        path.with_suffix(".tsv").write_text("\n".join(lines) + "\n")
    return made(name, cut)


def config(folder, server, stt="stt_openai", llm="llm_openai", more=""):
    """The shipped configuration with these two enabled; only their addresses and the place of the key are ours."""
    path = clips.fast_config(folder)
    available = folder / "plugins-available"
    shutil.copytree(STAGE / "etc/clipmaker/plugins-available", available)
    for snippet in (available / f"{stt}.conf", available / f"{llm}.conf"):
        text = re.sub(r'url = "[^"]+"', f'url = "{server.url}"', snippet.read_text(), 1)
        text = re.sub(r'data = "abroad";\s*recipient = "[^"]+";', 'data = "ru";', text)  # the server is here
        text = re.sub(r'"file:/etc/clipmaker/secrets.d/\w+"', f'"file:{folder}/key"', text)
        snippet.write_text(text)
    (folder / "conf.d/80-more.conf").write_text(more)
    (folder / "key").write_text(KEY + "\n")
    for name in (stt, llm):
        done = subprocess.run([clips.CLIPMAKER, "plugin", "-c", path, "enable", name], capture_output=True, text=True,
                              timeout=60, env=clips.environment())
        assert done.returncode == 0, done.stderr
    return path


@pytest.fixture(scope="module")
def recogniser():
    pytest.importorskip("pocketsphinx", reason="no python3-pocketsphinx")
    import hearing
    return hearing.Recogniser()


def lines_of(film):
    return [text for _, _, _, text in known.lines_of(film.with_suffix(".tsv"))]


def sample_ears(film, language, **more):
    words = written(known.sample_words(film), lines_of(film))
    return Ears(Known([(film, words)]), language, **more)


def check_job(done, film, language, ears, editor, hearer):
    report = clips.report_of(done, json_asked=True, paid=True)
    assert report["costs"]["answered"] == ears.answered + len(editor.asked) and report["costs"]["unknown"] == 0
    assert report["transcript"]["language"] == language and report["transcript"]["by"] == hearer
    assert {clip["selected_by"] for clip in report["clips"]} == {hearer.replace("stt", "llm")}
    assert set(editor.asked) == {"moments", "scores", "titles", "ctas"}
    clips.check_best_first(report)
    lines = clips.read_lines(film.with_suffix(".tsv"))
    clips.check_clips(done, report, lines)
    quiet = clips.pauses(film)
    for clip in report["clips"]:
        clips.check_in_step(done.dir / clip["file"], clip, lines, quiet)
    return report


@pytest.mark.plain
def test_english_heard_by_a_real_recogniser(sample_en, recogniser, tmp_path):
    film, editor = beginning("cloud-en.mp4", sample_en, 25), Editor()
    ears = Ears(recogniser.hear, "en")
    with Server(otherwise=both(ears, editor)) as server:
        done = clips.run(film, tmp_path / "out", "--lang", "en", "--json", "--clips", "1", "-c", config(tmp_path, server))
    check_job(done, film, "en", ears, editor, "openai_stt")
    assert set(ears.kinds) == {"audio/flac"}
    assert clips.word_errors(film.with_suffix(".tsv"), clips.artifact(done.dir, "transcript"), tmp_path) <= 20


@pytest.mark.plain
def test_russian_heard_by_one_that_gives_text_only(sample_ru, tmp_path):
    """stt_cloudru, where no times come at all: the words are laid over the speech that was measured."""
    film, editor = beginning("cloud-ru.mp4", sample_ru, 25), Editor()
    ears = sample_ears(film, "ru", gives="text")
    with Server(otherwise=both(ears, editor)) as server:
        conf = config(tmp_path, server, "stt_cloudru", "llm_cloudru")
        done = clips.run(film, tmp_path / "out", "--lang", "ru", "--json", "--clips", "1", "-c", conf)
    report = check_job(done, film, "ru", ears, editor, "cloudru_stt")
    assert report["costs"]["unpriced"] == 0 and report["costs"]["roubles"] > 0
    for clip in report["clips"]:
        assert re.search("[а-яё]", clip["title"].lower()) and re.search("[а-яё]", clip["cta"].lower())
        said = " ".join(lines_of(film)).lower()
        words = re.findall(r"[а-яё]+", clips.captions_words(done.dir / clip["captions"]).lower())
        assert words and all(word in said for word in words)
