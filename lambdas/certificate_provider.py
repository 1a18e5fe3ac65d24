"""AWS Lambda: the account's certificate provider. Sign a device's CSR with the station's own CA.

AWS IoT calls it at each CreateCertificateFromCsr over MQTT, waits five seconds, and registers
the certificate that it returns, which must keep the CSR's subject and key (AWS IoT developer
guide, "Self-managed certificate signing using AWS IoT Core certificate provider"). The CA's key
is in AWS KMS and never leaves it: this function may only ask for signatures. The account has
one provider for everybody, so it checks who asks: a claim of the station; a device that renews,
whose certificate this CA has signed and whose CSR has the same subject; or a device that comes back
with its birth certificate, whose thing has such a certificate. For whom else a renewal may be is
decided when it is registered (``lambdas/renewal_hook.py``, ``lambdas/recovery_hook.py``).

A refusal is an exception: AWS IoT tells the device that the function failed, and the reason is
in the function's log. Python's standard library neither reads nor writes certificates, and a
Lambda without a layer has no more; so the few DER fields are read and written here (X.690;
RFC 2986 for the CSR, RFC 5280 for the certificate, RFC 5480 and RFC 8017 for keys).

Environment: KMS_KEY (its ARN), CA_CERTIFICATE (its DER in base64), LIFE_HOURS, CLAIMS (the ids of
the claim certificates, with commas between).
"""

import base64
import hashlib
import logging
import os
import secrets
import ssl
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import boto3

LOG: Final = logging.getLogger()
LOG.setLevel(logging.INFO)

CLOCKS_APART: Final = timedelta(days=1)
"""How far a device's clock may be behind: one without a battery boots with an old time."""
BIRTH_POLICY: Final = "firstboot-birth"
"""Of the certificates with which a device comes back (``factory prepare --recovery``)."""
SMALLEST_RSA: Final = 2048
"""Bits of the smallest RSA key that AWS IoT takes."""
SEQUENCE: Final = 0x30
SET: Final = 0x31
INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18
_LONG: Final = 0x80
_CSR: Final = ("-----BEGIN CERTIFICATE REQUEST-----", "-----END CERTIFICATE REQUEST-----")
_ECDSA_SHA256: Final = bytes.fromhex("300a06082a8648ce3d040302")


class RefusedError(Exception):
    """There is no certificate for who asks, or for what was asked."""


class Field(NamedTuple):
    """A DER field: its tag, its content, and both with the length between them."""

    tag: int
    content: bytes
    whole: bytes


class Request(NamedTuple):
    """What a certificate takes from a CSR."""

    subject: bytes
    public_key: bytes
    """SubjectPublicKeyInfo."""


class Authority(NamedTuple):
    """What a certificate takes from its CA's."""

    subject: bytes
    public_key: bytes
    not_before: datetime
    not_after: datetime


class Holder(NamedTuple):
    """Who a device is, by a certificate that it has."""

    issuer: bytes
    subject: bytes
    arn: str


def handler(event: Mapping[str, Any], _context: object) -> dict[str, str]:
    """Return a certificate for the CSR in ``event``.

    Raises:
        RefusedError: neither a claim nor a device of this CA asks, or the CSR cannot be signed.
    """
    authority = read_authority(base64.b64decode(os.environ["CA_CERTIFICATE"]))
    try:
        request = read_csr(str(event.get("certificateSigningRequest", "")))
        _check_principal(event, request, authority)
    except RefusedError as refusal:
        LOG.warning("refused for client %r: %s", event.get("clientId"), refusal)
        raise
    life = timedelta(hours=int(os.environ["LIFE_HOURS"]))
    unsigned = certificate_to_sign(request, authority, datetime.now(UTC), life)
    signature = _sign(unsigned)
    certificate = der(SEQUENCE, unsigned, _ECDSA_SHA256, der(BIT_STRING, b"\0", signature))
    LOG.info("signed for client %r: %s", event.get("clientId"), _sha256(certificate).hex())
    return {"certificatePem": ssl.DER_cert_to_PEM_cert(certificate)}


