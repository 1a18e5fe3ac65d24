"""Several CAs of one subject: a device's CA is found by its signature, not by its name.

AWS takes ten CA certificates with the same subject and public key or with another key, so that an
authority can be rolled over (developer guide, "Register your CA certificate"; service quotas); the
eleventh is refused. OpenSSL, which
MiniStack's listener trusts every registered CA in, takes the first CA of the issuer's name and
fails if that did not sign. Here the listener trusts certificates of devices only: one that is
presented, and that is registered or that some registered CA signed. It is trusted when its
Certificate message is read, before OpenSSL looks at it; ``SSLContext._msg_callback`` of CPython
is the one place that shows it in time. MiniStack's listener looks through all certificates that
are registered, at each handshake: 14 % of what a fleet of 1,500 devices costs (docs/fleet.md).
"""

import hashlib
import logging
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from localcloud.gaps._support.rest import Response
from localcloud.gaps._support.scopes import found_in_any_scope
from localcloud.seam import Seam

_CERTIFICATE: Final = 11  # TLS handshake type
_HANDSHAKE: Final = 22  # TLS content type
_LENGTH: Final = 3
_MOST_OF_ONE_SUBJECT: Final = 10
_LOG: Final = logging.getLogger("localcloud.certificates")

Anchors = list[tuple[str, str]]
Payload = Mapping[str, Any]


def is_open(iot: Seam) -> bool:
    """Whether MiniStack's listener still trusts the registered CAs themselves."""
    return "_ca_certificates" in iot["_mtls_trust_anchors"].__code__.co_names


def close(iot: Seam) -> None:
    """Trust devices in place of CAs; take ten of one subject."""
    register: Callable[[Payload, Payload], Response] = iot["_register_ca_certificate"]
    build: Callable[[], ssl.SSLContext] = iot["_mtls_build_ssl_context"]

    def trust_anchors() -> Anchors:
        own: str = iot["get_ca_cert_pem"]()
        return [(hashlib.sha256(own.encode()).hexdigest(), own)]

    def build_ssl_context() -> ssl.SSLContext:
        context = build()
        _read_messages(context, lambda der: _trust_if_known(iot, context, der))
        return context

    def register_ca_certificate(payload: Payload, query: Payload) -> Response:
        if _is_one_too_many(iot, payload.get("caCertificate")):
            text = f"{_MOST_OF_ONE_SUBJECT} CA certificates with this subject are registered"
            refused: Response = iot["error_response_json"]("LimitExceededException", text, 410)
            return refused
        return register(payload, query)

    iot["_register_ca_certificate"] = register_ca_certificate
    iot["_mtls_trust_anchors"] = trust_anchors
    iot["_mtls_build_ssl_context"] = build_ssl_context


def _is_one_too_many(iot: Seam, pem: object) -> bool:
    """Whether ``pem`` is new, and ten have its subject."""
    try:
        new = x509.load_pem_x509_certificate(str(pem).encode())
    except ValueError:
        return False  # MiniStack says what is wrong with it
    known: set[bytes] = {
        fingerprint
        for fingerprint, subject in map(_identity, iot["_ca_certificates"].values())
        if subject == new.subject
    }
    return new.fingerprint(SHA256()) not in known and len(known) >= _MOST_OF_ONE_SUBJECT


def _identity(record: Payload) -> tuple[bytes, x509.Name]:
    certificate = x509.load_pem_x509_certificate(record["certificatePem"].encode())
    return certificate.fingerprint(SHA256()), certificate.subject


def _read_messages(context: ssl.SSLContext, found: Callable[[bytes], None]) -> None:
    """Tell ``found`` each certificate that a client presents as its own."""

    def read(
        _connection: object, direction: str, version: int, content: int, kind: int, data: bytes
    ) -> None:
        if direction == "read" and content == _HANDSHAKE and kind == _CERTIFICATE:
            der = first_certificate(data, is_13=version == ssl.TLSVersion.TLSv1_3)
            if der:
                found(der)

    # As ssl.SSLContext's own setter does it, but for the enums that it makes of each record's
    # numbers, on every connection as long as it lives: 11 % of a connect (performance.md).
    Seam(ssl.SSLContext.__base__)["_msg_callback"].__set__(context, read)


def first_certificate(message: bytes, *, is_13: bool) -> bytes:
    """Return the first certificate in a Certificate message (RFC 8446, 4.4.2; RFC 5246, 7.4.2)."""
    at = 1 + _LENGTH
    if is_13:
        at += 1 + message[at] if len(message) > at else 1
    at += _LENGTH  # of the list
    size = int.from_bytes(message[at : at + _LENGTH], "big")
    return message[at + _LENGTH : at + _LENGTH + size]


def _trust_if_known(iot: Seam, context: ssl.SSLContext, der: bytes) -> None:
    name = hashlib.sha256(der).hexdigest()
    loaded: set[str] = iot["_mtls_loaded_anchors"]
    if name in loaded:
        return
    try:
        pem = ssl.DER_cert_to_PEM_cert(der)
        if _is_registered(iot, name) or _is_signed(iot, pem):
            context.load_verify_locations(cadata=pem)
            loaded.add(name)
    except (ValueError, ssl.SSLError) as error:
        _LOG.warning("a certificate that was presented cannot be read: %s", error)


def _is_registered(iot: Seam, certificate_id: str) -> bool:
    return bool(found_in_any_scope(iot["_certificates"], certificate_id))


def _is_signed(iot: Seam, pem: str) -> bool:
    """Whether some registered CA signed it."""
    is_signed_by: Callable[[str, str], bool] = iot["certificate_is_signed_by"]
    authorities = iot["_ca_certificates"].all_values()
    return any(is_signed_by(pem, ca.get("certificatePem") or "") for ca in authorities)
