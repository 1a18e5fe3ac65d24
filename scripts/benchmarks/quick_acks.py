"""A relay on loopback that acknowledges what a client sends at once.

A server that has nothing to say waits 40 ms with an ACK, and a client with a certificate waits
for that in each handshake (docs/performance.md). What is left without is what the client does.
"""

import contextlib
import select
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_CHUNK: Final = 65536


@contextmanager
def quick_acks(host: str, port: int) -> Iterator[int]:
    """Relay connections to ``host``; yield the port on loopback to connect to.

    TCP_QUICKACK is Linux's alone (tcp(7)), and not permanent: it is set again before each read.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_serve, args=(listener, (host, port)), daemon=True).start()
        yield listener.getsockname()[1]


def _serve(listener: socket.socket, server: tuple[str, int]) -> None:
    with contextlib.suppress(OSError):  # closed: the bench is over
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_relay, args=(client, server), daemon=True).start()


def _relay(client: socket.socket, server: tuple[str, int]) -> None:
    with client, socket.create_connection(server) as upstream, contextlib.suppress(OSError):
        other = {client: upstream, upstream: client}
        for end in other:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            for end in other:
                if sys.platform == "linux":
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            for source in select.select(list(other), [], [])[0]:
                data = source.recv(_CHUNK)
                if not data:
                    return
                other[source].sendall(data)