def _check_principal(event: Mapping[str, Any], request: Request, authority: Authority) -> None:
    """Raise `RefusedError` unless who asks may have a certificate with the CSR's subject.

    A renewal takes one call of AWS IoT and a return takes three more: AWS IoT waits five seconds.
    """
    principal = str(event.get("principalId", ""))
    if principal and principal in os.environ["CLAIMS"].split(","):
        return
    iot = boto3.client("iot")
    held = _certificate_of(iot, principal)
    if held is not None and held.issuer == authority.subject:
        if held.subject != request.subject:
            raise RefusedError("the CSR has another subject than the certificate that it renews")
    elif held is not None and _is_birth_certificate(iot, held):
        _check_thing(iot, str(event.get("clientId", "")), request, authority)
    else:
        raise RefusedError(
            f"the principal {principal!r} is no claim of the station, and no device of its CA"
        )


def _is_birth_certificate(iot: Any, held: Holder) -> bool:
    attached = iot.list_attached_policies(target=held.arn)["policies"]
    return BIRTH_POLICY in {each["policyName"] for each in attached}


def _check_thing(iot: Any, client_id: str, request: Request, authority: Authority) -> None:
    """Refuse a CSR whose subject no certificate by this CA of the client's thing has.

    The birth certificate's policy ties the client id, and so the thing, to its own name. Whether
    the device may come back is decided later (``lambdas/recovery_hook.py``).
    """
    prefix, _, thing = client_id.partition("-")
    for former in _certificates_of(iot, thing) if prefix == "recover" else ():
        if (former.issuer, former.subject) == (authority.subject, request.subject):
            return
    raise RefusedError(f"{thing!r} has no certificate of this CA with the CSR's subject")


def _certificates_of(iot: Any, thing: str) -> Iterator[Holder]:
    try:
        principals = iot.list_thing_principals(thingName=thing)["principals"]
    except (iot.exceptions.ResourceNotFoundException, iot.exceptions.InvalidRequestException):
        return
    for arn in principals:
        certificate = _certificate_of(iot, arn.rpartition("/")[2])
        if certificate is not None:
            yield certificate


def _certificate_of(iot: Any, principal: str) -> Holder | None:
    """Return what a certificate says of its holder; None if there is no such one."""
    try:
        found = iot.describe_certificate(certificateId=principal)["certificateDescription"]
    except (iot.exceptions.ResourceNotFoundException, iot.exceptions.InvalidRequestException):
        return None
    (outer,) = fields(ssl.PEM_cert_to_DER_cert(found["certificatePem"]))
    _version, _serial, _algorithm, issuer, _life, subject = fields(
        fields(outer.content)[0].content
    )[:6]
    return Holder(issuer.whole, subject.whole, str(found["certificateArn"]))


def _sign(unsigned: bytes) -> bytes:
    answer = boto3.client("kms").sign(
        KeyId=os.environ["KMS_KEY"],
        Message=_sha256(unsigned),
        MessageType="DIGEST",
        SigningAlgorithm="ECDSA_SHA_256",
    )
    signature: bytes = answer["Signature"]
    return signature


# --- what is asked ------------------------------------------------------------------------


def read_csr(pem: str) -> Request:
    """Return what the CSR asks for, once it is clear that its key has signed it.

    Raises:
        RefusedError: it is no CSR, names nobody, or its key or signature cannot be accepted.
    """
    try:
        (outer,) = fields(_csr_der(pem))
        signed_part, algorithm, signature = fields(outer.content)
        _version, subject, public_key = fields(signed_part.content)[:3]
    except (ValueError, IndexError) as error:
        raise RefusedError(f"this is not a certificate signing request: {error}") from error
    if not subject.content:
        raise RefusedError("the CSR's subject is empty")
    try:
        is_own = is_signed_by(public_key, signed_part.whole, algorithm, signature.content[1:])
    except (ValueError, IndexError, KeyError) as error:
        raise RefusedError(f"the CSR's key or signature cannot be read: {error!r}") from error
    if not is_own:
        raise RefusedError("the CSR is not signed by its own key")
    return Request(subject.whole, public_key.whole)


def _csr_der(pem: str) -> bytes:
    head, tail = _CSR
    text = pem.strip()
    if not (text.startswith(head) and text.endswith(tail)):
        raise ValueError("not in PEM")
    return base64.b64decode("".join(text[len(head) : -len(tail)].split()), validate=True)


_RSA: Final = bytes.fromhex("06092a864886f70d010101")
_EC: Final = bytes.fromhex("06072a8648ce3d0201")
_HASHES: Final = {
    bytes.fromhex("06092a864886f70d01010b"): "sha256",
    bytes.fromhex("06092a864886f70d01010c"): "sha384",
    bytes.fromhex("06082a8648ce3d040302"): "sha256",
    bytes.fromhex("06082a8648ce3d040303"): "sha384",
}
"""By the object identifier of sha...WithRSAEncryption and ecdsa-with-SHA..."""
_DIGEST_INFO: Final = {
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
}
"""What comes before the hash in an RSA signature (RFC 8017, 9.2)."""


