"""The variables that a policy may name: of the connection, the certificate and the thing.

``${iot:ClientId}``, ``${iot:Certificate.Subject.Organization}`` and its kin, ``.Issuer.``, several
values of one attribute (``.1`` is the second), ``${iot:Connection.Thing.ThingTypeName}`` and
``${iot:Connection.Thing.Attributes[name]}``. A value that contains ``* $ + ? #`` or has more than
1024 characters is not substituted, so nothing matches (developer guide, "Thing policy variables"
and "X.509 certificate policy variables"; docs/aws-iot-facts.md, 6). ``.List`` and
AvailableKeys are not here. ``${iot:CertificateId}`` is. The form of
``${iot:Certificate.SerialNumber}`` is not published; here it is the number in decimal.
"""

import functools
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from cryptography import x509
from cryptography.x509.oid import NameOID

_ATTRIBUTES: Final = {
    "DistinguishedNameQualifier": NameOID.DN_QUALIFIER,
    "Country": NameOID.COUNTRY_NAME,
    "Organization": NameOID.ORGANIZATION_NAME,
    "OrganizationalUnit": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "State": NameOID.STATE_OR_PROVINCE_NAME,
    "CommonName": NameOID.COMMON_NAME,
    "SerialNumber": NameOID.SERIAL_NUMBER,
    "Title": NameOID.TITLE,
    "Surname": NameOID.SURNAME,
    "GivenName": NameOID.GIVEN_NAME,
    "Initials": NameOID.INITIALS,
    "Pseudonym": NameOID.PSEUDONYM,
    "GenerationQualifier": NameOID.GENERATION_QUALIFIER,
}
_NAME_EXTENSIONS: Final[Mapping[str, Any]] = {
    "Subject": x509.SubjectAlternativeName,
    "Issuer": x509.IssuerAlternativeName,
}
_NAME_KINDS: Final[Mapping[type, str]] = {
    x509.RFC822Name: "RFC822Name",
    x509.DNSName: "DNSName",
    x509.DirectoryName: "DirectoryName",
    x509.UniformResourceIdentifier: "UniformResourceIdentifier",
    x509.IPAddress: "IPAddress",
}
_VARIABLE: Final = re.compile(r"\$\{(iot:[^${}]+)\}")
_NOT_SUBSTITUTED: Final = re.compile(r"[*$+?#]")
_LONGEST: Final = 1024

Context = Mapping[str, str]
"""The policy variables of a connection, by their names in lower case."""


def variables_of(
    client_id: str, certificate: Mapping[str, Any], thing: Mapping[str, Any] | None
) -> Context:
    """Return the variables of a connection; ``thing`` is the one that its certificate is of."""
    known = {
        "iot:ClientId": client_id,
        "iot:Connection.Thing.IsAttached": str(thing is not None).lower(),
        **dict(_of_certificate(certificate)),
        **dict(_of_thing(thing)),
    }
    return {name.lower(): value for name, value in known.items() if _is_substituted(value)}


def filled(document: str, context: Mapping[str, str]) -> str:
    """Return the text of a policy with the variables that are known in their places."""

    def value(found: re.Match[str]) -> str:
        known = context.get(found[1].lower())
        return found[0] if known is None else json.dumps(known)[1:-1]

    return _VARIABLE.sub(value, document)


def _of_certificate(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if record:
        yield "iot:CertificateId", record["certificateId"]
        yield from _of_pem(record["certificatePem"])


@functools.lru_cache(maxsize=1024)
def _of_pem(pem: str) -> tuple[tuple[str, str], ...]:
    return tuple(_read(x509.load_pem_x509_certificate(pem.encode())))


def _read(certificate: x509.Certificate) -> Iterator[tuple[str, str]]:
    yield "iot:Certificate.SerialNumber", str(certificate.serial_number)
    yield from _alternative_names(certificate)
    for part, name in (("Subject", certificate.subject), ("Issuer", certificate.issuer)):
        for attribute, oid in _ATTRIBUTES.items():
            for index, found in enumerate(name.get_attributes_for_oid(oid)):
                suffix = f".{index}" if index else ""
                yield f"iot:Certificate.{part}.{attribute}{suffix}", str(found.value)


def _alternative_names(certificate: x509.Certificate) -> Iterator[tuple[str, str]]:
    for part, kind in _NAME_EXTENSIONS.items():
        try:
            names = certificate.extensions.get_extension_for_class(kind).value
        except (x509.ExtensionNotFound, ValueError):
            continue
        seen: Counter[str] = Counter()
        for name in names:
            label = _NAME_KINDS.get(type(name))
            if label:
                suffix = f".{seen[label]}" if seen[label] else ""
                seen[label] += 1
                yield f"iot:Certificate.{part}.AlternativeName.{label}{suffix}", _name_text(name)


def _name_text(name: x509.GeneralName) -> str:
    value = name.value
    return value.rfc4514_string() if isinstance(value, x509.Name) else str(value)


def _of_thing(thing: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    if thing is None:
        return
    yield "iot:Connection.Thing.ThingName", thing["thingName"]
    if thing.get("thingTypeName"):
        yield "iot:Connection.Thing.ThingTypeName", thing["thingTypeName"]
    for name, value in (thing.get("attributes") or {}).items():
        yield f"iot:Connection.Thing.Attributes[{name}]", value


def _is_substituted(value: str) -> bool:
    return len(value) <= _LONGEST and not _NOT_SUBSTITUTED.search(value)
