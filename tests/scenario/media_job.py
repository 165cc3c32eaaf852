"""Films and hours, through clouds: what takes minutes. Not in ./check; `make check-media` runs it.

The main job over the films of the test media, and an hour of speech in real proportion: a recogniser that
needs 20 s for three minutes and gives text only.
"""
import subprocess
import threading
import time

import pytest

import clips
import hearing
import known
import timing
from cloud import Ears, Editor, Known, both, written
from conftest import made
from openai_server import Server
from test_77_cloud_job import config, lines_of, recogniser

__all__ = ["recogniser"]

HOUR_S, TAKES, LIMIT = 3600, 20 / 180, 4


@pytest.mark.parametrize("name", ["en_stage_speech_720p.mp4", "en_two_people_composite.mkv", "en_generated_two_heads_demo.mp4"])
def test_english_films(name, film, recogniser, tmp_path):
    editor = Editor()
    with Server(otherwise=both(Ears(recogniser.hear, "en"), editor)) as server:
        done = clips.run(film(name), tmp_path / "out", "--lang", "en", "--json", "--clips", "2", "--min", "8s", "-c",
                         config(tmp_path, server), timeout=900)
    report = clips.report_of(done, json_asked=True, paid=True)
    assert report["transcript"]["by"] == "openai_stt" and set(editor.asked) >= {"moments", "scores", "titles"}
    clips.check_clips(done, report)


@pytest.mark.parametrize("gives", timing.GIVES)
def test_a_russian_film(gives, film, tmp_path):
    source, editor = film("ru_voxforge_composite_moving.mkv"), Editor()
    words, spoken = known.words_of(source), [text for _, _, text in known.text_of(source)]
    ears = Ears(Known([(source, written(words, spoken))]), "ru", gives=gives)
    with Server(otherwise=both(ears, editor)) as server:
        done = clips.run(source, tmp_path / "out", "--lang", "ru", "--json", "--clips", "2", "-c", config(tmp_path, server),
                         timeout=900)
    report = clips.report_of(done, json_asked=True, paid=True)
    assert report["transcript"]["by"] == "openai_stt" and set(editor.asked) == {"moments", "scores", "titles", "ctas"}
    clips.check_clips(done, report, [one[:3] for one in known.sentences_of(words, spoken)])
    assert len(clips.artifact(done.dir, "transcript")["words"]) == len(words)


# ---- An hour ------------------------------------------------------------------------------------

class Slow(Ears):
    """Takes as long as the audio is, in proportion; notes when each request came and went."""

    def __init__(self, *given, **more):
        super().__init__(*given, **more)
        self.spans, self.gate = [], threading.Lock()

    def __call__(self, request):
        begun = time.monotonic()
        answer = super().__call__(request)
        seconds = self.words_of(request.files["file"][2])[1]
        if answer.status == 200:
            time.sleep(max(0, begun + seconds * TAKES - time.monotonic()))
            with self.gate:
                self.spans.append((begun, time.monotonic(), seconds))
        return answer


def ideal_s(seconds):
    """As many at once as the limit says, in the order of the film, and nothing between them."""
    free = [0.0] * LIMIT
    for one in seconds:
        free.sort()
        free[0] += one * TAKES
    return max(free)


def duration(film):
    return len(hearing.sound_of(film)) / hearing.RATE


def repeat(film, path):
    """The film over and over for an hour; its sound by samples, so that every turn is as long as the first."""
    sound = path.with_suffix(".wav")
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", "-i", film, "-ar", "16000", "-ac", "1", sound], check=True)
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-stream_loop", "-1", "-i", film, "-stream_loop", "-1", "-i", sound,
                    "-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "aac", "-t", str(HOUR_S), path], check=True)
    sound.unlink()


@pytest.mark.parametrize("chunk", ["3m", "30s"])
def test_an_hour_of_text_only(chunk, sample_ru, tmp_path):
    film, editor, length = made("hour-ru.mp4", lambda path: repeat(sample_ru, path)), Editor(), duration(sample_ru)
    words = written(known.sample_words(sample_ru), lines_of(sample_ru))
    spoken = [(word, start + turn * length, end + turn * length) for turn in range(int(HOUR_S / length) + 1)
              for word, start, end in words]
    ears = Slow(Known([(film, spoken)]), "ru", gives="text")
    with Server(otherwise=both(ears, editor)) as server:
        conf = config(tmp_path, server, "stt_cloudru", "llm_cloudru", f'plugins: {{ media: {{ chunk = "{chunk}"; }}; }};\n')
        done = clips.run(film, tmp_path / "out", "--lang", "ru", "--json", "--clips", "1", "-c", conf, timeout=1500)
    report = clips.report_of(done, json_asked=True, paid=True)
    seconds = max(end for _, end, _ in ears.spans) - min(begun for begun, _, _ in ears.spans)
    ideal = ideal_s([one for _, _, one in sorted(ears.spans)])
    print(f"{len(ears.spans)} chunks of at most {chunk}: transcript in {seconds:.1f} s, ideal {ideal:.1f} s, {seconds / ideal:.3f}; "
          f"the whole job {done.seconds:.0f} s, {report['transcript']['words']} words")
    assert seconds <= 1.15 * ideal
    transcript = clips.artifact(done.dir, "transcript")
    said = [one for one in spoken if one[2] < HOUR_S]
    assert abs(len(transcript["words"]) / len(said) - 1) < 0.02
    one = timing.figures([(known.bare(word["t"])[0], word["s"]) for word in transcript["words"]],
                         [(known.bare(word)[0], *times) for word, *times in said])
    print(f"median {one.median_ms:.0f} ms, nine of ten {one.p90_ms:.0f} ms")
    assert one.median_ms <= timing.LIMIT_MS
    clips.check_clips(done, report)