def is_signed_by(public_key: Field, message: bytes, algorithm: Field, signature: bytes) -> bool:
    """Tell whether ``signature`` is that of ``public_key`` over ``message``.

    Raises:
        RefusedError: the key is of a kind that AWS IoT or this function does not take.
        ValueError, IndexError, KeyError: something of it cannot be read.
    """
    kind, bits = fields(public_key.content)
    key, *parameters = fields(kind.content)
    name = _HASHES[fields(algorithm.content)[0].whole]
    if key.whole == _RSA:
        return _is_signed_by_rsa(bits.content[1:], name, message, signature)
    if key.whole == _EC and parameters and parameters[0].whole in _CURVES:
        digest = hashlib.new(name, message).digest()
        return _CURVES[parameters[0].whole].accepts(bits.content[1:], digest, signature)
    raise RefusedError("the CSR's key must be on P-256 or P-384, or RSA of 2048 bits and more")


def _is_signed_by_rsa(public_key: bytes, name: str, message: bytes, signature: bytes) -> bool:
    (pair,) = fields(public_key)
    modulus, exponent = (int.from_bytes(each.content, "big") for each in fields(pair.content))
    if modulus.bit_length() < SMALLEST_RSA:
        raise RefusedError(f"the CSR's RSA key has {modulus.bit_length()} bits")
    size = (modulus.bit_length() + 7) // 8
    info = _DIGEST_INFO[name] + hashlib.new(name, message).digest()
    expected = b"\0\1" + b"\xff" * (size - len(info) - 3) + b"\0" + info
    found = pow(int.from_bytes(signature, "big"), exponent, modulus)
    return len(signature) == size and found.to_bytes(size, "big") == expected


Point = tuple[int, int] | None
"""On a curve; None is the point at infinity."""


class Curve(NamedTuple):
    """A curve y² = x³ - 3x + b over a prime field (NIST SP 800-186, 3.2.1)."""

    prime: int
    b: int
    order: int
    base: tuple[int, int]

    def accepts(self, public_key: bytes, digest: bytes, signature: bytes) -> bool:
        """Tell whether the ECDSA signature is right (FIPS 186-5, 6.4.2); nothing here is secret."""
        (pair,) = fields(signature)
        r, s = (int.from_bytes(each.content, "big") for each in fields(pair.content))
        if not (0 < r < self.order and 0 < s < self.order):
            return False
        z = int.from_bytes(digest, "big") >> max(0, 8 * len(digest) - self.order.bit_length())
        w = pow(s, -1, self.order)
        of_base = self._times(z * w % self.order, self.base)
        found = self._sum(of_base, self._times(r * w % self.order, self._point(public_key)))
        return found is not None and found[0] % self.order == r

    def _point(self, encoded: bytes) -> tuple[int, int]:
        size = (self.prime.bit_length() + 7) // 8
        x = int.from_bytes(encoded[1 : 1 + size], "big")
        y = int.from_bytes(encoded[1 + size :], "big")
        is_on_it = (y * y - x * x * x + 3 * x - self.b) % self.prime == 0
        if encoded[0] != 4 or len(encoded) != 1 + 2 * size or not is_on_it:
            raise ValueError("the key is no point of its curve")
        return x, y

    def _sum(self, one: Point, other: Point) -> Point:
        if one is None or other is None:
            return other if one is None else one
        (x1, y1), (x2, y2) = one, other
        if x1 == x2 and (y1 + y2) % self.prime == 0:
            return None
        top, bottom = (3 * x1 * x1 - 3, 2 * y1) if one == other else (y2 - y1, x2 - x1)
        slope = top * pow(bottom, -1, self.prime) % self.prime
        x = (slope * slope - x1 - x2) % self.prime
        return x, (slope * (x1 - x) - y1) % self.prime

    def _times(self, factor: int, point: Point) -> Point:
        total: Point = None
        while factor:
            if factor & 1:
                total = self._sum(total, point)
            point, factor = self._sum(point, point), factor >> 1
        return total


