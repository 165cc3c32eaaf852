"""What stands behind an OpenAI-compatible address in tests: ears that really hear, and an editor with rules of its own.

`Ears` answers audio/transcriptions. It decodes what it is sent, whatever the plugin sent, and asks a
`hear(sound)` for the words: pocketsphinx (hearing.Recogniser), or `Known`, which finds the sound in films
whose words are known. `Editor` answers chat/completions, from the prompt and nothing else.
"""
import re
import threading
import time

import numpy

import hearing
import known
from openai_server import Answer, chat, error

LANGUAGES = {"en": "english", "ru": "russian"}


# ---- Hearing ------------------------------------------------------------------------------------

class Known:
    """Films whose words are known: [(film, [(word as written, start s, end s)])]. Of a piece of one it tells its words."""

    LIKE = 0.9  # correlation of levels; of another film's sound it is under 0.5

    def __init__(self, films):
        # A chunk may end a little after what ffmpeg makes of the film.
        self.films = [(numpy.pad(hearing.levels(hearing.sound_of(film)), (0, 50), "edge"), words) for film, words in films]

    def __call__(self, sound):
        heard = hearing.levels(sound)
        best = max(((*self.place(levels, heard), words) for levels, words in self.films), key=lambda one: one[0])
        likeness, at_s, words = best
        end_s = at_s + len(heard) / 100
        if likeness < self.LIKE:
            return []
        return [(word, start - at_s, min(end, end_s) - at_s, 1.0) for word, start, end in words if at_s <= start < end_s]

    @staticmethod
    def place(levels, heard):
        """(likeness, s): where in the film this is, by the correlation of levels at every 10 ms."""
        length = len(heard)
        if length > len(levels) or length < 20:
            return 0, 0
        size = 1 << (len(levels) + length).bit_length()
        own = heard - heard.mean()
        spectrum = numpy.fft.rfft(levels, size) * numpy.conj(numpy.fft.rfft(own, size))
        products = numpy.fft.irfft(spectrum, size)[:len(levels) - length + 1]
        sums = numpy.concatenate(([0], numpy.cumsum(levels)))
        squares = numpy.concatenate(([0], numpy.cumsum(levels ** 2)))
        inside = squares[length:] - squares[:-length] - (sums[length:] - sums[:-length]) ** 2 / length
        likeness = products / numpy.sqrt(numpy.maximum(inside, 1e-9) * max((own ** 2).sum(), 1e-9))
        return float(likeness.max()), int(likeness.argmax()) / 100


def written(words, lines):
    """Known words with the spelling and the punctuation of the lines they stand in; a dash alone goes with the word before."""
    found, rest = [], list(words)
    for token in " ".join(lines).split():
        mine = known.bare(token)
        if not mine:
            found[-1] = (found[-1][0] + " " + token, *found[-1][1:])
            continue
        taken, rest = rest[:len(mine)], rest[len(mine):]
        assert [word for word, *_ in taken] == mine, (token, taken)
        found.append((token, taken[0][1], taken[-1][2]))
    assert not rest, rest
    return found


class Ears:
    """gives: "words", "segments" or "text", at most; what is more is refused, or with `mute` (s) not answered for so long."""

    def __init__(self, hear, language, gives="words", mute=0, takes_s=0.0):
        self.hear, self.language, self.gives, self.mute, self.takes_s = hear, language, gives, mute, takes_s
        self.lock, self.heard, self.kinds, self.answered = threading.Lock(), {}, [], 0

    def __call__(self, request):
        _, kind, content = request.files["file"]
        wants_times = request.fields["response_format"] == ["verbose_json"]
        self.kinds.append(kind)
        if wants_times and self.gives == "text":
            time.sleep(self.mute)
            return error(400, None, message="response_format verbose_json is not served", param="response_format")
        time.sleep(self.takes_s)
        words, seconds = self.words_of(content)
        with self.lock:
            self.answered += 1
        if not wants_times:
            return Answer({"text": self.text_of(words)})
        return Answer(self.verbose(words, seconds, "word" in request.fields.get("timestamp_granularities[]", [])))

    def words_of(self, content):
        with self.lock:  # asked again for the same audio it says the same
            if content not in self.heard:
                sound = hearing.sound_of(content)
                self.heard[content] = self.hear(sound), len(sound) / hearing.RATE
            return self.heard[content]

    @staticmethod
    def text_of(words):
        return " ".join(word for word, *_ in words)

    def verbose(self, words, seconds, wants_words):
        parts = sentences(words)
        segments = [{
            "id": number, "seek": 0, "start": round(one[0][1], 2), "end": round(one[-1][2], 2),
            "text": " " + self.text_of(one), "tokens": [], "temperature": 0.0, "compression_ratio": 1.4,
            "avg_logprob": float(numpy.log(max(0.05, sum(word[3] for word in one) / len(one)))), "no_speech_prob": 0.01,
        } for number, one in enumerate(parts)]
        answer = {"task": "transcribe", "language": LANGUAGES[self.language], "duration": round(seconds, 2),
                  "text": self.text_of(words), "segments": segments, "words": None,
                  "usage": {"type": "duration", "seconds": round(seconds)}}
        if wants_words and self.gives == "words":
            answer["words"] = [{"word": re.sub(r"[^\w'’-]+", "", word), "start": round(start, 2), "end": round(end, 2)}
                               for word, start, end, _ in words]
        return answer


