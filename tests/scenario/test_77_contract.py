"""What plugins send, and what our scripted servers answer, held to the services' own contracts by Prism."""
import json

import pytest

from contract import Contracts, send
from openai_server import Answer, Server, chat, error
from scripted import Request
from test_75_openai import KEY, SEGMENTS, VERBOSE, ask, call, example, hear, moments_of

pytestmark = pytest.mark.plain  # what is sent is the same under sanitizers, and test_75 has all of it there


@pytest.fixture
def server():
    with Server() as one:
        yield one


# ---- The harness itself -------------------------------------------------------------------------

def exchange(url, body, path="/chat/completions"):
    headers = {"Content-Type": "application/json", "Authorization": "Bearer x"}
    return send(url + path, Request(path, headers, body, "POST"), headers, body)


RIGHT = b'{"model": "m", "messages": [{"role": "user", "content": "x"}]}'


def complaints(contracts, server, body, answer):
    """What Prism has against one exchange."""
    server.script = [answer]
    try:
        with contracts("openai").before(server.url) as url:
            exchange(url, body)
    except AssertionError as found:
        return str(found)
    return ""


def test_a_wrong_request_and_a_wrong_answer_are_noticed(contracts, server):
    assert complaints(contracts, server, RIGHT, chat("yes")) == ""
    assert "messages" in complaints(contracts, server, b'{"model": "m"}', chat("yes"))
    assert server.requests == server.requests[:1]  # the wrong one did not come through
    wrong = complaints(contracts, server, RIGHT, Answer({"id": 1}))
    assert "choices" in wrong and "response" in wrong
    with pytest.raises(AssertionError, match="not one request"):
        with contracts("openai").before(server.url):
            pass


# ---- Questions ----------------------------------------------------------------------------------

CHAT_OPTIONS = [
    {},
    {"temperature": "0"},
    {"temperature": "-1", "limit_field": "max_completion_tokens"},
    {"structure": "json_object"},
    {"structure": "none"},
    {"extra": '{"reasoning_effort": "minimal", "seed": 7}', "headers": "X-Title: Clips"},
    {"model": "a-vendor/A.Model-1:free", "context": "100000"},
]


def right_answer(request):
    if "json_schema" in str(request.json.get("response_format")):
        return moments_of(request)
    return chat(example(json.loads(request.json["messages"][0]["content"].split("Schema: ", 1)[1])))


@pytest.mark.parametrize("plugin", ["llm_openai", "llm_cloudru"])
def test_questions(contracts, server, tmp_path, plugin):
    server.otherwise = right_answer
    with contracts("openai").before(server.url) as url:
        for number, options in enumerate(CHAT_OPTIONS):
            done = ask(server, tmp_path, plugin, folder=f"a{number}", options={"url": url, **options})
            assert done.verdict == "ok", done.words
    assert len(server.requests) >= len(CHAT_OPTIONS)


def as_input(path, role, key, value):
    path.write_text(json.dumps(value))
    return {"role": role, "key": key, "path": str(path), "facts": {}}


def test_every_kind_of_question(contracts, server, tmp_path):
    """Each has a schema of its own, and the contract wants all of them whole."""
    server.otherwise = right_answer
    moment = as_input(tmp_path / "moment.json", "moment", "01", {
        "first": 0, "last": 1, "start_ms": 0, "end_ms": 11000, "reason": "a confession", "score": {"total": 50}})
    with contracts("openai").before(server.url) as url:
        first = ask(server, tmp_path, options={"url": url})
        found = as_input(tmp_path / "found.json", "candidates", "01", first.artifact(tmp_path / "attempt", "candidates"))
        for task, given in (("virality_scoring", found), ("title_generation", moment), ("cta_suggestion", moment)):
            done = ask(server, tmp_path, folder=task, task=task, inputs=[given], options={"url": url})
            assert done.verdict in ("ok", "cannot"), done.words
    names = [one.json["response_format"]["json_schema"]["name"] for one in server.requests]
    assert sorted(set(names)) == ["cta_suggestion", "moment_selection", "title_generation", "virality_scoring"]


def test_the_ways_down_to_a_plain_answer(contracts, server, tmp_path):
    def simple(request):
        if "response_format" in request.json:
            return error(400, None, message="response_format is not supported", param="response_format")
        return right_answer(request)
    server.otherwise = simple
    with contracts("openai").before(server.url) as url:
        assert ask(server, tmp_path, options={"url": url}).verdict == "ok"
    assert [one.json.get("response_format", {}).get("type") for one in server.requests] == \
        ["json_schema", "json_object", None]


def test_asking_again(contracts, server, tmp_path):
    server.script, server.otherwise = [chat("nonsense")], right_answer
    with contracts("openai").before(server.url) as url:
        assert ask(server, tmp_path, options={"url": url}).verdict == "ok"
    assert len(server.requests) == 2


@pytest.mark.parametrize("plugin", ["llm_openai", "llm_cloudru"])
def test_models(contracts, server, tmp_path, plugin):
    server.script = [Answer({"object": "list", "data": [
        {"id": "a/b-1", "object": "model", "created": 1760000000, "owned_by": "a"}]})]
    with contracts("openai").before(server.url) as url:
        done = call(tmp_path / "attempt", plugin, "llm", "models", {"url": url, "key": KEY, "model": "a/b"})
    assert done.verdict == "ok", done.words


