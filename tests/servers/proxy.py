"""A network that fails at a COMMIT: between client and server, on loopback."""

import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Literal

Cut = Literal["before", "after", "silent", ""]


@dataclass(slots=True)
class Proxy:
    """Passes everything on, until a COMMIT is met while `cut` is set; then it fails, once.

    `before`: the server doesn't get the COMMIT, and sees the connection end. `silent`: it sees nothing at all.
    `after`: it commits, and the client doesn't get the answer.
    """

    port: int
    server_port: int
    cut: Cut = ""
    cuts: int = 0

    def serve(self, client: socket.socket) -> None:
        """Pass on what the client and the server of one connection say."""
        with (
            closing(client),
            closing(socket.create_connection(("127.0.0.1", self.server_port))) as server,
            suppress(OSError),
        ):
            others = {client: server, server: client}
            while True:
                for one in select.select(list(others), [], [])[0]:
                    said = one.recv(1 << 16)
                    if not said:
                        return
                    if self.cut and one is client and b"COMMIT\0" in said:
                        self._fail(said, client, server)
                        return
                    others[one].sendall(said)

    def _fail(self, said: bytes, client: socket.socket, server: socket.socket) -> None:
        how, self.cut, self.cuts = self.cut, "", self.cuts + 1
        if how == "after":
            server.sendall(said)
            server.recv(1 << 16)
        client.shutdown(socket.SHUT_RDWR)
        if how == "silent":
            time.sleep(30)


@contextmanager
def proxy_to(server_port: int) -> Iterator[Proxy]:
    """Run a proxy before the server at that port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = Proxy(port=listener.getsockname()[1], server_port=server_port)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=proxy.serve, args=(client,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield proxy
        listener.shutdown(socket.SHUT_RDWR)
