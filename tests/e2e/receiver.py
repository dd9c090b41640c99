"""An HTTP/1.1 receiver that does as it is told: what the dispatcher's tests send to.

It runs in the test's own process, a thread a connection, with keep-alive; every request is recorded before it is
answered. What it answers is a script for each path, a list of answers, the last of which is repeated:

    with Receiver() as receiver:
        receiver.script("/hook", 503, 503, 200)
        receiver.script("/dead", hang())
        …
        receiver.wait_for(3, "/hook")

An answer is a status, or one of the functions below; a path without a script gets 200. Waiting is by condition
variable: nothing here sleeps but the answers that are slow on purpose. As a process of its own:

    python3 receiver.py [--port N] [--answer STATUS] [--quiet]      prints its address, then a line of JSON a request
"""

import json
import select
import socket
import ssl
import struct
import sys
import threading
import time


class Headers:
    """Header lines in the order they came; look-up by name in any case."""

    def __init__(self, pairs):
        self.pairs = pairs

    def __getitem__(self, name):
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __contains__(self, name):
        return self.get(name) is not None

    def get(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default

    def all(self, name):
        return [value for key, value in self.pairs if key.lower() == name.lower()]

    def names(self):
        return [key.lower() for key, _ in self.pairs]


class Request:
    """One request as it came. at: time.time(); arrived: time.monotonic(); connection: 1 for the first."""

    def __init__(self, method, path, headers, body, connection):
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body
        self.connection = connection
        self.at = time.time()
        self.arrived = time.monotonic()

    @property
    def id(self):
        return self.headers.get("webhook-id")

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.method} {self.path} {self.id} {self.body[:80]!r}>"


# Answers. Each is a function of (exchange) that writes what it wants; it returns whether the connection lives on.

REASONS = {200: "OK", 204: "No Content", 307: "Temporary Redirect", 410: "Gone", 429: "Too Many Requests",
           500: "Internal Server Error", 503: "Service Unavailable"}


def head(status, pairs):
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}", *(f"{name}: {value}" for name, value in pairs)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def answer(status=200, body=b"", headers=(), close=False):
    """A whole answer; close: and then the connection is closed, as it says."""
    pairs = [*headers] + ([] if status in (204, 304) else [("content-length", len(body))])
    pairs += [("connection", "close")] if close else []

    def act(exchange):
        exchange.send(head(status, pairs) + body)
        return not close

    return act


def retry_after(status, value):
    return answer(status, headers=[("retry-after", value)])


def redirect(location, status=307):
    return answer(status, headers=[("location", location)])


def raw(data):
    """Bytes as they are, whatever they are, and the end of the connection."""

    def act(exchange):
        exchange.send(data)
        return False

    return act


def reset():
    """No answer: a TCP reset."""

    def act(exchange):
        exchange.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    return act


def hang():
    """No answer for as long as the other end holds the connection."""

    def act(exchange):
        exchange.until_closed()
        return False

    return act


def drip(data=None, gap=0.05, status=200):
    """A byte at a time: the head if data is None, else a quick head and data as the body."""

    def act(exchange):
        whole = head(status, [("content-length", len(data or b""))])
        slow = data
        if data is None:
            whole, slow = b"", whole
        exchange.send(whole)
        for i in range(len(slow)):
            exchange.send(slow[i : i + 1])
            if exchange.until_closed(gap):
                return False
        return True

    return act


def huge(size, status=200):
    """A body of size bytes, sent as long as the other end takes it."""

    def act(exchange):
        exchange.send(head(status, [("content-length", size)]))
        block = b"x" * 65536
        for sent in range(0, size, len(block)):
            exchange.send(block[: size - sent])
        return True

    return act


