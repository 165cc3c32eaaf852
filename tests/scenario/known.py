"""What is said in the known films, word by word with times: the measure for recognisers and captions.

Samples that we make ourselves: the synthesiser tells when it says each word, to the millisecond. Films
of the test media: their words are known, and an aligner finds them in the sound; what it found is kept in
tests/timing, for it takes a while. `python3 known.py FILM…` writes those files anew.
"""
import ctypes
import difflib
import functools
import json
import pathlib
import re
import subprocess
import sys

TIMES = pathlib.Path(__file__).resolve().parents[1] / "timing"


def bare(text):
    """The words of a text, as they are compared."""
    return re.findall(r"[^\W_]+(?:['-][^\W_]+)*", text.lower().replace("’", "'"))


def lines_of(path):
    """[(start s, end s, speaker, text)] of a .tsv beside a film."""
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [(float(row[0]), float(row[1]), row[2], row[3]) for row in rows]


# ---- Samples that tests/sample/make-sample made --------------------------------------------------

@functools.lru_cache(maxsize=None)
def phones(voice, text):
    """[(phone, end s)] as flite says it."""
    said = subprocess.run(["flite", "-voice", voice, "-psdur", "-t", text, "-o", "/dev/null"], check=True,
                          capture_output=True, text=True).stdout
    return [(part.rsplit(":", 1)[0], float(part.rsplit(":", 1)[1])) for part in said.split()]


def apart(voice, words):
    """The phones of each word alone: said one by one, with full stops between."""
    said = " ".join(phone for phone, _ in phones(voice, ". ".join(words) + "."))
    found = [one.split() for one in said.split("pau") if one.strip()]
    assert len(found) == len(words), (words, found)
    return found


def flite_words(voice, text):
    """[(word, start s, end s)]: the phones of each word, found again in those of the sentence."""
    words, sentence = bare(text), [("pau", 0.0), *phones(voice, text)]
    spelled = [(phone, number) for number, alone in enumerate(apart(voice, words)) for phone in alone]
    match = difflib.SequenceMatcher(None, [one for one, _ in spelled], [one for one, _ in sentence], autojunk=False)
    found = {}
    for block in match.get_matching_blocks():
        for i in range(block.size):
            at = block.b + i
            start, end = sentence[at - 1][1], sentence[at][1]
            word = spelled[block.a + i][1]
            found[word] = (min(found.get(word, (start,))[0], start), end)
    for number in range(len(words)):  # "a" has another vowel in a sentence than alone
        if number not in found:
            before = found[number - 1][1] if number else 0.0
            between = [(start, end) for (_, start), (phone, end) in zip(sentence, sentence[1:])
                       if phone != "pau" and start >= before and end <= found[number + 1][0]]
            found[number] = (between[0][0], between[-1][1])
    return [(word, *found[number]) for number, word in enumerate(words)]


class Event(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int), ("unique", ctypes.c_uint), ("text_position", ctypes.c_int),
                ("length", ctypes.c_int), ("audio_position", ctypes.c_int), ("sample", ctypes.c_int),
                ("user", ctypes.c_void_p), ("id", ctypes.c_int64)]


def print_espeak_events(pitch, text):
    """[[place in the text, s]…] of every word, as JSON."""
    retrieval, utf8, word_event = 1, 1, 1
    espeak, found = ctypes.CDLL("libespeak-ng.so.1"), []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event))
    def heard(_, __, events):
        i = 0
        while events[i].type:
            if events[i].type == word_event:
                found.append((events[i].text_position - 1, events[i].audio_position / 1000))
            i += 1
        return 0
    espeak.espeak_Initialize(retrieval, 0, None, 0)
    espeak.espeak_SetSynthCallback(heard)
    espeak.espeak_SetVoiceByName(b"ru")
    espeak.espeak_SetParameter(1, 150, 0)
    espeak.espeak_SetParameter(3, pitch, 0)
    content = text.encode() + b"\0"
    espeak.espeak_Synth(content, len(content), 0, 1, 0, utf8, None, None)
    espeak.espeak_Synchronize()
    print(json.dumps(found))


def espeak_words(pitch, text):
    """[(word, start s, end s)]: espeak-ng says when each begins; it ends where the next begins, or soon."""
    said = subprocess.run([sys.executable, __file__, "--events", str(pitch), text], check=True, capture_output=True)
    found, words, letter_s = [], [], 0.09
    for at, start in json.loads(said.stdout):
        if not found or at > found[-1][0]:  # where a clause begins one of the last clause may come again
            found.append((at, start))
    for (at, start), (until, after) in zip(found, [*found[1:], (None, 1e6)]):
        for word in bare(text[at:until]):
            words.append((word, start, min(after, start + letter_s * (len(word) + 1))))
    assert [word for word, *_ in words] == bare(text), (text, words)
    return words


def sample_words(film):
    """The words of a film of make-sample, exactly."""
    found = []
    for start, _, speaker, text in lines_of(film.with_suffix(".tsv")):
        if re.search("[а-яё]", text.lower()):
            words = espeak_words(65 if speaker == "B" else 35, text)
        else:
            words = flite_words("slt" if speaker in "1B" else "rms", text)
        found += [(word, start + begin, start + end) for word, begin, end in words]
    return found


# ---- Films of the test media ---------------------------------------------------------------------

def text_of(film):
    """[(from s, to s, text)] of what is said: lines with rough times, or all of it at once."""
    spoken = film.with_suffix(".json")
    if spoken.exists():
        return [(one["start"], one["end"], one["text"]) for one in json.loads(spoken.read_text())["segments"]]
    if film.with_suffix(".tsv").exists():
        return [(start, end, text) for start, end, _, text in lines_of(film.with_suffix(".tsv"))]
    text = re.sub(r"(?m)^[A-Z]{2,}:\s", " ", film.with_suffix(".txt").read_text(encoding="utf-8"))
    return [(0, None, text)]


def align(film):
    import hearing
    aligner, sound, found = hearing.Aligner(), hearing.sound_of(film), []
    for start, end, text in text_of(film):
        part = sound[int(start * hearing.RATE):int(end * hearing.RATE) if end else None]
        words = aligner.align(part, bare(text))
        assert words, f"not found in {film.name}: {text}"
        found += [(word, start + begin, start + stop) for word, begin, stop in words]
    return found


def words_of(film):
    """[(word, start s, end s)] of a film of the test media; None where nobody aligned it."""
    kept = TIMES / (film.stem + ".tsv")
    if not kept.exists():
        return None
    rows = [line.split("\t") for line in kept.read_text(encoding="utf-8").splitlines()]
    return [(word, float(start), float(end)) for word, start, end in rows]


def sentences_of(words, lines):
    """Known words gathered by the lines they stand in: [(start, end, text as written, [word…])]."""
    found, at = [], 0
    for text in lines:
        mine = words[at:at + len(bare(text))]
        assert [word for word, *_ in mine] == bare(text), (text, mine)
        found.append((mine[0][1], mine[-1][2], text, mine))
        at += len(mine)
    return found


if __name__ == "__main__":
    if sys.argv[1] == "--events":
        print_espeak_events(int(sys.argv[2]), sys.argv[3])
        sys.exit()
    TIMES.mkdir(exist_ok=True)
    for name in map(pathlib.Path, sys.argv[1:]):
        lines = "".join(f"{word}\t{start:.2f}\t{end:.2f}\n" for word, start, end in align(name))
        (TIMES / (name.stem + ".tsv")).write_text(lines, encoding="utf-8")
