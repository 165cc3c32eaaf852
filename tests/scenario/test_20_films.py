"""Real films: each that has speech gives clips, and its words agree with what is known of them."""
import json
import pathlib
import shutil

import pytest

import clips

pytestmark = pytest.mark.long

#: name: the shortest clip asked for; the known text and the error rate to keep (measured and 5 points).
#: Without a text the words are not judged.
FILMS = {
    "en_autoeditor_timecode_720p.mp4": ("5s", ".txt", 10),
    "en_generated_two_heads_demo.mp4": ("15s", ".tsv", 13),
    "en_stage_speech_720p.mp4": ("15s", ".txt", 44),
    "en_stage_speech_vp9_vfr.webm": ("15s", None, None),
    "en_two_people_composite.mkv": ("10s", ".txt", 27),
    "en_screencast_pip_composite.mp4": ("15s", None, None),
    "en_vertical_creator_1080x1920_60fps.mp4": ("3s", None, None),
    "en_phone_rotated_hevc.mov": ("3s", None, None),
    "en_house_address_mpeg4asp.mp4": ("3s", None, None),
    "en_interview_vfr_700x700.mp4": ("3s", None, None),
}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return clips.fast_config(tmp_path_factory.mktemp("config"))


@pytest.mark.parametrize("name", FILMS)
def test_english_films(film, tmp_path, config, name):
    shortest, text, worst = FILMS[name]
    source = film(name)
    done = clips.run(source, tmp_path / "out", "--lang", "en", "--min", shortest, "--clips", "2", "-c", config)
    report = clips.report_of(done)
    known = source.with_suffix(text) if text else None
    lines = clips.read_lines(known) if text == ".tsv" else ()
    clips.check_clips(done, report, lines)
    if known:
        assert clips.word_errors(known, clips.artifact(done.dir, "transcript"), tmp_path) <= worst


def clock(seconds):
    return f"00:{int(seconds) // 60:02d}:{int(seconds) % 60:02d},{int(seconds * 1000) % 1000:03d}"


def test_russian_film_with_captions_made_of_its_text(film, tmp_path, config):
    name = "ru_voxforge_composite_moving"
    known = json.loads(film(name + ".json").read_text(encoding="utf-8"))
    lines = [(line["start"], line["end"], line["text"]) for line in known["segments"]]
    given = tmp_path / "known.srt"
    given.write_text("".join(f"{number}\n{clock(start)} --> {clock(end)}\n{text}\n\n"
                             for number, (start, end, text) in enumerate(lines, 1)), encoding="utf-8")
    source = pathlib.Path(shutil.copy(film(name + ".mkv"), tmp_path))
    done = clips.run(source, tmp_path / "out", "--lang", "ru", "--captions", given, "--clips", "2", "-c", config)
    report = clips.report_of(done)
    clips.check_clips(done, report, lines)
    quiet = clips.pauses(source)
    for clip in report["clips"]:
        clips.check_in_step(done.dir / clip["file"], clip, lines, quiet)


def test_a_rapped_song_gives_a_draft_or_a_plain_refusal(film, tmp_path, config):
    """Ten seconds over music: clips or a plain refusal, nothing between."""
    done = clips.run(film("en_stage_cuts_640x360.mp4"), tmp_path / "out", "--lang", "en", "--min", "3s", "-c", config)
    if done.status == 0:
        clips.check_clips(done, clips.report_of(done))
    else:
        assert done.status == 65 and len(done.said) == 1, done.err