def endless(status=200):
    """A chunked body that never ends."""

    def act(exchange):
        exchange.send(head(status, [("transfer-encoding", "chunked")]))
        while True:
            exchange.send(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")

    return act


def held(gate, then=200):
    """Waits for Receiver.gate()'s open(), then answers."""

    def act(exchange):
        gate.wait()
        return as_answer(then)(exchange)

    return act


def as_answer(what):
    return answer(what) if isinstance(what, int) else what


class Exchange:
    """What an answer works with: the request, and its connection."""

    def __init__(self, connection, request):
        self.connection = connection
        self.request = request

    def send(self, data):
        self.connection.sendall(data)

    def until_closed(self, timeout=None):
        """Waits until the other end closes (True), or timeout seconds (False)."""
        ready, _, _ = select.select([self.connection], [], [], timeout)
        return bool(ready)


class Gate(threading.Event):
    """What held() waits at; opened by the test, and when the receiver closes."""

    open = threading.Event.set


class Receiver:
    def __init__(self, host="127.0.0.1", port=0, certificate=None, default=200):
        """certificate: (chain file, key file) for TLS. default: the answer of a path without a script."""
        self.default = as_answer(default)
        self.tls = None
        if certificate:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(*certificate)
        self.changed = threading.Condition()
        self.requests = []
        self.by_path = {}
        self.scripts = {}
        self.connections = 0
        self.open = set()
        self.gates = []
        self.closing = False
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = socket.create_server((host, port), family=family, backlog=1024)
        self.host = f"[{host}]" if ":" in host else host
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def url(self, path="/"):
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}{path}"

    def script(self, path, *answers):
        """What path answers from now on; the last one again and again."""
        with self.changed:
            self.scripts[path] = [as_answer(what) for what in answers]

    def gate(self):
        gate = Gate()
        self.gates.append(gate)
        return gate

    def received(self, path=None):
        """The requests so far, of one path or all, in the order they came."""
        with self.changed:
            return list(self.requests if path is None else self.by_path.get(path, []))

    def wait_for(self, n=1, path=None, timeout=60):
        """Waits until n requests have come (of path, or in all) and returns them; AssertionError after timeout s."""
        with self.changed:
            seen = self.requests if path is None else self.by_path.setdefault(path, [])
            if not self.changed.wait_for(lambda: len(seen) >= n, timeout):
                raise AssertionError(f"{len(seen)} requests of {n} came to {path or 'all paths'} in {timeout} s")
            return list(seen)

    def wait_until(self, true, timeout=60):
        """Waits until true(requests) is; for what a count can't say."""
        with self.changed:
            if not self.changed.wait_for(lambda: true(self.requests), timeout):
                raise AssertionError(f"it did not come true in {timeout} s, with {len(self.requests)} requests")

    def close(self):
        """Ends every connection, hung ones too."""
        with self.changed:
            self.closing = True
            connections = list(self.open)
        for gate in self.gates:
            gate.open()
        try:
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        except OSError:
            pass
        self.listener.close()
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with self.changed:
                if self.closing:
                    connection.close()
                    return
                self.connections += 1
                self.open.add(connection)
                number = self.connections
            threading.Thread(target=self.serve, args=(connection, number), daemon=True).start()

    def serve(self, plain, number):
        connection = plain
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                connection = self.tls.wrap_socket(plain, server_side=True)
            stream = connection.makefile("rb")
            while True:
                request = self.read(connection, stream, number)
                if request is None or not self.record(request)(Exchange(connection, request)):
                    break
        except OSError:
            pass  # the other end left, or close() did
        finally:
            with self.changed:
                self.open.discard(plain)
            connection.close()

    def record(self, request):
        """Keeps a request, and says what to answer."""
        with self.changed:
            self.requests.append(request)
            self.by_path.setdefault(request.path, []).append(request)
            script = self.scripts.get(request.path)
            self.changed.notify_all()
            if not script:
                return self.default
            return script.pop(0) if len(script) > 1 else script[0]

    @staticmethod
    def read(connection, stream, number):
        """The next request of a connection; None at its end, in the middle of a request too."""
        line = stream.readline().decode("latin-1").rstrip("\r\n")
        if not line:
            return None
        method, path, _ = line.split(" ", 2)
        pairs = []
        while True:
            line = stream.readline().decode("latin-1")
            if not line:
                return None
            line = line.rstrip("\r\n")
            if not line:
                break
            name, _, value = line.partition(":")
            pairs.append((name, value.strip()))
        headers = Headers(pairs)
        if headers.get("expect", "").lower() == "100-continue":
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = bytearray()
            while size := int(stream.readline().split(b";")[0], 16):
                body += stream.read(size)
                stream.readline()
            stream.readline()
        else:
            length = int(headers.get("content-length", 0))
            body = stream.read(length)
            if len(body) < length:
                return None
        return Request(method, path, headers, bytes(body), number)


def main(arguments):
    def option(name, default):
        return int(arguments[arguments.index(name) + 1]) if name in arguments else default

    receiver = Receiver(port=option("--port", 0), default=option("--answer", 200))
    print(f"listening {receiver.url()}", flush=True)
    seen = 0
    while True:
        with receiver.changed:
            receiver.changed.wait_for(lambda: len(receiver.requests) > seen)
            fresh = receiver.requests[seen:]
        seen += len(fresh)
        if "--quiet" not in arguments:
            for request in fresh:
                print(json.dumps({"method": request.method, "path": request.path, "headers": request.headers.pairs,
                                  "body": request.body.decode(errors="replace")}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
