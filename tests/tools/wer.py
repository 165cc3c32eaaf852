#!/usr/bin/env python3
"""Word error rate of a transcript against a known text.

    wer.py REFERENCE.txt HYPOTHESIS      prints errors, words and the rate in per cent

HYPOTHESIS is plain text, or JSON: a `words` artifact ({"words":[{"t":…}]}), or several of them as
one object a line. A reference in .tsv takes its last column. Case, punctuation, the way numbers
are written, and who speaks ("ANN:" at the head of a line) do not count.
"""
import json
import re
import sys

UNITS = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
         "seventeen eighteen nineteen").split()
TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()
SAME = {"mr": "mister", "mrs": "missus", "ok": "okay", "dr": "doctor"}


def spell(number):
    if number < 20:
        return [UNITS[number]]
    if number < 100:
        return [TENS[number // 10]] + (spell(number % 10) if number % 10 else [])
    if number < 1000:
        return [UNITS[number // 100], "hundred"] + (spell(number % 100) if number % 100 else [])
    return spell(number // 1000) + ["thousand"] + (spell(number % 1000) if number % 1000 else [])


def words_of(text):
    found = []
    text = re.sub(r"(?:^|(?<=\s))[A-Z][A-Z]+:\s", " ", text)
    for word in re.findall(r"[0-9]+|[^\W\d_]+(?:['’][^\W\d_]+)*", text.lower()):
        word = word.replace("’", "'")
        if word.isdigit() and int(word) < 1000000:
            found += spell(int(word))
        else:
            found.append(SAME.get(word, word))
    return found


def read_json(text):
    try:
        documents = [json.loads(text)]
    except ValueError:
        documents = [json.loads(line) for line in text.splitlines() if line.strip()]
    words = []
    for document in documents:
        words += document.get("words", [document] if "t" in document else [])
    return " ".join(word["t"] for word in words)


def read(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if path.endswith(".tsv"):
        return " ".join(line.split("\t")[-1] for line in text.splitlines() if line.strip())
    return read_json(text) if text.lstrip().startswith("{") else text


def errors(reference, hypothesis):
    row = list(range(len(hypothesis) + 1))
    for i, wanted in enumerate(reference, 1):
        diagonal, row[0] = row[0], i
        for j, got in enumerate(hypothesis, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (wanted != got))
    return row[-1]


def main(arguments):
    if len(arguments) != 3:
        print(__doc__, file=sys.stderr)
        return 64
    reference, hypothesis = words_of(read(arguments[1])), words_of(read(arguments[2]))
    if not reference:
        print(f"{arguments[1]}: no words in the reference", file=sys.stderr)
        return 65
    wrong = errors(reference, hypothesis)
    print(f"{wrong} errors in {len(reference)} words: {100 * wrong / len(reference):.1f} %")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
