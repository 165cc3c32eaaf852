"""Requests and answers held to a contract: Prism, put between a plugin and a scripted server.

    def test_the_contract(contracts, server, tmp_path):            # `contracts` is a fixture of conftest
        with contracts("vk").before(server.url) as url:            # vk.openapi.json of CLIPMAKER_TEST_CONTRACTS
            done = call(…, {"url": url, …})                        # every exchange with `url` reaches `server`
        assert done.verdict == "ok"

At its end `before` fails with every violation, of the plugin's requests and of the server's answers; and when there
was no exchange at all. `server.requests` has what was sent, byte for byte.

The road: plugin → front → `prism proxy --errors` → back → server. Prism turns binary bodies into nonsense and serves
paths without their base, so the front keeps what came, shows Prism each uploaded file as four letters, and the back
sends the server what the front kept: its url, then the path behind `url`. An answer that is no contract's matter
(HTML of a gateway, a broken connection, upload addresses) belongs into a test without Prism. What Prism cannot see:
unknown form fields, file names and types, repeated fields, delays.
"""
import contextlib
import ctypes
import http.client
import itertools
import json
import re
import signal
import subprocess
import threading
import urllib.parse

import pytest

import scripted
from conftest import CONTRACTS, NPM, TOP

OURS = "X-Exchange"
HOP_BY_HOP = {"host", "connection", "content-length", "transfer-encoding", "expect", "keep-alive", "accept-encoding",
              "date", "server", OURS.lower()}


def prism_program():
    """The path of Prism's program, installed when it is not there yet."""
    done = subprocess.run([TOP / "tests/contract/install", NPM / "contract"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no Prism, so nothing is held to the contracts: {done.stderr.strip()}")
    return NPM / "contract/node_modules/@stoplight/prism-cli/dist/index.js"


def headers_of(headers):
    return {name: value for name, value in headers.items() if name.lower() not in HOP_BY_HOP}


def send(url, request, headers, body):
    """One exchange as an Answer; a broken one breaks off the asker, too."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    try:
        path = parts.path + ("?" + parts.query if parts.query else "")
        connection.request(request.method, path, body or None, headers)
        answer = connection.getresponse()
        return scripted.Answer(answer.read(), answer.status, headers_of(answer.headers))
    except (OSError, http.client.HTTPException):
        return scripted.Answer(lost="after")
    finally:
        connection.close()


def small(request):
    """The request's body with four letters for each uploaded file, and its content type."""
    kind = request.headers.get("Content-Type", "")
    if not request.files:
        return request.body, kind
    parts = [f'name="{name}"\r\n\r\n{text}' for name, texts in request.fields.items() for text in texts]
    parts += [f'name="{name}"; filename="{one[0]}"\r\nContent-Type: {one[1]}\r\n\r\nfile'
              for name, one in request.files.items()]
    body = "".join(f"--part\r\nContent-Disposition: form-data; {part}\r\n" for part in parts) + "--part--\r\n"
    return body.encode(), "multipart/form-data; boundary=part"


class Contract:
    """One NAME.openapi.json and the Prism that holds others to it."""

    def __init__(self, path):
        self.path, self.kept, self.numbers, self.lock = path, {}, itertools.count(1), threading.Lock()
        self.violations, self.passed, self.upstream, self.log = [], 0, None, None
        self.front, self.back = scripted.Server(self.forward), scripted.Server(self.deliver)

    def __enter__(self):
        self.front.__enter__()
        self.back.__enter__()
        node = ["node", prism_program(), "proxy", "-h", "127.0.0.1", "-p", "0", "--errors", self.path, self.back.url]
        self.process = subprocess.Popen(node, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                        preexec_fn=lambda: ctypes.CDLL(None).prctl(1, signal.SIGKILL))  # dies with us
        said = []
        for line in self.process.stdout:
            said.append(line)
            found = re.search(r"Prism is listening on (http://127\.0\.0\.1:\d+)", line)
            if found:
                self.prism = found[1]
                threading.Thread(target=self.process.stdout.read, daemon=True).start()
                return self
        self.__exit__()
        raise RuntimeError("Prism does not start:\n" + "".join(said[-20:]))

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.front.__exit__()
        self.back.__exit__()

    def forward(self, request):
        """Front: asks Prism, and writes down what it complains about."""
        number = str(next(self.numbers))
        self.kept[number] = request
        body, kind = small(request)
        headers = {**headers_of(request.headers), OURS: number}
        if kind:
            headers["Content-Type"] = kind
        answer = send(self.prism + request.path, request, headers, body)
        self.kept.pop(number)
        self.passed += 1
        complaint = json.loads(answer.body) if "problem+json" in answer.headers.get("content-type", "") else None
        if complaint and complaint["title"] == "FetchError":
            return scripted.Answer(lost="after")
        if complaint:
            with self.lock:
                self.violations += [f"{request.method} {request.path}: {'.'.join(one['location'])}: {one['message']}"
                                    for one in complaint.get("validation", [{"location": [], "message": complaint["title"]}])]
        return answer

    def deliver(self, request):
        """Back: the kept request goes to the server that is meant."""
        original = self.kept[request.headers[OURS]]
        return send(self.upstream + original.path, original, headers_of(original.headers), original.body)

    @contextlib.contextmanager
    def before(self, upstream):
        """The address to use instead of `upstream`, until the end of the block."""
        self.upstream, self.violations, self.passed = upstream, [], 0
        try:
            yield self.front.url
        finally:  # a violation explains what else went wrong inside
            assert not self.violations, "\n".join(self.violations)
        assert self.passed, "not one request came by"


class Contracts:
    """Contracts by name, each with a Prism from its first use on."""

    def __init__(self, stack):
        self.stack, self.open = stack, {}

    @staticmethod
    def document(name):
        path = CONTRACTS / f"{name}.openapi.json"
        if not path.exists():
            pytest.skip(f"no {path.name}: CLIPMAKER_TEST_CONTRACTS does not name a folder with the contracts")
        return path

    def __call__(self, name):
        if name not in self.open:
            self.open[name] = self.stack.enter_context(Contract(self.document(name)))
        return self.open[name]
