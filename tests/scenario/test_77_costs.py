"""Invoices: what a scripted server bills is what our own rows of its calls come to."""
import collections
import json
import signal
import subprocess
import threading

import pytest

from conftest import STAGE
from daemon import Daemon, Refused
from openai_server import Answer, Server, chat, error
from test_75_openai import KEY, example
from test_76_paid import ANSWERED, REFUSED, SENT, UNKNOWN, answer, calls, unfinished

PRICES = 'currency = "RUB"; prices: ( { model = "m-1"; in = 20.74; out = 61.00; as_of = "2026-04"; } );\n'
IN_NANO, OUT_NANO = 20740, 61000  # of one token


class Provider(Server):
    """Answers, and bills each answer that it finished: no two calls cost the same."""

    def __init__(self):
        super().__init__(otherwise=self.billed)
        self.invoice, self.count = [], 0
        self.guard = threading.Lock()

    def billed(self, request, content=None, **more):
        with self.guard:
            self.count += 1
            usage = (1000 + self.count, 7 * self.count)
            self.invoice.append(usage)
        if content is None:
            content = example(request.json["response_format"]["json_schema"]["schema"])
        return chat(content, model="m-1", usage=usage, **more)

    def sum(self):
        return sum(cost(one) for one in self.invoice)


def cost(usage):
    return usage[0] * IN_NANO + usage[1] * OUT_NANO


@pytest.fixture
def provider():
    with Provider() as one:
        yield one


def make(tmp_path, provider, **options):
    made = Daemon(tmp_path / "d", chunks=1)
    (tmp_path / "key").write_text(KEY + "\n")
    (tmp_path / "d/prices").mkdir()
    (tmp_path / "d/prices/mine.conf").write_text(PRICES)
    made.instance("llm1", "llm_openai", url=provider.url, key=f"file:{tmp_path}/key", timeout="20s",
                  **{"model": "m-1", "prices": "mine", **options})
    made.write_config()
    return made


@pytest.fixture
def daemon(provider, tmp_path):
    made = make(tmp_path, provider)
    made.start()
    yield made
    made.kill()
    made.wait(lambda: not made.processes(), "the end of every process", 10)


def total(daemon, **fields):
    return daemon.ask("costs", **fields)["total"]


def nano(roubles):
    return round(roubles * 1e9)


def test_the_sum_is_the_invoice(daemon, provider):
    jobs = [daemon.submit(owner=owner) for owner in ("anna", "anna", "boris")]
    for job in jobs:
        assert daemon.ended(job)["state"] == "succeeded"
    said = total(daemon)
    assert len(provider.invoice) == said["calls"] == said["answered"] == 6
    assert nano(said["roubles"]) == provider.sum() == nano(said["billed"]["RUB"])
    assert said["estimated"] == said["unpriced"] == said["unknown"] == 0
    for by, count in (("job", 3), ("instance", 1), ("model", 1), ("day", 1), ("owner", 2)):
        answer_by = daemon.ask("costs", by=by)
        assert len(answer_by["rows"]) == count and answer_by["by"] == by
        assert sum(nano(row["roubles"]) for row in answer_by["rows"]) == provider.sum()
    assert [row["key"] for row in daemon.ask("costs", by="owner")["rows"]] == ["anna", "boris"]
    assert total(daemon, job=jobs[0])["calls"] == 2
    assert total(daemon, since_ms=10**15)["calls"] == 0
    shown = daemon.show(jobs[2])
    assert shown["costs"]["total"]["calls"] == 2 and [call["state"] for call in shown["calls"]] == ["answered"] * 2
    daemon.ask("rm", job=jobs[0])
    assert nano(total(daemon)["roubles"]) == provider.sum()
    with pytest.raises(Refused) as refused:
        daemon.ask("costs", by="moon")
    assert refused.value.status == 64
    assert daemon.ask("fsck")["found"] == []


def test_failures_cost_what_is_billed_for_them(daemon, provider):
    """Malformed and cut answers are billed in full, refusals and errors not at all, a lost answer is an estimate."""
    for script in ([error(429, "rate_limit_exceeded", headers={"Retry-After": "0"}),
                    lambda request: provider.billed(request, content="no json at all")],
                   [lambda request: provider.billed(request, finish="length")],
                   [Answer("lost", lost="after"), error(500, "server_error", "server_error")]):
        provider.script = script
        daemon.ended(daemon.submit(), 40)
        assert not provider.script
    rows = calls(daemon)
    states = collections.Counter(row["state"] for row in rows)
    assert states[REFUSED] == 2 and states[ANSWERED] == len(provider.invoice), states
    assert all(row["cost_nano"] == 0 and not row["estimated"] for row in rows if row["state"] == REFUSED)
    said = total(daemon)
    assert nano(said["roubles"]) == provider.sum()
    assert said["failed"] == 2 and said["estimated"] == said["unknown"] == states[SENT] + states[UNKNOWN]
    lost = [row for row in rows if row["state"] == UNKNOWN]
    assert len(lost) == 1 and lost[0]["estimated"] and lost[0]["cost_nano"] > 0
    assert nano(said["estimated_roubles"]) == lost[0]["cost_nano"]