# ---- Speech -------------------------------------------------------------------------------------

SPEECH_OPTIONS = [{}, {"times": "segments"}, {"times": "none"}, {"temperature": "0.2"}, {"model": "openai/whisper-large-v3"}]


def heard(request):
    if request.fields["response_format"] == ["json"]:
        return Answer({"text": VERBOSE["text"]})
    answer = {**VERBOSE, "segments": [{**one, "seek": 0, "tokens": [1], "temperature": 0, "compression_ratio": 1.5}
                                      for one in SEGMENTS]}
    if "word" not in request.fields["timestamp_granularities[]"]:
        del answer["words"]
    return Answer(answer)


@pytest.mark.parametrize("plugin", ["stt_openai", "stt_cloudru"])
def test_speech(contracts, server, tmp_path, plugin):
    server.otherwise = heard
    with contracts("openai").before(server.url) as url:
        for number, options in enumerate(SPEECH_OPTIONS):
            done = hear(server, tmp_path, plugin, folder=f"a{number}", options={"url": url, **options})
            assert done.verdict == "ok", done.words
    assert len(server.requests) == len(SPEECH_OPTIONS)
    assert all(one.files["file"][2].startswith(b"RIFF") for one in server.requests)  # the server got the real bytes


def test_the_cloud_of_the_main_job(contracts, tmp_path):
    """The scripted server that other tests stand on answers as the contract says."""
    pytest.importorskip("numpy")
    from cloud import Ears, Editor, both
    words = [("Nobody", 0.5, 1.0, 0.9), ("tells", 1.1, 1.6, 0.9), ("you.", 5.2, 6.0, 0.8)]
    with Server(otherwise=both(Ears(lambda sound: words, "en"), Editor())) as server:
        with contracts("openai").before(server.url) as url:
            assert hear(server, tmp_path, options={"url": url}).verdict == "ok"
            assert hear(server, tmp_path, folder="plain", options={"url": url, "times": "none"}).verdict == "ok"
            done = ask(server, tmp_path, folder="asked", options={"url": url})
            assert done.verdict == "ok", done.words


# ---- Documented answers -------------------------------------------------------------------------

#: (status, name of the example): verdict, reason, scope, delay_ms.
EXAMPLES = {
    (200, "json_schema"): ("ok", "", "", 0),
    (200, "truncated"): ("cannot", "too_large", "item", 0),
    (200, "refusal"): ("cannot", "content", "item", 0),
    (200, "content_filter"): ("cannot", "content", "item", 0),
    (200, "verbose"): ("ok", "", "", 0),
    (200, "verbose_words_null"): ("ok", "", "", 0),
    (200, "json"): ("ok", "", "", 0),
    (400, ""): ("cannot", "input", "item", 0),
    (401, ""): ("hold", "auth", "instance", 0),
    (403, ""): ("cannot", "policy", "instance", 0),
    (404, ""): ("cannot", "unsupported", "instance", 0),
    (413, ""): ("cannot", "too_large", "item", 0),
    (429, "rate_limit"): ("again", "rate", "instance", 2000),
    (429, "quota"): ("cannot", "quota", "key", 0),
    (500, ""): ("again", "unavailable", "item", 0),
    (503, ""): ("again", "unavailable", "instance", 0),
}


def documented(operation):
    """Every example of an operation: (status, name), the answer."""
    found = {}
    for status, answer in operation["responses"].items():
        headers = {name: one["example"] for name, one in answer.get("headers", {}).items()}
        for kind, content in answer.get("content", {}).items():
            examples = {name: one["value"] for name, one in content.get("examples", {}).items()}
            if "example" in content:
                examples[""] = content["example"]
            for name, value in examples.items():
                assert kind == "application/json"
                found[int(status), name] = Answer(value, int(status), headers)
    return found


def list_models(server, tmp_path, plugin, folder):
    return call(tmp_path / folder, plugin, "llm", "models", {"url": server.url, "key": KEY, "model": "a"})


@pytest.mark.parametrize("make, plugin, path, method", [
    (ask, "llm_openai", "/chat/completions", "post"),
    (ask, "llm_cloudru", "/chat/completions", "post"),
    (hear, "stt_openai", "/audio/transcriptions", "post"),
    (hear, "stt_cloudru", "/audio/transcriptions", "post"),
    (list_models, "llm_openai", "/models", "get"),
])
def test_documented_answers(server, tmp_path, make, plugin, path, method):
    document = json.loads(Contracts.document("openai").read_text())
    examples = documented(document["paths"][path][method])
    assert len(examples) >= 9
    for number, (which, answer) in enumerate(examples.items()):
        server.script, server.otherwise = [], answer
        done = make(server, tmp_path, plugin, f"a{number}")
        assert (done.verdict, done.reason, done.scope if done.verdict != "ok" else "", done.delay_ms) == EXAMPLES[which], \
            (which, done.words)