def sentences(words, gap_s=0.45, most_s=12):
    """Words in runs: up to a full stop, a pause, or twelve seconds."""
    runs = []
    for word in words:
        last = runs[-1][-1] if runs else None
        if not last or last[0].endswith((".", "!", "?", "…")) or word[1] - last[2] >= gap_s or word[2] - runs[-1][0][1] > most_s:
            runs.append([])
        runs[-1].append(word)
    return runs


# ---- Editing ------------------------------------------------------------------------------------

class Editor:
    """A model of few rules. Everything it knows stands in the prompt; what it answers fits the schema that came with it."""

    HOOKS = re.compile(r"\?|\d|\b(why|how|never|secret|mistake|worst|nobody|почему|как|никогда|секрет|ошибк\w*|никто)\b", re.I)
    CTAS = {"en": ["Save it and try it tomorrow", "Follow for the whole talk", "What would you do?"],
            "ru": ["Сохраните и попробуйте завтра", "Полный выпуск в профиле", "А как считаете вы?"]}

    def __init__(self):
        self.asked = []

    def __call__(self, request):
        system, question = (one["content"] for one in request.json["messages"][:2])
        schema = request.json["response_format"]["json_schema"]["schema"]
        (field, array), = schema["properties"].items()
        self.asked.append(field)
        assert "JSON" in system
        language = "ru" if re.search("[а-яё]", question.lower()) else "en"
        answer = getattr(self, field)(question, array, language)
        usage = (len(system + question) // 3, len(str(answer)) // 3)
        return chat({field: answer}, model=request.json["model"], usage=usage)

    @staticmethod
    def transcript(question):
        """[(id, start s, text)] of the lines `[12] 3:05 S1 The text. (1.2 s) ^ *`."""
        found = []
        for line in question.splitlines():
            match = re.fullmatch(r"\[(\d+)\] (?:(\d+):)?(\d+):(\d\d)(?: S\d+)? (.+?)(?: \(\d+\.\d s\))?(?: \^)?(?: \*)?", line)
            if match:
                hours, minutes, seconds = (int(part or 0) for part in match.group(2, 3, 4))
                found.append((int(match[1]), hours * 3600 + minutes * 60 + seconds, match[5]))
        assert found, question
        return found

    def moments(self, question, array, language):
        lines = self.transcript(question)
        want, shortest, longest = map(int, re.findall(r"\d+", question)[:3])
        fields = array["items"]["properties"]
        assert (lines[0][0], lines[-1][0]) == (fields["first"]["minimum"], fields["first"]["maximum"])
        chosen, free = [], 0
        ends = [start for _, start, _ in lines[1:]] + [lines[-1][1] + len(lines[-1][2]) // 14]
        for number, (first, start, text) in enumerate(lines):
            if number < free or len(chosen) >= want or (not self.HOOKS.search(text) and number % 3):
                continue
            fit = [last for last in range(number, len(lines)) if shortest + 1 <= ends[last] - start <= longest - 1]
            if fit:
                last = next((one for one in fit if lines[one][2].endswith((".", "!"))), fit[0])
                reason = {"en": "It begins with: ", "ru": "Начинается словами: "}[language] + text[:80]
                chosen.append({"first": first, "last": lines[last][0], "reason": reason})
                free = last + 1
        return chosen[:array["maxItems"]]

    @staticmethod
    def items(question, name):
        """[(id, length s, text)] of `id=… (0:05, 31 s)` and the line below it."""
        return [(match[1], int(match[2]), match[3].strip()) for match in
                re.finditer(rf"^{name}=(\S+) \([\d:]+, (\d+) s\)\n(.*)$", question, re.M)]

    def answered(self, question, array, name):
        found = self.items(question, name)
        assert [one[0] for one in found] == array["items"]["properties"][name]["enum"], question
        return found

    def scores(self, question, array, language):
        def score(text, length):
            hooks = len(self.HOOKS.findall(text))
            return {"hook": min(25, 10 + 3 * hooks), "engagement": min(25, 8 + len(set(text.lower().split())) // 5),
                    "flow": 20 if text.endswith((".", "!", "?")) else 12, "trend": min(25, 8 + length // 4)}
        words = {"en": "Strong opening; short on pictures.", "ru": "Сильное начало; мало образов."}[language]
        return [{"id": name, **score(text, length), "reason": words}
                for name, length, text in self.answered(question, array, "id")]

    def titles(self, question, array, language):
        found = []
        for name, _, text in self.answered(question, array, "key"):
            title = " ".join(text.split()[:7]).rstrip(".,!?:;")
            topics = sorted(set(known.bare(text)), key=lambda word: (-len(word), word))[:3]
            found.append({"key": name, "title": title[:60], "text": " ".join(text.split()[:25])[:300],
                          "hashtags": ["#" + re.sub(r"\W", "", word)[:40] for word in topics]})
        return found

    def ctas(self, question, array, language):
        return [{"key": name, "text": self.CTAS[language][number % 3]}
                for number, (name, _, _) in enumerate(self.answered(question, array, "key"))]


def both(ears, editor):
    """One server for both: by the path."""
    def answer(request):
        if request.path.endswith("/audio/transcriptions"):
            return ears(request)
        if request.path.endswith("/chat/completions"):
            return editor(request)
        return error(404, None, message=f"no {request.path} here")
    return answer
