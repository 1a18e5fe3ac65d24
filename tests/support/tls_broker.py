"""A server in a process of its own that lets every client in whose certificate is of its CA.

It does what a handshake test needs of AWS IoT: mutual TLS of a chosen version, and CONNACK.
"""

import contextlib
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from device.config.endpoint import Endpoint
from device.identity.csr import subject_name
from device.storage.keys import PublicKey
from tests.support.hang import SECONDS, line_from
from tests.support.scripted_server import Peer, connack

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
LOWEST, HIGHEST = "1.2", "1.3"


@dataclass
class TlsBroker:
    """The server as its clients see it."""

    endpoint: Endpoint
    ca: trustme.CA
    _process: subprocess.Popen[str]

    @property
    def ca_pem(self) -> bytes:
        """The CA of the server, and of its clients."""
        return self.ca.cert_pem.bytes()

    def certificate_for(self, key: PublicKey) -> bytes:
        """Return a client certificate in PEM."""
        issuer = x509.load_pem_x509_certificate(self.ca_pem).subject
        issuer_key = load_pem_private_key(self.ca.private_key_pem.bytes(), None)
        assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject_name({"common_name": "SN-1"}))
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
        )
        return builder.sign(issuer_key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def stop(self) -> Counter[str]:
        """Stop, and return how often each TLS version was spoken."""
        self._process.terminate()
        output, _ = self._process.communicate(timeout=SECONDS)
        return Counter(output.split())


@contextmanager
def tls_broker(folder: Path, lowest: str = LOWEST, highest: str = HIGHEST) -> Iterator[TlsBroker]:
    """Run a server that speaks TLS from ``lowest`` to ``highest``."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    ca.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(
        str(folder / "server.pem")
    )
    command = [sys.executable, "-m", "tests.support.tls_broker", str(folder), lowest, highest]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        port = int(line_from(process, process.stdout))
        yield TlsBroker(Endpoint("localhost", port), ca, process)
    finally:
        process.terminate()
        process.wait(timeout=SECONDS)
        assert process.stdout is not None
        process.stdout.close()


def _serve(folder: Path, lowest: str, highest: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    context.load_verify_locations(folder / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version, context.maximum_version = VERSIONS[lowest], VERSIONS[highest]
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    _tell(listener.getsockname()[1])
    while True:
        raw, _ = listener.accept()
        threading.Thread(target=_talk, args=(raw, context), daemon=True).start()


def _talk(raw: socket.socket, context: ssl.SSLContext) -> None:
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    raw.settimeout(30.0)
    with contextlib.suppress(OSError), context.wrap_socket(raw, server_side=True) as stream:
        peer = Peer(stream)
        peer.packet()
        _tell(stream.version())
        peer.send(connack())
        peer.wait_until_closed()


def _tell(fact: object) -> None:
    """Tell the test that started this process; one write, as many threads tell."""
    os.write(sys.stdout.fileno(), f"{fact}\n".encode())


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), *sys.argv[2:])
