"""What the server shows in a TLS handshake without our certificate; no key leaves the storage."""

import socket
import ssl
import time
from dataclasses import dataclass
from typing import Final

from cryptography import x509

from device.config.endpoint import Endpoint
from device.connection.tunnel import PROBE_SECONDS, way_to

_HEAD: Final = 200


@dataclass(frozen=True)
class ServerSeen:
    """What a server showed."""

    version: str
    """Of TLS, such as ``TLSv1.3``."""
    alpn: str | None
    """The protocol that it chose."""
    certificate: x509.Certificate

    @property
    def words(self) -> str:
        """Its certificate, for people."""
        leaf = self.certificate
        until = leaf.not_valid_after_utc.date().isoformat()
        subject, issuer = leaf.subject.rfc4514_string(), leaf.issuer.rfc4514_string()
        return (
            f"{self.version}, server {subject or names_of(leaf)}, issued by {issuer}, until {until}"
        )


def names_of(certificate: x509.Certificate) -> str:
    """Return the names that a server's certificate is for, as far as it says."""
    try:
        held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ""
    return ", ".join(str(each.value) for each in held)


def look_at(endpoint: Endpoint) -> ServerSeen:
    """Shake hands without trusting anybody and without a certificate of ours.

    Whether the server is to be trusted is another question: `device.connection.connect_failure`.

    Raises:
        OSError: the server was not reached, or does not speak TLS.
    """
    context = _trusting()
    if endpoint.alpn:
        context.set_alpn_protocols(endpoint.alpn)
    with way_to(endpoint, PROBE_SECONDS) as raw:
        return _seen(raw, context, endpoint.host)


def http_answer_of(endpoint: Endpoint, seconds: float) -> str:
    """Return the status line if HTTP is spoken inside TLS; empty if the server does not answer so.

    AWS IoT Core ends a connection without a certificate, so it never answers this.
    """
    context = _trusting()
    request = f"GET / HTTP/1.1\r\nHost: {endpoint.host}\r\nConnection: close\r\n\r\n"
    try:
        with way_to(endpoint, seconds) as raw:
            raw.settimeout(seconds)
            with context.wrap_socket(raw, server_hostname=endpoint.host) as tls:
                tls.sendall(request.encode("ascii"))
                head = tls.recv(_HEAD)
    except OSError:
        return ""
    line = head.partition(b"\r\n")[0]
    return line.decode("latin-1") if line.startswith(b"HTTP/") else ""


def _trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _seen(raw: socket.socket, context: ssl.SSLContext, name: str) -> ServerSeen:
    """Do the handshake; TLS 1.2 may refuse us in it, after it has shown its certificate."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    until = time.monotonic() + PROBE_SECONDS
    while True:
        try:
            tls.do_handshake()
            raw.sendall(outgoing.read())
            break
        except ssl.SSLWantReadError:
            raw.sendall(outgoing.read())
        raw.settimeout(max(0.001, until - time.monotonic()))
        if not (data := raw.recv(65_536)):
            raise ConnectionResetError("closed before TLS was complete")
        incoming.write(data)
    der = tls.getpeercert(binary_form=True)
    if der is None:
        raise ConnectionResetError("the server showed no certificate")
    return ServerSeen(
        tls.version() or "", tls.selected_alpn_protocol(), x509.load_der_x509_certificate(der)
    )
