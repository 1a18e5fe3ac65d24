"""A manifest says which devices a batch has: one JSON Web Signature an entry, and no secrets.

The format is that of Microchip's Trust Platform ("Trust Platform Manifest File Format"): an array
of SignedSecureElement objects, each a JWS in flattened JSON (RFC 7515, 7.2.2) over a SecureElement
object with the device's public key and its certificates. So tools that import such
manifests, as AWS's thingpress does, read it.

What a signature does not cover is checked, too: unknown fields, base64 that is not canonical, an
unsigned uniqueId that differs from the signed one, and an entry that is there twice.
"""

import base64
import binascii
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding

from device.storage.keys import PrivateKey
from factory.errors import MANIFEST

_ORGANIZATION: Final = "Firstboot"
_SHA256: Final = ec.ECDSA(hashes.SHA256())
_NUMBER_BYTES: Final = 32
"""Of r and of s, on P-256 (RFC 7518, 3.4)."""


@dataclass(frozen=True)
class Signer:
    """Who signs: a certificate, and a handle for its key on P-256."""

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)


@dataclass(frozen=True)
class ManifestDevice:
    """What a manifest says of a device."""

    serial_number: str
    method: str
    made_at: datetime
    chain: tuple[x509.Certificate, ...] = ()
    """Its certificate, then its issuer's; none where the device gets its own later."""


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    unique_id: str = msgspec.field(name="uniqueId")


class SignedEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A SignedSecureElement: a flattened JWS."""

    payload: str
    protected: str
    header: _Header
    signature: str


class _Protected(msgspec.Struct, frozen=True):
    typ: str
    alg: str
    kid: str
    thumbprint: str = msgspec.field(name="x5t#S256")


class _Payload(msgspec.Struct, frozen=True):
    unique_id: str = msgspec.field(name="uniqueId")


def write_entries(devices: Iterable[ManifestDevice], signer: Signer) -> Iterator[bytes]:
    """Yield the manifest of ``devices`` piece by piece, however many they are."""
    protected = _base64url(msgspec.json.encode(_protected(signer.certificate)))
    before = b"[\n"
    for device in devices:
        yield before + msgspec.json.encode(_signed(device, protected, signer.key))
        before = b",\n"
    yield b"\n]\n" if before == b",\n" else b"[]\n"


def check_manifest(content: bytes, certificate: x509.Certificate) -> list[str]:
    """Return the serial numbers in a manifest, if ``certificate`` signed all of it.

    Raises:
        ManifestError: it is not a manifest, or not as it was signed; the text names the entry.
    """
    try:
        entries = msgspec.json.decode(content, type=list[SignedEntry])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MANIFEST.error(f"it is not a manifest: {error}") from error
    found: dict[str, None] = {}
    for number, entry in enumerate(entries, start=1):
        serial_number = _checked(entry, certificate, f"entry {number}")
        if serial_number in found:
            raise MANIFEST.error(f"entry {number}: {serial_number} is there twice")
        found[serial_number] = None
    return list(found)


def _checked(entry: SignedEntry, certificate: x509.Certificate, where: str) -> str:
    try:
        protected = msgspec.json.decode(_bytes(entry.protected), type=_Protected)
        payload = msgspec.json.decode(_bytes(entry.payload), type=_Payload)
        signature = _bytes(entry.signature)
    except (ValueError, msgspec.DecodeError, RecursionError) as error:
        raise MANIFEST.error(f"{where} cannot be read: {error}") from error
    if protected != _protected(certificate):
        raise MANIFEST.error(f"{where} was not signed with this certificate")
    if payload.unique_id != entry.header.unique_id:
        raise MANIFEST.error(f"{where}: its header names {entry.header.unique_id!r}")
    _check_signature(f"{entry.protected}.{entry.payload}", signature, certificate, where)
    return payload.unique_id


def _check_signature(
    signed: str, signature: bytes, certificate: x509.Certificate, where: str
) -> None:
    key = _public_key(certificate)
    if len(signature) != 2 * _NUMBER_BYTES:
        raise MANIFEST.error(f"{where} has no signature by ES256")
    r, s = signature[:_NUMBER_BYTES], signature[_NUMBER_BYTES:]
    der = utils.encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
    try:
        key.verify(der, signed.encode("ascii"), _SHA256)
    except InvalidSignature:
        raise MANIFEST.error(f"{where} is not as it was signed") from None


def _public_key(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise MANIFEST.error(f"the signer's public key cannot be read: {error}") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise MANIFEST.error("the signer's key is not for ES256")
    return key


def _key_identifier(certificate: x509.Certificate) -> bytes:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except (x509.ExtensionNotFound, ValueError) as error:
        raise MANIFEST.error("the signer's certificate has no key identifier") from error
    return found.value.digest


def _protected(certificate: x509.Certificate) -> _Protected:
    identifier = _key_identifier(certificate)
    thumbprint = sha256(certificate.public_bytes(Encoding.DER)).digest()
    return _Protected("JWT", "ES256", _base64url(identifier), _base64url(thumbprint))


def _signed(device: ManifestDevice, protected: str, key: PrivateKey) -> SignedEntry:
    payload = _base64url(msgspec.json.encode(_secure_element(device)))
    assert isinstance(key, ec.EllipticCurvePrivateKey)  # noqa: S101 - the station made it so
    der = key.sign(f"{protected}.{payload}".encode("ascii"), _SHA256)
    signature = b"".join(
        each.to_bytes(_NUMBER_BYTES, "big") for each in utils.decode_dss_signature(der)
    )
    return SignedEntry(payload, protected, _Header(device.serial_number), _base64url(signature))


def _secure_element(device: ManifestDevice) -> dict[str, object]:
    name = {"organizationName": _ORGANIZATION, "organizationalUnitName": "Station"}
    made_at = device.made_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return {
        "version": 1, "model": _ORGANIZATION, "partNumber": f"{_ORGANIZATION}-{device.method}",
        "manufacturer": name, "provisioner": name, "distributor": name,
        "provisioningTimestamp": made_at, "uniqueId": device.serial_number,
        "publicKeySet": {"keys": [_jwk(device.chain)] if device.chain else []},
    }  # fmt: skip


def _jwk(chain: tuple[x509.Certificate, ...]) -> dict[str, object]:
    """Return the public key as a JSON Web Key with its certificates (RFC 7517, 4.7)."""
    x5c = [base64.b64encode(each.public_bytes(Encoding.DER)).decode() for each in chain]
    return {"kid": "0", **_numbers(chain[0].public_key()), "x5c": x5c}


def _numbers(key: object) -> dict[str, str]:
    if isinstance(key, ec.EllipticCurvePublicKey):
        numbers, size = key.public_numbers(), (key.key_size + 7) // 8
        point = {name: getattr(numbers, name).to_bytes(size, "big") for name in ("x", "y")}
        curve = f"P-{key.key_size}"
        return {"kty": "EC", "crv": curve, **{at: _base64url(n) for at, n in point.items()}}
    if isinstance(key, rsa.RSAPublicKey):
        public = key.public_numbers()
        return {"kty": "RSA", "n": _number(public.n), "e": _number(public.e)}
    raise MANIFEST.error(f"a manifest has no form for a {type(key).__name__}")


def _number(value: int) -> str:
    return _base64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _bytes(text: str) -> bytes:
    """Decode base64url without padding; the one right spelling only."""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError(str(error)) from error
    if _base64url(data) != text:
        raise ValueError("its base64url is not canonical")
    return data
