"""Certificates that AWS IoT does not take: other kinds of key, and a time that is over.

AWS IoT takes RSA keys of 2048 bits or more and elliptic curve keys on P-256, P-384 and P-521
(developer guide, "X.509 client certificates", Supported certificate key algorithms), and checks
at registration that a certificate is in force (botocore model: CertificateValidationException,
"The certificate is invalid"). MiniStack checks keys of CSRs only. It holds for devices'
certificates, for CAs, and for what just-in-time registration is presented with.
"""

import datetime as dt
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from localcloud.gaps._support.rest import Response
from localcloud.seam import Seam

_SMALLEST_RSA: Final = 2048
_CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_LOG: Final = logging.getLogger("localcloud.certificates")

Payload = Mapping[str, Any]


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still looks at no key of what is registered."""
    return "public_key" not in iot["_register_certificate"].__code__.co_names


def close(iot: Seam) -> None:
    """Look before anything is registered."""
    register_ca: Callable[[Payload, Payload], Response] = iot["_register_ca_certificate"]
    register: Callable[..., Awaitable[Response]] = iot["_register_certificate"]
    auto_register: Callable[..., Awaitable[bool]] = iot["_mtls_auto_register"]

    def refusal(pem: object) -> Response | None:
        error = certificate_error(pem, dt.datetime.now(dt.UTC))
        code = "CertificateValidationException"
        refused: Response | None = iot["error_response_json"](code, error, 400) if error else None
        return refused

    def register_ca_certificate(payload: Payload, query: Payload) -> Response:
        return refusal(payload.get("caCertificate")) or register_ca(payload, query)

    async def register_certificate(payload: Payload, query: Payload, **how: bool) -> Response:
        refused = refusal(payload.get("certificatePem"))
        return refused or await register(payload, query, **how)

    async def auto_register_if_valid(
        der: bytes, peer: object, server_name: str | None = None
    ) -> bool:
        pem = ssl.DER_cert_to_PEM_cert(der)
        error = certificate_error(pem, dt.datetime.now(dt.UTC))
        if error:
            _LOG.warning("not registered just in time: %s", error)
            return False
        return await auto_register(der, peer, server_name)

    iot["_register_ca_certificate"] = register_ca_certificate
    iot["_register_certificate"] = register_certificate
    iot["_mtls_auto_register"] = auto_register_if_valid


def certificate_error(pem: object, now: dt.datetime) -> str | None:
    """Say why AWS IoT does not take the certificate ``pem`` ``now``; None of what is not PEM."""
    try:
        certificate = x509.load_pem_x509_certificate(str(pem).encode())
        key = certificate.public_key()
    except UnsupportedAlgorithm:
        return "The key of the certificate is of a kind that AWS IoT does not take"
    except ValueError:
        return None  # what registers it says so
    if not _is_accepted(key):
        return "The key of the certificate is neither RSA of 2048 bits nor on P-256, P-384, P-521"
    if now > certificate.not_valid_after_utc:
        return f"The certificate expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
    return None


def _is_accepted(key: object) -> bool:
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size >= _SMALLEST_RSA
    return isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES)
