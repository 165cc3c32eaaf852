"""The main job: one command turns a talk into clips, offline, through the real daemon and workers."""
import json
import pathlib
import re
import shutil
import signal
import subprocess
import time

import pytest

import clips

SOON_S = 5


def lines_of(sample):
    return clips.read_lines(sample.with_suffix(".tsv"))


@pytest.fixture(scope="module")
def english(sample_en, tmp_path_factory):
    """One run over the English sample as it is shipped; several tests look at it."""
    return clips.run(sample_en, tmp_path_factory.mktemp("english") / "out", "--lang", "auto", "--json")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return clips.fast_config(tmp_path_factory.mktemp("config"))


# ---- English ------------------------------------------------------------------------------------

def test_english_clips_are_what_was_promised(english, sample_en):
    report = clips.report_of(english, json_asked=True)
    assert report["source"]["path"] == str(sample_en)
    assert abs(report["source"]["duration_s"] - clips.duration_of(sample_en)) < 0.1
    assert (report["source"]["width"], report["source"]["height"]) == (1280, 720)
    assert report["transcript"]["language"] == "en" and report["transcript"]["words"] > 150
    assert len(report["clips"]) >= 3
    clips.check_best_first(report)
    clips.check_clips(english, report, lines_of(sample_en))


def test_english_captions_are_in_step_with_the_voices(english, sample_en):
    for clip in clips.report_of(english)["clips"]:
        clips.check_in_step(english.dir / clip["file"], clip, lines_of(sample_en))


def test_english_words_are_recognised(english, sample_en, tmp_path):
    rate = clips.word_errors(sample_en.with_suffix(".tsv"), clips.artifact(english.dir, "transcript"), tmp_path)
    assert rate <= 20


def test_lengths_without_wishes_are_the_configs(english):
    for clip in clips.report_of(english)["clips"]:
        assert 15 - 0.05 <= clip["end_s"] - clip["start_s"] <= 60 + 0.05


def test_a_finished_run_repeats_its_result_at_once(english, sample_en):
    before = {path: path.stat().st_mtime_ns for path in english.dir.iterdir() if path.suffix}
    attempts = clips.attempts(english.dir)
    again = clips.run(sample_en, english.dir, "--lang", "auto", "--json")
    assert again.status == 0 and again.seconds < SOON_S
    assert json.loads(again.out) == json.loads(english.out)
    assert clips.attempts(english.dir) == attempts
    assert {path: path.stat().st_mtime_ns for path in english.dir.iterdir() if path.suffix} == before


def test_every_attempt_of_an_undisturbed_run_was_the_only_one(english):
    attempts = clips.attempts(english.dir)
    tasks = [key[:2] for key in attempts if key[0] != "transcript"]  # captions pass on to the recogniser there
    assert len(tasks) == len(set(tasks))
    assert all(verdict == "ok" for (step, _, _), verdict in attempts.items() if step != "transcript")


# ---- Russian ------------------------------------------------------------------------------------

def check_russian(done, sample, by_captions_file=True):
    report = clips.report_of(done)
    assert report["transcript"]["language"] == "ru" and report["transcript"]["by"] == "captions"
    clips.check_best_first(report)
    clips.check_clips(done, report, lines_of(sample))
    for clip in report["clips"]:
        clips.check_in_step(done.dir / clip["file"], clip, lines_of(sample))
        assert re.search("[а-яё]", clip["title"].lower()), clip["title"]
        said = " ".join(text for _, _, text in lines_of(sample)).lower()
        words = re.findall(r"[а-яё]+", clips.captions_words(done.dir / clip["captions"]).lower())
        assert words and all(word in said for word in words)
    return report


def bare_copy(sample, folder):
    """The film alone, without what lies beside it."""
    folder.mkdir()
    return pathlib.Path(shutil.copy(sample, folder / "talk.mp4"))


def test_russian_with_captions_given(sample_ru, tmp_path):
    film = bare_copy(sample_ru, tmp_path / "in")
    done = clips.run(film, tmp_path / "out", "--lang", "ru", "--captions", sample_ru.with_suffix(".srt"))
    report = check_russian(done, sample_ru)
    assert len(report["clips"]) >= 3
    assert done.out.count(report["clips"][0]["file"]) == 1  # the table for people


def test_russian_with_captions_beside(sample_ru, tmp_path, config):
    film = bare_copy(sample_ru, tmp_path / "in")
    shutil.copy(sample_ru.with_suffix(".srt"), film.with_suffix(".srt"))
    check_russian(clips.run(film, tmp_path / "out", "--clips", "2", "-c", config), sample_ru)


@pytest.mark.parametrize("kind, codec", [("mkv", "srt"), ("mp4", "mov_text")])
def test_russian_with_captions_inside(sample_ru, tmp_path, config, kind, codec):
    film = tmp_path / f"talk.{kind}"
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-i", sample_ru, "-i", sample_ru.with_suffix(".srt"), "-map",
                    "0", "-map", "1", "-c:v", "copy", "-c:a", "copy", "-c:s", codec, film], check=True)
    check_russian(clips.run(film, tmp_path / "out", "--lang", "ru", "--clips", "1", "-c", config), sample_ru)


