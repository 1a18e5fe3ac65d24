"""Does the bench's relay pass on what it is given, both ways, and the end too?"""

import socket

from scripts.benchmarks.quick_acks import quick_acks
from tests.support.hang import SECONDS


def test_what_a_client_sends_comes_back_from_the_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(SECONDS)
        host, port = server.getsockname()
        with (
            quick_acks(host, port) as relay,
            socket.create_connection((host, relay), SECONDS) as client,
        ):
            upstream, _ = server.accept()
            upstream.settimeout(SECONDS)
            with upstream:
                client.sendall(b"question")
                assert upstream.recv(100) == b"question"
                upstream.sendall(b"answer")
                assert client.recv(100) == b"answer"
                client.shutdown(socket.SHUT_WR)
                assert upstream.recv(100) == b""
