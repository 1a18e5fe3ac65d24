"""A file of CA certificates: usable as a whole, or refused with the certificate that is not."""

import re
import ssl
import warnings
from typing import Final

from device.errors import ConfigurationError

_BEGIN: Final = re.compile(rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----")
_BLOCK: Final = re.compile(
    rb"-----BEGIN CERTIFICATE-----((?:(?!-----BEGIN ).)*?)-----END CERTIFICATE-----", re.DOTALL
)


def check_ca_bundle(pem: bytes, source: str, key: str = "") -> None:
    """Check that each certificate in ``pem`` can be trusted by TLS.

    Raises:
        ConfigurationError: there is none, or one is cut or malformed: which one, in which line,
            and its subject where it has one.
    """
    begins = list(_BEGIN.finditer(pem))
    if not begins:
        what = "is empty" if not pem.strip() else "holds no PEM certificate"
        raise ConfigurationError(source, key, what)
    for number, begin in enumerate(begins, 1):
        problem = _problem_with(pem, begin.start())
        if problem is not None:
            line = pem.count(b"\n", 0, begin.start()) + 1
            words = f"certificate {number} of {len(begins)} (line {line}) {problem}"
            raise ConfigurationError(source, key, f"holds a malformed certificate: {words}")


def _problem_with(pem: bytes, start: int) -> str | None:
    block = _BLOCK.match(pem, start)
    if block is None:
        return "is cut, or has another label than CERTIFICATE"
    try:
        # Not pyca/cryptography: it refuses Starfield's root soon, whose serial number is zero.
        text = block.group().decode("ascii")
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ssl.SSLError, UnicodeDecodeError) as error:
        return f"cannot be read{_subject(block.group())}: {error}"
    return None


def _subject(pem: bytes) -> str:
    from cryptography import x509  # noqa: PLC0415 - 40 ms, and few bundles are spoiled

    try:
        with warnings.catch_warnings(action="ignore"):
            return f" ({x509.load_pem_x509_certificate(pem).subject.rfc4514_string()})"
    except (ValueError, TypeError):
        return ""