def test_russian_without_captions_says_what_would_do(sample_ru, tmp_path):
    film = bare_copy(sample_ru, tmp_path / "in")
    done = clips.run(film, tmp_path / "out", "--lang", "ru")
    assert done.status == 69 and len(done.said) == 1
    assert "--captions" in done.said[0]
    assert not list((tmp_path / "out").glob("[!.]*"))


def test_auto_does_not_print_nonsense_for_russian(sample_ru, tmp_path):
    film = tmp_path / "talk.mp4"
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-t", "22", "-i", sample_ru, "-c", "copy", film], check=True)
    done = clips.run(film, tmp_path / "out", "--lang", "auto")
    assert done.status in (65, 69) and len(done.said) == 1
    assert "--lang" in done.said[0]
    assert not list((tmp_path / "out").glob("[!.]*"))


# ---- What was asked for -------------------------------------------------------------------------

def test_formats_count_and_lengths(sample_en, tmp_path, config):
    done = clips.run(sample_en, tmp_path / "out", "--lang", "en", "--format", "9:16", "--format", "1:1", "--format",
                     "16:9", "--clips", "2", "--min", "4s", "--max", "8s", "--json", "-c", config)
    report = clips.report_of(done, json_asked=True)
    assert [clip["format"] for clip in report["clips"]] == ["9:16", "1:1", "16:9"] * 2
    clips.check_clips(done, report, lines_of(sample_en))
    for clip in report["clips"]:
        assert 4 - 0.05 <= clip["end_s"] - clip["start_s"] <= 8 + 0.05
    first, second = report["clips"][0], report["clips"][3]
    assert first["end_s"] <= second["start_s"] or second["end_s"] <= first["start_s"]


# ---- Killed, interrupted, doubled ---------------------------------------------------------------

def begin(source, out, *arguments, **changes):
    return subprocess.Popen(clips.command(source, out, *arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env=clips.environment(**changes), start_new_session=True, text=True)


def wait_for_step(process, out, pattern, seconds=120):
    """Until an attempt folder of this step exists: its worker is at work then."""
    until = time.monotonic() + seconds
    while not list(out.glob(f".clipmaker/*/jobs/*/{pattern}")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until, f"{pattern} never began"
        time.sleep(0.02)
    time.sleep(0.4)


def test_killed_in_the_middle_it_goes_on(sample_en, tmp_path, config):
    out, arguments = tmp_path / "out", ("--lang", "en", "--clips", "2", "-c", config)
    for pattern in ("transcript.*", "clip.*"):
        process = begin(sample_en, out, *arguments)
        wait_for_step(process, out, pattern)
        clips.kill_all(process, out)
        assert not clips.wait_gone(out)
    finished = {key: verdict for key, verdict in clips.attempts(out).items() if verdict == "ok"}
    assert {step for step, _, _ in finished} >= {"fetch", "prepare", "transcript", "moments"}
    report = clips.report_of(clips.run(sample_en, out, *arguments))
    after = clips.attempts(out)
    assert {key: after.get(key) for key in finished} == finished
    done = [key[:2] for key, verdict in after.items() if verdict == "ok"]
    assert len(done) == len(set(done)), "something finished was done again"
    assert len(report["clips"]) == 2 and len(list(out.glob("*.mp4"))) == 2
    state = clips.state_of(out)
    checked = subprocess.run([clips.CLIPMAKER, "fsck", "--state", state], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_interrupted_it_says_so_and_goes_on(sample_en, tmp_path, config):
    out, arguments = tmp_path / "out", ("--lang", "en", "--clips", "1", "-c", config)
    process = begin(sample_en, out, *arguments)
    wait_for_step(process, out, "transcript.*")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert [line for line in said.splitlines() if line.startswith("clipmaker: ")] == [
        "clipmaker: interrupted; the same command goes on where it was"]
    assert not clips.wait_gone(out)
    clips.report_of(clips.run(sample_en, out, *arguments))


def test_a_second_run_at_the_same_time_is_told_to_wait(sample_en, tmp_path, config):
    out, arguments = tmp_path / "out", ("--lang", "en", "--clips", "1", "-c", config)
    process = begin(sample_en, out, *arguments)
    try:
        wait_for_step(process, out, "prepare*")
        second = subprocess.run(clips.command(sample_en, out, *arguments), capture_output=True, text=True,
                                env=clips.environment(), timeout=20)
        assert second.returncode == 75
        assert second.stderr.startswith("clipmaker: ") and second.stderr.count("\n") == 1
        assert process.poll() is None
    finally:
        clips.kill_all(process, out)


# ---- Words for people ---------------------------------------------------------------------------

@pytest.mark.parametrize("language, alphabet", [("ru_RU.UTF-8", "[а-я]"), ("C.UTF-8", "^[^а-яА-Я]+$")])
def test_messages_are_in_the_language_of_the_locale(tmp_path, language, alphabet):
    done = clips.run(tmp_path / "absent.mp4", tmp_path / "out", env=clips.environment(LANG=language))
    assert done.status == 66 and len(done.said) == 1
    assert re.search(alphabet, done.said[0]), done.said


def test_progress_is_plain_lines_when_nobody_watches(english):
    assert "\r" not in english.err and "\x1b" not in english.err
    assert "clip: succeeded" in english.err
