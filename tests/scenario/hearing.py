"""A real recogniser: Debian's pocketsphinx over a recording. It says what it hears, or where known words lie.

`hear` is what a server around it answers with. `align` is the measure that captions are held against:
the words are known, so all that is left to find are their times. Russian words are spelled with the
phones of the English model, which is near enough to find edges (docs/decisions/timing.md says how near).
"""
import re
import subprocess
import threading

import numpy

RATE = 16000
FRAME = RATE // 100
MODEL = "/usr/share/pocketsphinx/model/en-us"
LONGEST_S = 15

#: What each Russian letter sounds like to an English ear; soft vowels begin with Y behind a vowel only.
SOUNDS = {"а": "AA", "б": "B", "в": "V", "г": "G", "д": "D", "е": "EH", "ё": "AO", "ж": "ZH", "з": "Z", "и": "IY",
          "й": "Y", "к": "K", "л": "L", "м": "M", "н": "N", "о": "AA", "п": "P", "р": "R", "с": "S", "т": "T",
          "у": "UW", "ф": "F", "х": "HH", "ц": "T S", "ч": "CH", "ш": "SH", "щ": "SH", "ъ": "", "ы": "IH", "ь": "",
          "э": "EH", "ю": "UW", "я": "AA"}
SOFT = "еёюя"


def sound_of(source):
    """Mono samples at 16 kHz of a file, or of the bytes of one (FLAC, Opus, WAV: what ffmpeg reads)."""
    given = isinstance(source, bytes)
    done = subprocess.run(["ffmpeg", "-nostdin" if not given else "-hide_banner", "-v", "error", "-i",
                           "pipe:0" if given else source, "-map", "0:a:0", "-f", "s16le", "-ac", "1", "-ar", str(RATE), "-"],
                          input=source if given else None, check=True, capture_output=True)
    return numpy.frombuffer(done.stdout, numpy.int16)


def levels(sound, frame=FRAME):
    """dB of every 10 ms."""
    count = len(sound) // frame
    squares = sound[:count * frame].astype(numpy.float64).reshape(count, frame) ** 2
    return 10 * numpy.log10(squares.mean(axis=1) + 1)


def pieces(sound, longest_s=LONGEST_S):
    """[(from, to)] in samples: cut in the quietest fifth of a second of the second half of what fits."""
    loud, at, cuts = levels(sound), 0, []
    longest = longest_s * 100
    while len(loud) - at > longest:
        window = numpy.convolve(loud[at + longest // 2:at + longest], numpy.ones(20) / 20, "valid")
        at += longest // 2 + int(window.argmin()) + 10
        cuts.append(at * FRAME)
    edges = [0, *cuts, len(sound)]
    return [(start, end) for start, end in zip(edges, edges[1:]) if end - start > FRAME * 20]


def russian(word):
    """Phones of a Russian word."""
    phones, before = [], ""
    for letter in word.lower():
        sounds = SOUNDS.get(letter, "")
        if letter in SOFT and (not before or before in "аеёиоуыэюяьъ"):
            sounds = "Y " + sounds
        phones += sounds.split()
        before = letter
    return " ".join(phones) or "AH"


class Recogniser:
    """One model; calls take turns."""

    def __init__(self):
        import pocketsphinx
        self.lock = threading.Lock()
        self.decoder = pocketsphinx.Decoder(self.config(pocketsphinx.Decoder.default_config()))

    @staticmethod
    def config(config, **more):
        paths = {"-hmm": "/en-us", "-dict": "/cmudict-en-us.dict", "-lm": "/en-us.lm.bin"}
        for name, path in paths.items():
            config.set_string(name, MODEL + path)
        config.set_string("-logfn", "/dev/null")
        config.set_boolean("-remove_silence", False)  # else word times drift by seconds
        for name, value in more.items():
            config.set_float(name, value)
        return config

    def decode(self, sound):
        """[(word, start s, end s, probability)], silences and noises left out."""
        self.decoder.start_utt()
        self.decoder.process_raw(sound.tobytes(), False, True)
        self.decoder.end_utt()
        found = []
        for segment in self.decoder.seg():
            if not segment.word.startswith(("<", "[", "+")):
                word = re.sub(r"\(\d+\)$", "", segment.word)
                found.append((word, segment.start_frame / 100, (segment.end_frame + 1) / 100,
                              min(1.0, self.decoder.get_logmath().exp(segment.prob))))
        return found

    def hear(self, sound):
        with self.lock:
            return [(word, start / RATE + begin, start / RATE + end, sure)
                    for start, stop in pieces(sound) for word, begin, end, sure in self.decode(sound[start:stop])]


class Aligner(Recogniser):
    """Finds known words: the same model, with a grammar that knows only them."""

    @staticmethod
    def config(config, **more):
        return Recogniser.config(config, **{"-beam": 1e-120, "-wbeam": 1e-100, "-pbeam": 1e-120, **more})

    def learn(self, word):
        if self.decoder.lookup_word(word) is None:
            self.decoder.add_word(word, russian(word) if re.search("[а-яё]", word) else english(word), True)

    def align(self, sound, words):
        """[(word, start s, end s)] of these words, said one after the other in this sound; [] where they were not found."""
        with self.lock:
            for word in words:
                self.learn(word)
            grammar = f"#JSGF V1.0; grammar known; public <known> = {' '.join(words)};"
            self.decoder.set_jsgf_string("known", grammar)
            self.decoder.set_search("known")
            found = self.decode(sound)
        if [word for word, *_ in found] != list(words):
            return []
        return [(word, start, end) for word, start, end, _ in found]


def english(word):
    """Phones of a word that the dictionary lacks, by flite's rules of spelling."""
    said = subprocess.run(["flite", "-ps", "-t", word, "-o", "/dev/null"], check=True, capture_output=True, text=True)
    known = {"ax": "AH", "axr": "ER", "pau": ""}
    return " ".join(filter(None, (known.get(phone, phone.upper()) for phone in said.stdout.split())))
