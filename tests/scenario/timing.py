"""How far captions are off: the start of every word against known times, with word times, segment times and text only.

    timing.py [--media FOLDER] [FILM…]     prints a table, in Markdown

Each film goes through the prepare plugin and then, chunk by chunk, through stt_openai, as the daemon would
call them, to a server with real ears (English) or one that knows the words (Russian). A word counts where
the transcript and the known text have it both; the share says how many those are.
"""
import argparse
import difflib
import pathlib
import statistics
import sys
import tempfile
import time

import known
from calls import call
from cloud import Ears, Known, written
from openai_server import Server

GIVES = ("words", "segments", "text")
LIMIT_MS = 300
#: of the test media: film, language, whether its sound is heard by the recogniser or known
FILMS = [("en_generated_two_heads_demo.mp4", "en"), ("en_two_people_composite.mkv", "en"),
         ("en_autoeditor_timecode_720p.mp4", "en"), ("en_stage_speech_720p.mp4", "en"),
         ("ru_voxforge_composite_moving.mkv", "ru")]


class Figures:
    def __init__(self, errors_ms, words):
        self.errors_ms, self.words = sorted(map(abs, errors_ms)), words
        self.median_ms = statistics.median(self.errors_ms)
        self.p90_ms = self.errors_ms[int(0.9 * (len(self.errors_ms) - 1))]
        self.share = len(self.errors_ms) / words

    def __add__(self, other):
        return Figures(self.errors_ms + other.errors_ms, self.words + other.words)


def prepared(film, folder, chunk="3m"):
    """[(inputs of a transcribe call, facts)]: the chunks of a film."""
    done = call(folder, "media_ffmpeg", "prepare", "prepare", {"chunk": chunk},
                inputs=[{"role": "media", "key": "", "path": str(film), "facts": {}}])
    assert done.verdict == "ok", done.words
    keys = [one["key"] for one in done.done["artifacts"] if one["role"] == "chunk"]
    return [[{"role": one["role"], "key": key, "path": str(folder / one["file"]), "facts": one["facts"]}
             for one in done.done["artifacts"] if one["key"] == key] for key in keys]


def transcribed(chunks, server, language, folder, plugin="stt_openai", **options):
    """[(word, start ms)] of all chunks."""
    found = []
    for number, inputs in enumerate(chunks):
        attempt = folder / f"{number:04}"
        done = call(attempt, plugin, "stt", "transcribe",
                    {"url": server.url, "key": "sk-test", "model": "ear-1", "timeout": "30m", **options}, inputs=inputs,
                    language=language, params={"language": language}, timeout=3600)
        assert done.verdict == "ok", done.words
        words = done.artifact(attempt, "words")["words"]
        found += [(part, one["s"]) for one in words for part in known.bare(one["t"])[:1]]
    return found


def figures(found, words):
    """What was found against what is known: [(word, start s, end s)]."""
    match = difflib.SequenceMatcher(None, [word for word, _ in found], [word for word, *_ in words], autojunk=False)
    return Figures([found[block.a + i][1] - words[block.b + i][1] * 1000 for block in match.get_matching_blocks()
                    for i in range(block.size)], len(words))


def measure(film, words, ears, language, chunk="3m"):
    """{gives: Figures}"""
    result = {}
    with tempfile.TemporaryDirectory() as folder, Server(otherwise=ears) as server:
        folder = pathlib.Path(folder)
        chunks = prepared(film, folder / "prepare", chunk)
        for gives in GIVES:
            ears.gives = gives
            (folder / gives).mkdir()
            result[gives] = figures(transcribed(chunks, server, language, folder / gives), words)
    return result


def ears_for(film, language, recogniser):
    if language == "ru":
        words = known.words_of(film)
        return words, Ears(Known([(film, written(words, [text for _, _, text in known.text_of(film)]))]), "ru")
    return known.words_of(film) or known.align(film), Ears(recogniser.hear, "en")


def row(name, chunk, result):
    cells = [f"{one.median_ms:.0f} / {one.p90_ms:.0f}" for one in result.values()]
    share = min(one.share for one in result.values())
    return f"| {name} | {chunk} | {' | '.join(cells)} | {share:.0%} of {result['text'].words} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--media", type=pathlib.Path, required=True)
    parser.add_argument("films", nargs="*")
    given = parser.parse_args()
    import hearing
    recogniser, late = hearing.Recogniser(), []
    print("| film | chunks | word times | segments | text only | words compared |\n| --- | --- | --- | --- | --- | --- |")
    for chunk in ("3m", "30s"):
        sums = {}
        for name, language in FILMS:
            if given.films and name not in given.films:
                continue
            words, ears = ears_for(given.media / name, language, recogniser)
            result = measure(given.media / name, words, ears, language, chunk)
            print(row(name, chunk, result), flush=True)
            before = sums.get(language)
            sums[language] = {gives: before[gives] + one if before else one for gives, one in result.items()}
        for language, result in sums.items():
            print(row(f"**all, {language}**", chunk, result), flush=True)
            late += [f"{language}, {chunk}, {gives}: {one.median_ms:.0f} ms" for gives, one in result.items()
                     if one.median_ms > LIMIT_MS]
    print("\n".join(["", *late] if late else [""]))
    return 1 if late else 0


if __name__ == "__main__":
    begun = time.monotonic()
    status = main()
    print(f"{time.monotonic() - begun:.0f} s", file=sys.stderr)
    sys.exit(status)