_CURVES: Final = {
    bytes.fromhex("06082a8648ce3d030107"): Curve(  # P-256
        2**256 - 2**224 + 2**192 + 2**96 - 1,
        0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
        0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
        (
            0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
            0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
        ),
    ),
    bytes.fromhex("06052b81040022"): Curve(  # P-384
        2**384 - 2**128 - 2**96 + 2**32 - 1,
        int(
            "b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875a"
            "c656398d8a2ed19d2a85c8edd3ec2aef",
            16,
        ),
        int(
            "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf"
            "581a0db248b0a77aecec196accc52973",
            16,
        ),
        (
            int(
                "aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a38"
                "5502f25dbf55296c3a545e3872760ab7",
                16,
            ),
            int(
                "3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c0"
                "0a60b1ce1d7e819d7a431d7c90ea0e5f",
                16,
            ),
        ),
    ),
}
"""By the object identifier of the curve: those that a device of ours may have a key on."""


# --- what is signed -----------------------------------------------------------------------


def read_authority(certificate: bytes) -> Authority:
    """Return what is needed of the CA's certificate, which the station made."""
    (outer,) = fields(certificate)
    _version, _serial, _algorithm, _issuer, life, subject, key = fields(
        fields(outer.content)[0].content
    )[:7]
    begin, end = (_read_time(each) for each in fields(life.content))
    return Authority(subject.whole, key.whole, begin, end)


def certificate_to_sign(
    request: Request, authority: Authority, now: datetime, life: timedelta
) -> bytes:
    """Return a device certificate without its signature (TBSCertificate).

    It is not valid before or after its CA is.
    """
    begin = max(now - CLOCKS_APART, authority.not_before)
    end = min(now + life, authority.not_after)
    return der(
        SEQUENCE,
        bytes.fromhex("a003020102"),  # version 3
        der(INTEGER, b"\x40" + secrets.token_bytes(19)),
        _ECDSA_SHA256,
        authority.subject,
        der(SEQUENCE, _time(begin), _time(end)),
        request.subject,
        request.public_key,
        der(0xA3, der(SEQUENCE, *_extensions(request, authority))),
    )


def _extensions(request: Request, authority: Authority) -> list[bytes]:
    own, issuer = (
        der(OCTET_STRING, _key_id(key)) for key in (request.public_key, authority.public_key)
    )
    return [
        _extension("0603551d13", der(SEQUENCE), critical=True),  # basicConstraints: no CA
        _extension("0603551d0f", bytes.fromhex("03020780"), critical=True),  # digitalSignature
        _extension("0603551d25", bytes.fromhex("300a06082b06010505070302")),  # clientAuth
        _extension("0603551d0e", own),
        _extension("0603551d23", der(SEQUENCE, der(0x80, issuer[2:]))),
    ]


def _extension(identifier: str, value: bytes, *, critical: bool = False) -> bytes:
    is_critical = bytes.fromhex("0101ff") if critical else b""
    return der(SEQUENCE, bytes.fromhex(identifier), is_critical, der(OCTET_STRING, value))


def _key_id(public_key: bytes) -> bytes:
    """Return the SHA-1 of the key's bits, its usual identifier (RFC 5280, 4.2.1.2)."""
    (outer,) = fields(public_key)
    return hashlib.sha1(fields(outer.content)[1].content[1:], usedforsecurity=False).digest()


def _time(moment: datetime) -> bytes:
    if moment.year < 2050:
        return der(UTC_TIME, f"{moment:%y%m%d%H%M%SZ}".encode())
    return der(GENERALIZED_TIME, f"{moment:%Y%m%d%H%M%SZ}".encode())


def _read_time(field: Field) -> datetime:
    text = field.content.decode()
    if field.tag == UTC_TIME:  # two digits of a year from 1950 to 2049
        text = ("19" if text[0] >= "5" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


# --- DER ----------------------------------------------------------------------------------


def der(tag: int, *contents: bytes) -> bytes:
    """Return a DER field with ``contents`` in it (X.690, 8.1)."""
    content = b"".join(contents)
    length = len(content)
    if length < _LONG:
        return bytes([tag, length]) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, _LONG | len(size)]) + size + content


def fields(data: bytes) -> list[Field]:
    """Return the DER fields in ``data``.

    Raises:
        ValueError, IndexError: it ends within a field.
    """
    found = []
    while data:
        tag, length, start = data[0], data[1], 2
        if length & _LONG:
            start += length & ~_LONG
            length = int.from_bytes(data[2:start], "big")
        whole = data[: start + length]
        if len(whole) != start + length:
            raise ValueError("it ends within a field")
        found.append(Field(tag, whole[start:], whole))
        data = data[len(whole) :]
    return found
