"""IoT policies see the variables of the certificate and of the thing.

``${iot:Certificate.Subject.Organization}`` and its kin, ``.Issuer.``, several values of one
attribute (``.1`` is the second), ``${iot:Connection.Thing.ThingTypeName}`` and
``${iot:Connection.Thing.Attributes[name]}``. A value that contains ``* $ + ? #`` or has more than
1024 characters is not substituted, so nothing matches (developer guide, "Thing policy variables"
and "X.509 certificate policy variables"; docs/aws-iot-facts.md, 6). MiniStack has the thing's
name, IsAttached, the client id and the subject's common name. ``.List`` and
AvailableKeys are not here. ``${iot:CertificateId}`` is. The form of
``${iot:Certificate.SerialNumber}`` is not published; here it is the number in decimal.
"""

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from localcloud.seam import Seam

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
_PROBE: Final = "${iot:Connection.Thing.Attributes[a]}"
_THING_NAME: Final = "iot:connection.thing.thingname"

Context = dict[str, str]
"""The variables by their names in lower case."""


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still does not recognise an attribute of a thing."""
    return iot["_POLICY_VARIABLE_RE"].search(_PROBE) is None


def close(iot: Seam) -> None:
    """Recognise every variable, and know the values of those named above."""
    context: Callable[[str, str, str, str], Context] = iot["_mqtt_policy_context"]

    def policy_context(account: str, region: str, certificate_id: str, client_id: str) -> Context:
        known = context(account, region, certificate_id, client_id)
        certificate = iot["_certificates"].get_scoped(account, region, certificate_id)
        thing = iot["_things"].get_scoped(account, region, known.get(_THING_NAME))
        more = [*_of_certificate(certificate), *_of_thing(thing)]
        return _substituted({**known, **{name.lower(): value for name, value in more}})

    iot["_mqtt_policy_context"] = policy_context
    iot["_POLICY_VARIABLE_RE"] = _VARIABLE


def _of_certificate(record: dict[str, Any] | None) -> Iterator[tuple[str, str]]:
    if record is not None:
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


def _of_thing(thing: dict[str, Any] | None) -> Iterator[tuple[str, str]]:
    if thing is None:
        return
    if thing.get("thingTypeName"):
        yield "iot:Connection.Thing.ThingTypeName", thing["thingTypeName"]
    for name, value in (thing.get("attributes") or {}).items():
        yield f"iot:Connection.Thing.Attributes[{name}]", value


def _substituted(context: Context) -> Context:
    return {
        name: value
        for name, value in context.items()
        if len(value) <= _LONGEST and not _NOT_SUBSTITUTED.search(value)
    }
