"""A scripted HTTP server: what no real one does on order, this one does. What it speaks is its user's to say.

It listens on 127.0.0.1, keeps every request, and answers each with the next entry of its script or, when that is
empty, with `otherwise`. An entry is an Answer, or a function of the request that returns one; a function that returns
None leaves the request to `otherwise`.
"""
import contextlib
import http.server
import json
import re
import socket
import struct
import threading
import time

LONG = 1 << 20


class Answer:
    """What comes back: status, body (anything but text and bytes becomes JSON), headers; and what goes wrong.

    lost: "before" the request is read, "during" its body (half of it is read), "after" it, or "inside" the answer.
    early: the answer comes before the body is read; the rest is thrown away, or, with lost="after", reset.
    slow: seconds before the answer; chopped: the body comes in pieces of so many bytes, 10 ms apart.
    """

    def __init__(self, body=b"", status=200, headers=None, lost="", slow=0, chopped=0, early=False):
        self.status, self.headers, self.lost, self.slow, self.chopped = status, headers or {}, lost, slow, chopped
        self.early = early
        self.is_json = not isinstance(body, (bytes, str))
        text = json.dumps(body, ensure_ascii=False) if self.is_json else body
        self.body = text.encode() if isinstance(text, str) else text


class Request:
    def __init__(self, path, headers, body, method=""):
        self.path, self.headers, self.body, self.begun = path, headers, body, time.monotonic()
        self.method, self.json, self.fields, self.files = method, None, {}, {}
        kind = headers.get("Content-Type", "")
        if kind.startswith("application/json"):
            self.json = json.loads(body)
        elif kind.startswith("multipart/form-data"):
            self.read_parts(kind)

    def read_parts(self, kind):
        boundary = b"\r\n--" + re.search(r'boundary="?([^";]+)', kind)[1].encode()
        first, *parts = (b"\r\n" + self.body).split(boundary)
        assert not first.strip() and parts.pop() == b"--\r\n", "a multipart body without its end"
        for part in parts:
            head, content = part.split(b"\r\n\r\n", 1)
            found = dict(re.findall(r'\b(name|filename)="([^"]*)"', head.decode()))
            kind = re.search(r"(?i)content-type: *([^;\s]+)", head.decode())
            if "filename" in found:
                self.files[found["name"]] = (found["filename"], kind[1] if kind else "text/plain", content)
            else:
                self.fields.setdefault(found["name"], []).append(content.decode())

    def forget(self):
        """Long bodies need not stay in memory."""
        if len(self.body) > LONG:
            self.body = self.body[:LONG]
            self.files = {name: (*file[:2], file[2][:LONG]) for name, file in self.files.items()}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def handle(self):
        try:
            super().handle()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def cut(self):
        """Ends the connection the hard way: the other side gets a reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def passes(self, phase):
        if self.server.fake.watch:
            self.server.fake.watch(phase, self)

    def do_GET(self):
        self.serve(b"")

    def do_POST(self):
        with self.server.fake.working():
            self.take()

    def take(self):
        length = int(self.headers.get("Content-Length", 0))
        planned = self.server.fake.peek()
        self.passes("head")
        if planned and planned.lost in ("before", "during"):
            if planned.lost == "during":
                self.rfile.read(length // 2)
            self.server.fake.next(None)
            return self.cut()
        if planned and planned.early:
            return self.answer_early(length)
        body = self.chunks() if "chunked" in self.headers.get("Transfer-Encoding", "") else self.read(length)
        if len(body) < length:
            raise ConnectionError("the body broke off")
        self.passes("body")
        return self.serve(body)

    def read(self, length):
        part = self.rfile.read(length // 8)
        self.passes("part")
        return part + self.rfile.read(length - len(part))

    def answer_early(self, length):
        answer = self.server.fake.next(None)
        self.send(answer)
        if answer.lost == "after":
            return self.cut()
        while length > 0:
            piece = self.rfile.read(min(length, 1 << 16))
            length -= len(piece) or length
        self.close_connection = True
        return None

    def chunks(self):
        body = b""
        while True:
            count = int(self.rfile.readline().split(b";")[0], 16)
            body += self.rfile.read(count)
            self.rfile.readline()
            if count == 0:
                return body

    def serve(self, body):
        request = Request(self.path, self.headers, body, self.command)
        answer = self.server.fake.next(request)
        request.forget()
        self.passes("accepted")
        time.sleep(answer.slow)
        if answer.lost == "after":
            return self.cut()
        self.send(answer)
        return self.passes("answered")

    def send(self, answer):
        self.send_response(answer.status)
        if answer.is_json:
            self.send_header("Content-Type", "application/json")
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if answer.lost == "inside":
            self.wfile.write(answer.body[:len(answer.body) // 2])
            self.wfile.flush()
            return self.cut()
        for at in range(0, len(answer.body), answer.chopped or max(len(answer.body), 1)):
            self.wfile.write(answer.body[at:at + (answer.chopped or len(answer.body))])
            self.wfile.flush()
            if answer.chopped:
                time.sleep(0.01)
        return None


class Server:
    """with Server() as server: server.url, server.script.append(…), server.requests.

    `watch(phase, handler)` is called by whoever serves a POST, as it gets to "head", "part" (an eighth of the body), "body",
    "accepted" (what the request asks for is done, nothing is said yet) and "answered".
    """
    base = ""

    def __init__(self, otherwise=None):
        self.script, self.requests, self.otherwise, self.watch = [], [], otherwise, None
        self.at_work = 0  # POSTs that are not over yet: what they ask for may still happen
        self.lock = threading.Lock()

    def __enter__(self):
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.fake = self
        # A long upload shall stand still with whoever reads it, and not lie in the kernel.
        self.http.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}{self.base}"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    @contextlib.contextmanager
    def working(self):
        with self.lock:
            self.at_work += 1
        try:
            yield
        finally:
            with self.lock:
                self.at_work -= 1

    def peek(self):
        with self.lock:
            return self.script[0] if self.script and isinstance(self.script[0], Answer) else None

    def next(self, request):
        with self.lock:
            self.requests.append(request)
            entry = self.script.pop(0) if self.script else self.otherwise
        answer = entry if isinstance(entry, Answer) or entry is None else entry(request)
        if answer is None and entry is not self.otherwise and self.otherwise:
            answer = self.otherwise if isinstance(self.otherwise, Answer) else self.otherwise(request)
        return answer or self.at_the_end()

    @staticmethod
    def at_the_end():
        return Answer("the script is at its end", 500)
