"""A scripted server that speaks OpenAI's protocol: what no real one does on order, this one does.

It listens on 127.0.0.1, keeps every request, and answers each with the next entry of its script or,
when that is empty, by itself. An entry is an Answer, or a function of the request that returns one.
"""
import email.parser
import email.policy
import http.server
import json
import socket
import struct
import threading
import time


class Answer:
    """What comes back: status, body (anything but text and bytes becomes JSON), headers; and what goes wrong.

    lost: "before" the request is read, "during" its body, "after" it, or "inside" the answer.
    slow: seconds before the answer; chopped: the body comes in pieces of so many bytes, 10 ms apart.
    """

    def __init__(self, body=b"", status=200, headers=None, lost="", slow=0, chopped=0):
        self.status, self.headers, self.lost, self.slow, self.chopped = status, headers or {}, lost, slow, chopped
        self.is_json = not isinstance(body, (bytes, str))
        text = json.dumps(body, ensure_ascii=False) if self.is_json else body
        self.body = text.encode() if isinstance(text, str) else text


class Request:
    def __init__(self, path, headers, body):
        self.path, self.headers, self.body, self.begun = path, headers, body, time.monotonic()
        self.json, self.fields, self.files = None, {}, {}
        kind = headers.get("Content-Type", "")
        if kind.startswith("application/json"):
            self.json = json.loads(body)
        elif kind.startswith("multipart/form-data"):
            self.read_parts(kind)

    def read_parts(self, kind):
        whole = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(
            b"Content-Type: " + kind.encode() + b"\r\n\r\n" + self.body)
        for part in whole.iter_parts():
            name = part.get_param("name", header="content-disposition")
            content = part.get_payload(decode=True)
            if part.get_filename():
                self.files[name] = (part.get_filename(), part.get_content_type(), content)
            else:
                self.fields.setdefault(name, []).append(content.decode())


def error(status, code=None, kind="invalid_request_error", message="no", headers=None, param=None):
    return Answer({"error": {"message": message, "type": kind, "param": param, "code": code}}, status, headers)


def chat(content, finish="stop", refusal=None, model="test-model", usage=(100, 20)):
    """A chat.completion; content: the text, or an object that becomes one."""
    text = content if isinstance(content, str) or content is None else json.dumps(content, ensure_ascii=False)
    return Answer({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1760000000, "model": model,
        "choices": [{"index": 0, "finish_reason": finish, "logprobs": None,
                     "message": {"role": "assistant", "content": text, "refusal": refusal}}],
        "usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)},
    })


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

    def do_GET(self):
        self.serve(b"")

    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        planned = self.server.fake.peek()
        if planned and planned.lost in ("before", "during"):
            if planned.lost == "during":
                self.rfile.read(length // 2)
            self.server.fake.next(None)
            return self.cut()
        body = self.chunks() if "chunked" in self.headers.get("Transfer-Encoding", "") else self.rfile.read(length)
        return self.serve(body)

    def chunks(self):
        body = b""
        while True:
            count = int(self.rfile.readline().split(b";")[0], 16)
            body += self.rfile.read(count)
            self.rfile.readline()
            if count == 0:
                return body

    def serve(self, body):
        request = Request(self.path, self.headers, body)
        answer = self.server.fake.next(request)
        time.sleep(answer.slow)
        if answer.lost == "after":
            return self.cut()
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
    """with Server() as server: server.url, server.script.append(…), server.requests."""

    def __init__(self, otherwise=None):
        self.script, self.requests, self.otherwise = [], [], otherwise
        self.lock = threading.Lock()

    def __enter__(self):
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.fake = self
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def peek(self):
        with self.lock:
            return self.script[0] if self.script and isinstance(self.script[0], Answer) else None

    def next(self, request):
        with self.lock:
            self.requests.append(request)
            entry = self.script.pop(0) if self.script else self.otherwise
        if entry is None:
            return error(500, "server_error", "server_error", "the script is at its end")
        return entry if isinstance(entry, Answer) else entry(request)
