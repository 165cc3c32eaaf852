"""Captions are in time, whatever times the recogniser gives: the start of every word against known times.

Here the words are heard without fault, so that only their times are judged; `make check-media` measures the same
with a real recogniser and prints the table of docs/decisions/timing.md.
"""
import pytest

import known
import timing
from cloud import Ears, Known, written

FILMS = [("en_two_people_composite.mkv", "en"), ("ru_voxforge_composite_moving.mkv", "ru")]


def check(film, words, lines, language):
    ears = Ears(Known([(film, written(words, lines))]), language)
    for gives, one in timing.measure(film, words, ears, language).items():
        print(f"{film.name}, {gives}: median {one.median_ms:.0f} ms, nine of ten {one.p90_ms:.0f} ms, {one.share:.0%} of the words")
        assert one.share == 1
        assert one.median_ms <= timing.LIMIT_MS, gives


@pytest.mark.plain
@pytest.mark.parametrize("language", ["en", "ru"])
def test_samples_are_in_time(language, request):
    film = request.getfixturevalue(f"sample_{language}")
    check(film, known.sample_words(film), [text for _, _, _, text in known.lines_of(film.with_suffix(".tsv"))], language)


@pytest.mark.parametrize("name, language", FILMS)
def test_films_are_in_time(name, language, film):
    source = film(name)
    check(source, known.words_of(source), [text for _, _, text in known.text_of(source)], language)
