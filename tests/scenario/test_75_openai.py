"""llm_openai, llm_cloudru, stt_openai, stt_cloudru against a scripted server: what is asked, what each answer means."""
import json
import time

import pytest

from calls import call
from openai_server import Answer, Server, chat, error

KEY = "sk-canary-4f1d0c"


@pytest.fixture
def server():
    with Server() as one:
        yield one


# ---- What is given ------------------------------------------------------------------------------

TEXTS = ["Nobody tells you this about money.", "You lose it first, and then you learn.", "That was my first year."]


def transcript_in(folder):
    """Three sentences of five seconds each, as the windows step leaves them."""
    folder.mkdir(exist_ok=True)
    words, sentences = [], []
    for number, text in enumerate(TEXTS):
        first = len(words)
        parts = text.split()
        for place, part in enumerate(parts):
            start = number * 6000 + place * 5000 // len(parts)
            words.append({"t": part, "s": start, "e": start + 5000 // len(parts), "c": 0.9, "p": -1})
        sentences.append({"s": number * 6000, "e": number * 6000 + 5000, "first": first, "last": len(words) - 1})
    transcript = {"language": "en", "by": ["x"], "draft": False, "duration_ms": 18000, "words": words,
                  "sentences": sentences, "speech": [[one["s"], one["e"]] for one in sentences]}
    (folder / "transcript.json").write_text(json.dumps(transcript))
    (folder / "window.json").write_text(json.dumps({"first": 0, "last": 2}))
    return [{"role": "transcript", "key": "", "path": str(folder / "transcript.json"), "facts": {}},
            {"role": "window", "key": "01", "path": str(folder / "window.json"), "facts": {}}]


MOMENTS = {"moments": [{"first": 0, "last": 1, "reason": "a confession", "hook": "Nobody tells you this"}]}


def ask(server, tmp_path, plugin="llm_openai", folder="attempt", task="moment_selection", inputs=(), **more):
    options = {"url": server.url, "key": KEY, "model": "test-model", "timeout": "5s", **more.pop("options", {})}
    from conftest import STAGE
    return call(tmp_path / folder, plugin, "llm", "answer", options, ask=task,
                inputs=transcript_in(tmp_path / "inputs") + list(inputs), prompts=str(STAGE / "share/clipmaker/prompts"),
                params={"language": "en", "min_ms": 3000, "max_ms": 60000, "clips": 1}, **more)


def moments_of(schema_request):
    """An answer that fits the schema that was sent, whatever its fields are called."""
    schema = schema_request.json["response_format"]["json_schema"]["schema"]
    return chat(example(schema))


def example(schema):
    kind = schema.get("type")
    if "enum" in schema:
        return schema["enum"][0]
    if kind == "object":
        return {name: example(one) for name, one in schema["properties"].items()}
    if kind == "array":
        return [example(schema["items"])]
    if kind == "integer":
        return schema.get("minimum", 0)
    return "A confession" if kind == "string" else 0


# ---- Questions ----------------------------------------------------------------------------------

def test_a_question_and_its_answer(server, tmp_path):
    server.otherwise = moments_of
    done = ask(server, tmp_path)
    assert (done.verdict, len(server.requests)) == ("ok", 1), done.words
    sent = server.requests[0]
    assert sent.path == "/v1/chat/completions"
    assert sent.headers["Authorization"] == f"Bearer {KEY}"
    assert sent.json["model"] == "test-model"
    form = sent.json["response_format"]
    assert form["type"] == "json_schema" and form["json_schema"]["strict"] is True
    assert form["json_schema"]["schema"]["additionalProperties"] is False
    assert [one["role"] for one in sent.json["messages"]] == ["system", "user"]
    assert TEXTS[0] in sent.json["messages"][1]["content"]
    assert sent.json["max_tokens"] > 0 and "temperature" in sent.json
    candidates = done.artifact(tmp_path / "attempt", "candidates")
    assert candidates["model"] == "test-model" and len(candidates["candidates"]) == 1


def test_the_key_is_not_in_the_log_nor_in_what_is_left(server, tmp_path):
    server.script = [error(401, "invalid_api_key", message=f"Incorrect API key provided: {KEY}.")]
    done = ask(server, tmp_path)
    assert done.verdict == "hold"
    assert KEY not in done.log and KEY not in json.dumps(done.messages)
    assert not [path for path in (tmp_path / "attempt").rglob("*") if path.is_file() and KEY in path.read_text()]


def test_options_reach_the_request(server, tmp_path):
    server.otherwise = moments_of
    done = ask(server, tmp_path, options={
        "limit_field": "max_completion_tokens", "temperature": "-1", "headers": "X-Title: Clips\nHTTP-Referer: https://a.ru",
        "extra": '{"reasoning_effort": "minimal", "seed": 7}'})
    sent = server.requests[0]
    assert done.verdict == "ok", done.words
    assert sent.json["max_completion_tokens"] > 0 and "max_tokens" not in sent.json and "temperature" not in sent.json
    assert (sent.json["reasoning_effort"], sent.json["seed"]) == ("minimal", 7)
    assert (sent.headers["X-Title"], sent.headers["HTTP-Referer"]) == ("Clips", "https://a.ru")


def test_a_question_that_does_not_fit_is_not_sent(server, tmp_path):
    done = ask(server, tmp_path, options={"context": "300"})
    assert (done.verdict, done.reason, server.requests) == ("cannot", "too_large", [])


@pytest.mark.parametrize("options, sent", [({}, {"chat_template_kwargs": {"enable_thinking": False}}),
                                           ({"thinking": "yes"}, {})])
def test_cloudru_thinks_only_when_told(server, tmp_path, options, sent):
    server.otherwise = moments_of
    done = ask(server, tmp_path, "llm_cloudru", options=options)
    assert done.verdict == "ok", done.words
    got = {name: value for name, value in server.requests[0].json.items() if name == "chat_template_kwargs"}
    assert got == sent


@pytest.mark.parametrize("around", ["{}", "```json\n{}\n```", "<think>Hm, which?\n</think>\n\n{}", "\n  {}\n"])
def test_what_stands_around_the_answer(server, tmp_path, around):
    def wrapped(request):
        inside = json.dumps(example(request.json["response_format"]["json_schema"]["schema"]))
        return chat(around.replace("{}", inside))
    server.otherwise = wrapped
    assert ask(server, tmp_path).verdict == "ok"


def test_a_server_without_schemas_is_asked_more_simply_and_that_is_remembered(server, tmp_path):
    def simple(request):
        form = request.json.get("response_format", {}).get("type")
        if form == "json_schema":
            return error(400, None, message="response_format.type: json_schema is not supported")
        assert "JSON Schema" in request.json["messages"][0]["content"]
        return chat(json.dumps(example(json.loads(request.json["messages"][0]["content"].split("Schema: ", 1)[1]))))
    server.otherwise = simple
    done = ask(server, tmp_path)
    assert done.verdict == "ok", done.words
    assert [one.json.get("response_format", {}).get("type") for one in server.requests] == ["json_schema", "json_object"]
    kept = done.said("remember")[0]
    assert kept["value"] == "json_object"
    again = ask(server, tmp_path, folder="again", recalled={"|" + kept["name"]: "json_object"})
    assert (again.verdict, len(server.requests)) == ("ok", 3)


def test_what_was_learned_of_one_server_is_not_believed_of_another(server, tmp_path):
    server.script = [error(400, None, message="json_schema is not supported", param="response_format"), chat("{}")]
    learned = ask(server, tmp_path).said("remember")[0]
    server.script, server.otherwise = [], moments_of
    with Server(otherwise=moments_of) as other:
        moved = ask(other, tmp_path, folder="moved", recalled={"|" + learned["name"]: learned["value"]})
        assert moved.verdict == "ok" and other.requests[0].json["response_format"]["type"] == "json_schema"
    another = ask(server, tmp_path, folder="another", options={"model": "m-2"}, recalled={"|" + learned["name"]: "none"})
    assert another.verdict == "ok" and server.requests[-1].json["response_format"]["type"] == "json_schema"


def test_malformed_is_asked_again_once_with_the_complaint(server, tmp_path):
    server.script = [chat("I think the best moment is the first.")]
    server.otherwise = moments_of
    done = ask(server, tmp_path)
    assert (done.verdict, len(server.requests)) == ("ok", 2)
    assert "could not be used" in server.requests[1].json["messages"][1]["content"]
    server.script = [chat("No."), chat("No, really.")]
    assert (ask(server, tmp_path, folder="second").verdict, len(server.requests)) == ("cannot", 4)


ERRORS = [
    (chat('{"moments": [{"first"', "length"), "cannot", "too_large", "item"),
    (chat(None, "content_filter"), "cannot", "content", "item"),
    (chat(None, refusal="I cannot help with that"), "cannot", "content", "item"),
    (chat(None), "cannot", "malformed", "item"),
    (Answer({"choices": []}), "cannot", "malformed", "item"),
    (Answer("<html>502 Bad Gateway</html>", 502), "again", "unavailable", "item"),
    (Answer("<html>Login</html>", 200), "cannot", "malformed", "item"),
    (Answer({"error": {"message": "overloaded", "code": 503}}, 200), "again", "unavailable", "item"),
    (Answer({"error": {"message": "no money", "code": "insufficient_quota"}}, 200), "cannot", "quota", "key"),
    (Answer({"error": {"message": "no money", "code": 402}}, 200), "cannot", "quota", "key"),
    (Answer({"error": {"message": "odd", "code": None}}, 200), "again", "unavailable", "item"),
    (Answer({"error": "odd"}, 200), "again", "unavailable", "item"),
    (Answer({"object": "error", "message": "no", "type": "BadRequestError", "code": 400}, 400), "cannot", "input", "item"),
    (Answer({"error": {"code": 400, "message": "no", "type": "invalid_request_error"}}, 400), "cannot", "input", "item"),
    (Answer("", 413), "cannot", "too_large", "item"),
    (Answer("<html>413 Request Entity Too Large</html>", 413), "cannot", "too_large", "item"),
    (error(413, None, "server_error"), "cannot", "too_large", "item"),
    (error(400, None), "cannot", "input", "item"),
    (error(400, "invalid_value"), "cannot", "input", "item"),
    (error(400, "context_length_exceeded"), "cannot", "too_large", "item"),
    (error(400, "content_policy_violation"), "cannot", "content", "item"),
    (error(400, "content_filter"), "cannot", "content", "item"),
    (error(401, "invalid_api_key"), "hold", "auth", "instance"),
    (error(401, None, message="You must be a member of an organization to use the API"), "hold", "auth", "instance"),
    (error(401, None, message="Your IP is not authorized"), "hold", "auth", "instance"),
    (error(403, "unsupported_country_region_territory", "request_forbidden"), "cannot", "policy", "instance"),
    (error(404, "model_not_found"), "cannot", "unsupported", "instance"),
    (Answer("404 page not found", 404), "cannot", "unsupported", "instance"),
    (error(408, None), "again", "unavailable", "item"),
    (error(409, None), "again", "unavailable", "item"),
    (error(429, None, None), "again", "rate", "instance"),
    (error(429, "rate_limit_exceeded", "tokens"), "again", "rate", "instance"),
    (error(429, None, "requests"), "again", "rate", "instance"),
    (error(429, "slow_down", "x"), "again", "rate", "instance"),
    (error(429, "insufficient_quota", "insufficient_quota", headers={"retry-after": "2"}), "cannot", "quota", "key"),
    (error(429, "credit_balance_exhausted", "x"), "cannot", "quota", "key"),
    (error(402, None), "cannot", "quota", "key"),
    (error(500, None, "server_error"), "again", "unavailable", "item"),
    (error(502, "server_error", "server_error"), "again", "unavailable", "item"),
    (error(503, "server_is_overloaded", "x"), "again", "unavailable", "instance"),
    (error(503, None, None, message="Loading model"), "again", "unavailable", "item"),
    (error(499, None, "odd", headers={"x-should-retry": "true"}), "again", "unavailable", "item"),
    (error(501, None, "odd", headers={"x-should-retry": "false"}), "cannot", "input", "item"),
    (Answer(lost="before"), "again", "network", "item"),
    (Answer(lost="during"), "again", "network", "item"),
    (Answer(lost="after"), "again", "network", "item"),
    (chat("x" * 5000), "cannot", "malformed", "item"),
    (chat("x" * (17 << 20)), "cannot", "malformed", "item"),
]


@pytest.mark.parametrize("answer, verdict, reason, scope", ERRORS)
def test_what_an_answer_means(server, tmp_path, answer, verdict, reason, scope):
    server.script = [answer, answer]  # the second one for what is asked again
    done = ask(server, tmp_path)
    assert (done.verdict, done.reason, done.scope, done.delay_ms) == (verdict, reason, scope, 0), done.words
    assert "cloud" in done.words and "\n" not in done.words and len(done.words) < 1000


def test_a_server_that_is_not_there(server, tmp_path):
    done = ask(server, tmp_path, options={"url": "http://127.0.0.1:9/v1"})
    assert (done.verdict, done.reason, done.scope) == ("again", "network", "instance"), done.words


@pytest.mark.parametrize("plugin, verdict, reason", [("llm_openai", "cannot", "policy"), ("llm_cloudru", "hold", "auth")])
def test_a_403_without_a_code_is_the_country_at_one_and_the_key_at_another(server, tmp_path, plugin, verdict, reason):
    server.script = [Answer("<html>Forbidden</html>", 403)]
    done = ask(server, tmp_path, plugin)
    assert (done.verdict, done.reason, done.scope) == (verdict, reason, "instance"), done.words


def test_an_answer_that_is_cut(server, tmp_path):
    whole = chat(MOMENTS)
    whole.lost = "inside"
    server.script = [whole]
    done = ask(server, tmp_path)
    assert (done.verdict, done.reason) == ("again", "network")


@pytest.mark.parametrize("headers, delay_ms", [
    ({"retry-after": "3"}, 3000),
    ({"retry-after-ms": "1500", "retry-after": "9"}, 1500),
    ({"retry-after": "soon"}, 0),
    ({"retry-after": "-5"}, 0),
    ({"retry-after-ms": "1e99", "retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0),
    ({"retry-after-ms": "NaN", "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "9y"}, 0),
    ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m2.5s"}, 62500),
    ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "120ms"}, 120),
    ({"x-ratelimit-remaining-tokens": "9", "x-ratelimit-reset-tokens": "6m0s"}, 0),
    ({"retry-after": "3600"}, 3600000),
])
def test_the_wait_that_is_asked_for(server, tmp_path, headers, delay_ms):
    server.script = [error(429, "rate_limit_exceeded", "requests", headers=headers)]
    done = ask(server, tmp_path)
    assert (done.verdict, done.reason, done.delay_ms) == ("again", "rate", delay_ms)


def test_a_date_to_wait_for(server, tmp_path):
    at = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 20))
    server.script = [error(429, "rate_limit_exceeded", "requests", headers={"Retry-After": at})]
    assert 15000 <= ask(server, tmp_path).delay_ms <= 21000


def test_a_slow_server_and_slow_bytes(server, tmp_path):
    for number, late in enumerate([Answer("late", slow=3), Answer("x" * 4000, chopped=10)]):  # the second takes 4 s
        server.script = [late]
        done = ask(server, tmp_path, folder=f"late{number}", options={"timeout": "1s"})
        assert (done.verdict, done.reason) == ("again", "network")

    def chopped(request):
        answer = moments_of(request)
        answer.chopped = 20
        return answer
    server.script = [chopped]
    assert ask(server, tmp_path, folder="second").verdict == "ok"


def test_models_are_listed(server, tmp_path):
    server.script = [Answer({"object": "list", "data": [{"id": "a/b-1", "object": "model"}, {"id": "c", "object": "model"}]})]
    done = call(tmp_path / "attempt", "llm_openai", "llm", "models", {"url": server.url, "key": KEY, "model": "a/b"})
    assert done.verdict == "ok", done.words
    assert done.artifact(tmp_path / "attempt", "models") == {"models": ["a/b-1", "c"]}
    assert server.requests[0].path == "/v1/models"


def test_a_cut_answer_is_asked_for_with_more_room_once(server, tmp_path):
    server.script, server.otherwise = [chat('{"moments": [{"first"', "length")], moments_of
    done = ask(server, tmp_path)
    first, second = [one.json for one in server.requests]
    assert done.verdict == "ok" and second["max_tokens"] == 2 * first["max_tokens"]
    assert second["messages"] == first["messages"]
    server.script = [chat("{", "length")]
    small = ask(server, tmp_path, folder="small", options={"context": str(first["max_tokens"] * 2)})
    assert (small.verdict, small.reason, len(server.requests)) == ("cannot", "too_large", 3)  # twice does not fit


# ---- Paid calls ---------------------------------------------------------------------------------

def test_a_paid_answer_is_kept_and_read_again(server, tmp_path):
    server.otherwise = moments_of
    first = ask(server, tmp_path, answers=str(tmp_path / "answers"))
    second = ask(server, tmp_path, folder="second", answers=str(tmp_path / "answers"))
    assert (first.verdict, second.verdict, len(server.requests)) == ("ok", "ok", 1)
    assert [one["type"] for one in first.messages if one["type"] in ("paying", "paid", "spent")] == ["paying", "paid", "spent"]
    assert [one["type"] for one in second.messages if one["type"] in ("paying", "paid", "spent")] == ["spent"]
    paying, spent = first.said("paying")[0], first.said("spent")[0]
    assert paying["call"] == spent["call"] == second.said("spent")[0]["call"] and len(paying["call"]) == 64
    assert paying["tokens_in"] > 100 and paying["tokens_out"] > 0
    assert (spent["model"], spent["tokens_in"], spent["tokens_out"]) == ("test-model", 100, 20)
    assert KEY not in "".join(path.read_text() for path in (tmp_path / "answers").iterdir())


@pytest.mark.parametrize("answer, end", [(error(500, None), "refused"), (Answer(lost="after"), "unknown")])
def test_a_failed_call_is_on_record_and_asked_again(server, tmp_path, answer, end):
    server.script, server.otherwise = [answer], moments_of
    first = ask(server, tmp_path, answers=str(tmp_path / "answers"))
    second = ask(server, tmp_path, folder="second", answers=str(tmp_path / "answers"))
    assert (first.verdict, first.said("paid")[0]["end"]) == ("again", end)
    assert (second.verdict, second.said("paid")[0]["end"], len(server.requests)) == ("ok", "answered", 2)


@pytest.mark.parametrize("useless, verdict", [
    ([Answer({"error": {"message": "overloaded", "code": 503}}, 200)], "again"),
    ([Answer("<html>Login</html>", 200)], "cannot"),
    ([chat(None)], "cannot"),
    ([chat("no idea"), chat("none at all")], "cannot"),
    ([chat("{", "length"), chat('{"moments', "length")], "cannot"),
])
def test_an_answer_of_no_use_is_paid_but_not_kept(server, tmp_path, useless, verdict):
    """Whoever tries again, hours later or by hand, must not read the same nonsense from the disk."""
    server.script, server.otherwise = list(useless), moments_of
    first = ask(server, tmp_path, answers=str(tmp_path / "answers"))
    assert (first.verdict, len(first.said("spent"))) == (verdict, len(useless))
    assert list((tmp_path / "answers").iterdir()) == []
    second = ask(server, tmp_path, folder="second", answers=str(tmp_path / "answers"))
    assert (second.verdict, len(server.requests)) == ("ok", len(useless) + 1), second.words


def test_an_answer_that_only_needed_a_second_one_is_kept(server, tmp_path):
    server.script, server.otherwise = [chat("no idea")], moments_of
    assert ask(server, tmp_path, answers=str(tmp_path / "answers")).verdict == "ok"
    again = ask(server, tmp_path, folder="second", answers=str(tmp_path / "answers"))
    assert (again.verdict, len(server.requests), again.said("paying")) == ("ok", 2, [])


def test_a_missing_usage_is_told_as_not_known(server, tmp_path):
    def without(request):
        answer = json.loads(moments_of(request).body)
        del answer["usage"]
        return Answer(answer)
    server.otherwise = without
    done = ask(server, tmp_path, answers=str(tmp_path / "answers"))
    assert done.verdict == "ok", done.words
    assert (done.said("spent")[0]["tokens_in"], done.said("spent")[0]["tokens_out"]) == (-1, -1)


# ---- Speech -------------------------------------------------------------------------------------

def speech_in(folder, intervals, length_ms):
    """A chunk of silence that begins at 10 s of the film, with these stretches said to be speech."""
    import struct
    import wave
    folder.mkdir(exist_ok=True)
    with wave.open(str(folder / "chunk.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(struct.pack("<h", 0) * (16 * length_ms))
    (folder / "speech.json").write_text(json.dumps(
        {"start_ms": 10000, "end_ms": 10000 + length_ms, "speech": [[one[0], one[1], -20] for one in intervals]}))
    return [{"role": "chunk", "key": "0001", "path": str(folder / "chunk.wav"), "facts": {}},
            {"role": "speech", "key": "0001", "path": str(folder / "speech.json"), "facts": {}}]


def hear(server, tmp_path, plugin="stt_openai", folder="attempt", speech=((10500, 14000), (15000, 19500)),
         length_ms=10000, **more):
    options = {"url": server.url, "key": KEY, "model": "whisper-x", "timeout": "5s", **more.pop("options", {})}
    return call(tmp_path / folder, plugin, "stt", "transcribe", options,
                inputs=speech_in(tmp_path / "inputs", speech, length_ms), **more)


WORDS = [{"word": "Hello", "start": 0.5, "end": 1.0}, {"word": "there", "start": 1.1, "end": 1.6},
         {"word": "general", "start": 5.2, "end": 6.0}, {"word": "Kenobi", "start": 6.2, "end": 7.0}]
SEGMENTS = [{"id": 0, "start": 0.5, "end": 1.6, "text": " Hello, there.", "avg_logprob": -0.1, "no_speech_prob": 0.01},
            {"id": 1, "start": 5.2, "end": 7.0, "text": " General Kenobi!", "avg_logprob": -0.3, "no_speech_prob": 0.01}]
VERBOSE = {"task": "transcribe", "language": "english", "duration": 10, "text": "Hello, there. General Kenobi!",
           "segments": SEGMENTS, "words": WORDS, "usage": {"type": "duration", "seconds": 10}}


def test_words_with_times_get_the_punctuation_of_the_text(server, tmp_path):
    server.script = [Answer(VERBOSE)]
    done = hear(server, tmp_path)
    assert done.verdict == "ok", done.words
    words = done.artifact(tmp_path / "attempt", "words")
    assert [one["t"] for one in words["words"]] == ["Hello,", "there.", "General", "Kenobi!"]
    assert [one["s"] for one in words["words"]] == [10500, 11100, 15200, 16200]
    assert words["language"] == "en" and 0.7 < words["language_confidence"] < 0.95
    sent = server.requests[0]
    assert sent.path == "/v1/audio/transcriptions"
    assert sent.fields["model"] == ["whisper-x"] and sent.fields["language"] == ["en"]
    assert sent.fields["response_format"] == ["verbose_json"]
    assert sorted(sent.fields["timestamp_granularities[]"]) == ["segment", "word"]
    name, kind, content = sent.files["file"]
    assert (name, kind) == ("speech.wav", "audio/wav") and content == (tmp_path / "inputs/chunk.wav").read_bytes()
    assert done.said("spent")[0]["audio_ms"] == 10000


def test_segments_when_words_are_null(server, tmp_path):
    server.script = [Answer({**VERBOSE, "words": None})]
    done = hear(server, tmp_path)
    words = done.artifact(tmp_path / "attempt", "words")["words"]
    assert [one["t"] for one in words] == ["Hello,", "there.", "General", "Kenobi!"]
    assert 10500 <= words[0]["s"] and words[1]["e"] <= 11600 + 50 and 15200 <= words[2]["s"] and words[3]["e"] <= 17050


def test_text_alone_is_laid_over_the_speech(server, tmp_path):
    server.script = [error(400, None, message="Invalid response_format: verbose_json", param="response_format"),
                     error(400, None, message="Invalid response_format: verbose_json", param="response_format"),
                     Answer({"text": "Hello, there. General Kenobi!"})]
    done = hear(server, tmp_path)
    assert done.verdict == "ok", done.words
    words = done.artifact(tmp_path / "attempt", "words")["words"]
    assert [one["t"] for one in words] == ["Hello,", "there.", "General", "Kenobi!"]
    for one in words:
        assert any(start <= one["s"] and one["e"] <= end for start, end in ((10500, 14000), (15000, 19500)))
    assert done.said("remember")[0]["value"] == "none"


def test_whisper_sure_of_silence_is_believed(server, tmp_path):
    made_up = {"id": 2, "start": 8, "end": 9, "text": " Thanks for watching!", "avg_logprob": -1.4, "no_speech_prob": 0.9}
    server.script = [Answer({**VERBOSE, "words": None, "segments": SEGMENTS + [made_up]})]
    words = hear(server, tmp_path).artifact(tmp_path / "attempt", "words")["words"]
    assert [one["t"] for one in words] == ["Hello,", "there.", "General", "Kenobi!"]


@pytest.mark.parametrize("plugin", ["stt_openai", "stt_cloudru"])
@pytest.mark.parametrize("said", ["Продолжение следует...", "Субтитры сделал DimaTorzok"])
def test_what_is_said_when_nobody_speaks_is_dropped(server, tmp_path, plugin, said):
    """The recogniser is sure of it, and only what was measured says otherwise."""
    made_up = {"id": 2, "start": 20, "end": 24, "text": " " + said, "avg_logprob": -0.1, "no_speech_prob": 0.1}
    server.script = [Answer({**VERBOSE, "words": None, "segments": SEGMENTS + [made_up]}), Answer({"text": said})]
    words = hear(server, tmp_path, plugin, length_ms=30000).artifact(tmp_path / "attempt", "words")["words"]
    assert [one["t"] for one in words] == ["Hello,", "there.", "General", "Kenobi!"]
    alone = hear(server, tmp_path, plugin, folder="alone", speech=((12000, 12300),), length_ms=30000,
                 options={"times": "none"})
    assert alone.verdict == "ok" and alone.artifact(tmp_path / "alone", "words")["words"] == []


def test_a_hole_is_noticed_and_asked_again_not_read_from_the_disk(server, tmp_path):
    long = dict(speech=((10000, 32000), (33000, 69000)), length_ms=60000, answers=str(tmp_path / "answers"))
    lines = [{**SEGMENTS[0], "start": at, "end": at + 9, "text": " Many words here."} for at in range(0, 60, 10)]
    server.script = [Answer({**VERBOSE, "words": None, "segments": [one for one in lines if not 20 <= one["start"] < 50]}),
                     Answer({**VERBOSE, "words": None, "segments": lines})]
    first = hear(server, tmp_path, **long)
    assert (first.verdict, first.reason) == ("again", "malformed"), first.words
    second = hear(server, tmp_path, folder="second", **long)
    assert (second.verdict, len(server.requests)) == ("ok", 2), second.words


def test_no_word_for_much_speech_is_no_transcript(server, tmp_path):
    server.otherwise = Answer({"text": ""})
    done = hear(server, tmp_path, speech=((10000, 45000),), length_ms=40000)
    assert (done.verdict, done.reason) == ("again", "malformed")
    assert "words" not in [one["role"] for one in done.done.get("artifacts", [])]
    few = hear(server, tmp_path, folder="few", speech=((10000, 12000),), length_ms=5000)
    assert few.verdict == "ok", few.words


def test_too_large_a_file_is_not_sent(server, tmp_path):
    done = hear(server, tmp_path, options={"max_audio": "100KB"})
    assert (done.verdict, done.reason, server.requests) == ("cannot", "too_large", [])


def test_cloudru_tries_times_once_on_a_short_chunk(server, tmp_path):
    server.script = [Answer("never", slow=3), Answer({"text": "Hello, there. General Kenobi!"})]
    done = hear(server, tmp_path, "stt_cloudru", options={"trial": "1s"})
    assert done.verdict == "ok", done.words
    assert [one.fields["response_format"] for one in server.requests] == [["verbose_json"], ["json"]]
    assert all("word" not in one.fields.get("timestamp_granularities[]", []) for one in server.requests)
    kept = done.said("remember")[-1]
    server.script = [Answer({"text": "Hello again."})]
    second = hear(server, tmp_path, "stt_cloudru", folder="second", recalled={"|" + kept["name"]: kept["value"]})
    assert (second.verdict, server.requests[-1].fields["response_format"]) == ("ok", ["json"])


def test_cloudru_risks_no_long_chunk(server, tmp_path):
    server.script = [Answer({"text": " ".join(["word"] * 60)}), Answer({**VERBOSE, "words": None})]
    first = hear(server, tmp_path, "stt_cloudru", speech=((10000, 40000),), length_ms=90000)
    assert (first.verdict, server.requests[0].fields["response_format"]) == ("ok", ["json"])
    assert first.said("remember") == []
    second = hear(server, tmp_path, "stt_cloudru", folder="second")
    assert (second.verdict, server.requests[1].fields["response_format"]) == ("ok", ["verbose_json"])
    assert second.said("remember")[-1]["value"] == "segments"


def test_cloudru_is_tried_by_one_chunk_at_a_time(server, tmp_path):
    """A server that falls silent over times holds up one of the chunks side by side, the others ask for text meanwhile."""
    server.otherwise = lambda request: Answer(
        {"text": "Hello there."} if request.fields["response_format"] == ["json"] else {**VERBOSE, "words": None})
    name = "|" + hear(server, tmp_path, "stt_cloudru").said("remember")[0]["name"]
    for age_s, asked, remembered in ((1, "json", []), (400, "verbose_json", ["trial", "segments"])):
        trial = f"trial {int(time.time()) - age_s}"
        done = hear(server, tmp_path, "stt_cloudru", folder=f"old{age_s}", recalled={name: trial})
        assert done.verdict == "ok", done.words
        assert server.requests[-1].fields["response_format"] == [asked]
        assert [one["value"].split()[0] for one in done.said("remember")] == remembered
    server.otherwise = error(500, "server_error")
    failed = hear(server, tmp_path, "stt_cloudru", folder="failed")
    assert failed.verdict == "again"
    assert [one.get("value") for one in failed.said("remember")][1:] in ([None], [""]), "the trial was not given back"


@pytest.mark.parametrize("answer, verdict, reason", [
    (error(413, None, message="too big"), "cannot", "too_large"),
    (Answer("<html>413</html>", 413), "cannot", "too_large"),
    (error(400, "invalid_value", message="audio duration 2000 is longer than 1400 seconds"), "cannot", "input"),
    (error(429, "insufficient_quota", "insufficient_quota"), "cannot", "quota"),
    (error(401, "invalid_api_key"), "hold", "auth"),
    (Answer("", 503), "again", "unavailable"),
    (Answer({"words": None, "segments": None}), "cannot", "malformed"),
    (Answer(lost="during"), "again", "network"),
])
def test_what_an_answer_to_speech_means(server, tmp_path, answer, verdict, reason):
    server.script = [answer]
    done = hear(server, tmp_path)
    assert (done.verdict, done.reason) == (verdict, reason), done.words
