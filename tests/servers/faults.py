"""A proxy that fails on purpose, between a client and a real S3: answers 503, hangs, cuts, and flips bytes.

A fault is `hang` (no answer), `cut` (half of the request is taken), `cut answer` (half of it is given), `flip` and
`flip answer` (one bit), or an answer of its own: a status and, for S3's errors, a code, as in `403 ExpiredToken`.
"""

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

Fault = str
HANG_SECONDS = 60.0
HOP = {"connection", "transfer-encoding", "keep-alive"}


@dataclass(frozen=True, slots=True)
class Request:
    """One request, as the proxy saw it. `number` counts from 1."""

    number: int
    method: str
    path: str
    headers: dict[str, str]  # by names in small letters

    @property
    def range(self) -> str:
        return self.headers.get("range", "")


@dataclass(slots=True)
class Proxy:
    """Where the proxy listens, which fault it has for a request, and the requests so far."""

    endpoint_url: str = ""
    fault: Callable[[Request], Fault | None] = lambda request: None
    etag: str = ""  # of every object, in place of the server's own
    requests: list[Request] = field(default_factory=list)
    under_way: int = 0
    most_at_once: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def count(self, method: str, part: str = "") -> int:
        """Return how many requests there were, of that method and with that text in their path."""
        return sum(one.method == method and part in one.path for one in self.requests)


@contextmanager
def proxy(endpoint_url: str) -> Iterator[Proxy]:
    """Forward to the endpoint until the end of the block."""
    made, lock = Proxy(), threading.Lock()
    upstream = urlsplit(endpoint_url).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            with lock:
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(len(made.requests) + 1, self.command, self.path, headers)
                made.requests.append(request)
                made.under_way += 1
                made.most_at_once = max(made.most_at_once, made.under_way)
            try:
                self.fail_or_forward(made.fault(request), length)
            finally:
                with lock:
                    made.under_way -= 1

        def fail_or_forward(self, fault: Fault | None, length: int) -> None:
            if fault == "cut":
                self.rfile.read(length // 2)
                self.close_connection = True
                return
            body = self.rfile.read(length)
            if fault == "hang":
                made.ended.wait(HANG_SECONDS)
                self.close_connection = True
            elif fault and fault[0].isdigit():
                self.answer(*fault.split())
            else:
                self.forward(_flipped(body) if fault == "flip" else body, fault)

        def answer(self, status: str, code: str = "Failed") -> None:
            told = b"" if self.command == "HEAD" else f"<Error><Code>{code}</Code></Error>".encode()
            self.send_response(int(status))
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def forward(self, body: bytes, fault: Fault | None) -> None:
            connection = http.client.HTTPConnection(upstream)
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() != "expect":
                    connection.putheader(name, value)
            with suppress(BrokenPipeError, ConnectionResetError):  # it answers before it has read all
                connection.endheaders(body)
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            self.send_response(answer.status)
            replaced = made.etag and self.command == "HEAD"
            for name, value in answer.getheaders():
                if name.lower() not in HOP | {"content-length", "date", "server"}:
                    self.send_header(name, made.etag if replaced and name.lower() == "etag" else value)
            self.send_header("Content-Length", answer.getheader("Content-Length") or str(len(content)))
            self.end_headers()
            if fault == "flip answer":
                content = _flipped(content)
            self.wfile.write(content[: len(content) // 2] if fault == "cut answer" else content)
            self.close_connection = fault == "cut answer"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            pass

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = do_HEAD = handle_any  # noqa: N815 - the library's names

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.endpoint_url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :] if content else content


def once(fault: Fault, method: str, part: str = "") -> Callable[[Request], Fault | None]:
    """Return a plan that fails the first such request, and no other."""
    return times(1, fault, method, part)


def times(count: int, fault: Fault, method: str, part: str = "") -> Callable[[Request], Fault | None]:
    """Return a plan that fails the first so many such requests."""
    left, lock = [count], threading.Lock()

    def plan(request: Request) -> Fault | None:
        with lock:
            if left[0] and request.method == method and part in request.path:
                left[0] -= 1
                return fault
        return None

    return plan


def wait_until(holds: Callable[[], object], *, seconds: float = 60.0) -> None:
    """Wait until the condition holds. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError("it never came")
        time.sleep(0.05)
