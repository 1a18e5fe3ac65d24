"""Server certificates that a client must refuse."""

import datetime as dt
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from localcloud.errors import FAULT
from localcloud.faults.board import FaultBoard
from localcloud.faults.kinds import ANY, BadCertificate
from localcloud.seam import Seam

_DAY: Final = dt.timedelta(days=1)
_NAMES: Final = ("localhost", "127.0.0.1")

Context = Callable[[], Awaitable[ssl.SSLContext | None]]


def inject_bad_certificates(iot: Seam, board: FaultBoard) -> None:
    """Show a bad certificate whenever ``board`` says so."""
    context: Context = iot["_mtls_context"]

    async def context_or_bad() -> ssl.SSLContext | None:
        fault = board.take(BadCertificate, ANY)
        return await context() if fault is None else _context(iot, fault.problem)

    iot["_mtls_context"] = context_or_bad


def _context(iot: Seam, problem: str) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(iot, problem, key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:  # OpenSSL reads files only
        Path(file.name).write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        context.load_cert_chain(file.name)
    return context


def _certificate(iot: Seam, problem: str, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    issuer, issuer_key = _authority(iot, key, problem)
    end = dt.datetime.now(dt.UTC) + (-_DAY if problem == "expired" else _DAY)
    names = ("other.example",) if problem == "wrong-name" else _NAMES
    return (
        x509.CertificateBuilder()
        .subject_name(_name(names[0]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - 7 * _DAY)
        .not_valid_after(end)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False
        )
        .sign(issuer_key, hashes.SHA256())
    )


def _authority(
    iot: Seam, key: ec.EllipticCurvePrivateKey, problem: str
) -> tuple[x509.Name, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey]:
    """Return the signer: the root that clients trust, or an unknown one."""
    if problem == "unknown-authority":
        return _name("Someone Else's Root"), key
    root = x509.load_pem_x509_certificate(iot["get_ca_cert_pem"]().encode())
    pem: str = iot["_ca_key_pem"]
    root_key = serialization.load_pem_private_key(pem.encode(), password=None)
    if not isinstance(root_key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise FAULT.error("the root's key is of no kind that signs here")
    return root.subject, root_key


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