def test_an_answer_without_usage_is_an_estimate(daemon, provider):
    def silent(request):
        reply = json.loads(answer(request).body)
        del reply["usage"]
        return Answer(reply)
    provider.otherwise = silent
    assert daemon.ended(daemon.submit())["state"] == "succeeded"
    said = total(daemon)
    assert said["calls"] == said["answered"] == said["estimated"] == 2 and said["roubles"] == 0
    assert said["estimated_roubles"] > 0


def test_what_has_no_price_is_said_to_have_none(provider, tmp_path):
    daemon = make(tmp_path, provider, model="m-2")
    daemon.start()
    try:
        provider.otherwise = lambda request: chat(example(request.json["response_format"]["json_schema"]["schema"]),
                                                  model="m-2-2026")
        job = daemon.submit()
        assert daemon.ended(job)["state"] == "succeeded"
        said = daemon.ask("costs")
        assert said["total"]["unpriced"] == said["total"]["calls"] == 2 and said["total"]["roubles"] == 0
        assert said["unpriced_models"] == ["llm1: m-2-2026"]
        shown = daemon.run("costs", "--state", str(daemon.state), job)
        assert "llm1: m-2-2026" in shown.stdout and "NO PRICE" in shown.stdout, shown
        assert "2 without a price" in daemon.run("show", "--state", str(daemon.state), job).stdout
        assert daemon.stop() == 0
        assert daemon.run("costs", "--state", str(daemon.state), job).stdout == shown.stdout  # read without a daemon
    finally:
        daemon.kill()


def test_twenty_paid_calls_over_kills_and_their_invoice(daemon, provider):
    """Whatever is killed when: every call of the invoice has a row, and what is sure is billed just so."""
    jobs = [daemon.submit() for _ in range(10)]
    for _ in range(4):
        daemon.wait(lambda: len(provider.requests) % 5 == 4 or not unfinished(daemon, jobs), "some calls", 40)
        daemon.kill()
        daemon.start()
    for job in jobs:
        assert daemon.ended(job, 60)["state"] == "succeeded"
    # What a dead attempt's call cost is noted a moment after its answer was found on the disk.
    daemon.wait(daemon.is_idle, "rest")
    rows, said = calls(daemon), total(daemon)
    sure = [(row["tokens_in"], row["tokens_out"]) for row in rows if not row["estimated"] and row["state"] == ANSWERED]
    billed = collections.Counter(provider.invoice)
    assert len(sure) == 20 and not collections.Counter(sure) - billed  # each of them is on the invoice, once
    assert nano(said["roubles"]) == sum(map(cost, sure))
    rest = list((billed - collections.Counter(sure)).elements())
    assert len(rest) <= said["estimated"] == len(rows) - 20, (rest, said)
    assert all(row["state"] in (SENT, UNKNOWN) for row in rows if row["estimated"])
    assert sum(map(cost, rest)) <= nano(said["estimated_roubles"])
    assert daemon.ask("fsck")["found"] == []


def test_an_attempt_that_died_before_it_told_the_cost(daemon, provider):
    """The answer is on the disk, the word on its cost is not said: the next attempt says it for the dead one."""
    def unheard(request):
        daemon.process.send_signal(signal.SIGSTOP)  # whatever its worker says from here on is lost
        return provider.billed(request)
    provider.script = [unheard]
    job = daemon.submit()
    daemon.wait(lambda: [path for path in (daemon.state / "jobs").glob("*/answers/*") if len(path.name) == 64],
                "the answer on the disk")
    assert [row["state"] for row in calls(daemon)] == [SENT]
    daemon.kill()
    daemon.start()
    assert daemon.ended(job, 40)["state"] == "succeeded"
    daemon.wait(lambda: total(daemon)["estimated"] == 0, "every cost", 5)
    assert nano(total(daemon)["roubles"]) == provider.sum() and len(provider.invoice) == len(calls(daemon)) == 2


@pytest.mark.parametrize("options, words", [
    ({"prices": "nowhere"}, "there is no price list"),
    ({"prices": "openai"}, "say what a dollar costs"),
    ({"prices": 5}, "prices is the name of a price list"),
])
def test_a_wrong_price_list_is_told(provider, tmp_path, options, words):
    daemon = make(tmp_path, provider, **options)
    done = subprocess.run([STAGE / "sbin/clipmakerd", "-t", "-c", daemon.conf], capture_output=True, text=True, timeout=20)
    assert done.returncode == 78 and words in done.stderr + done.stdout, done
