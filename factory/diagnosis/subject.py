"""What an account knows of one device, each part read when it is first needed.

Each right that is lacking ends the checks that need it, and no others.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from device.identity.certificates import certificate_id, is_issued_by
from factory.account.certificates import certificate_id_of
from factory.account.cloud import Cloud, Response, items, listed, names, structure, text
from factory.diagnosis.decision import Policy, Variables
from factory.errors import NotInCloudError
from factory.station.ledger import HOLDING, Entry

_SUBJECT: Final = {
    "commonname": NameOID.COMMON_NAME,
    "serialnumber": NameOID.SERIAL_NUMBER,
    "organization": NameOID.ORGANIZATION_NAME,
    "organizationalunit": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "country": NameOID.COUNTRY_NAME,
    "state": NameOID.STATE_OR_PROVINCE_NAME,
    "distinguishednamequalifier": NameOID.DN_QUALIFIER,
}
"""The fields of a subject that policies name (docs/aws-iot-facts.md, 6)."""


@dataclass(frozen=True)
class Asked:
    """Which device is meant, and what it does."""

    serial: str | None = None
    certificate_pem: bytes | None = None
    client_id: str | None = None
    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    endpoint: str | None = None
    """What the device dials, ``HOST`` or ``HOST:PORT``."""
    made: Entry | None = None
    """The last line about the device in the station's ledger, if there is one."""
    installed_pem: bytes | None = None
    """The certificate that the station put into the device, while AWS IoT does not know it."""

    @property
    def certificate_id(self) -> str | None:
        """The certificate that the station gave the device, while it has its serial number."""
        has_it = self.made is not None and self.made.result in HOLDING
        return self.made.certificate_id if has_it and self.made else None


class Subject:
    """One device in one account."""

    def __init__(self, cloud: Cloud, asked: Asked, now: datetime | None = None) -> None:
        """Read from ``cloud`` what is ``asked``; ``now`` is the time, where it is not this one."""
        self.cloud: Final = cloud
        self.asked: Final = asked
        self.now: Final = now or datetime.now(UTC)

    def read(self, service: str, operation: str, **parameters: str) -> Response | None:
        """Return the answer; None if AWS has no such resource.

        Raises:
            CloudError: the right is lacking, or AWS did not answer.
        """
        try:
            return self.cloud.call(service, operation, **parameters)
        except NotInCloudError:
            return None

    def listed(self, operation: str, key: str, **parameters: str) -> list[Response]:
        """Return every structure of a listing of AWS IoT; none if AWS has no such resource.

        Raises:
            CloudError: the right is lacking, or AWS did not answer.
        """
        try:
            return listed(self.cloud, "iot", operation, key, **parameters)
        except NotInCloudError:
            return []

    @cached_property
    def thing_name(self) -> str | None:
        """The thing: of the serial number, else the one that the certificate is attached to."""
        if self.asked.serial is not None:
            return self.asked.serial
        return next(iter(self.things), None)

    @cached_property
    def thing(self) -> Response | None:
        """The thing's description, if there is one."""
        name = self.thing_name
        return None if name is None else self.read("iot", "DescribeThing", thingName=name)

    @cached_property
    def certificates_of_thing(self) -> list[str]:
        """The ids of the certificates that are attached to the thing."""
        if self.thing is None or self.thing_name is None:
            return []
        answer = self.read("iot", "ListThingPrincipals", thingName=self.thing_name) or {}
        return [each for each in map(certificate_id_of, names(answer, "principals")) if each]

    @cached_property
    def certificate_id(self) -> str | None:
        """The certificate that the device uses: the given one, else the thing's, ACTIVE first."""
        if self.asked.certificate_pem is not None:
            return certificate_id(self.asked.certificate_pem)
        statuses = [(self._status(each) != "ACTIVE", each) for each in self.certificates_of_thing]
        return min(statuses)[1] if statuses else self.asked.certificate_id

    def _status(self, identifier: str) -> str:
        found = self.read("iot", "DescribeCertificate", certificateId=identifier) or {}
        return str(structure(found, "certificateDescription").get("status", ""))

    @cached_property
    def certificate(self) -> Response | None:
        """AWS's description of the certificate."""
        if self.certificate_id is None:
            return None
        found = self.read("iot", "DescribeCertificate", certificateId=self.certificate_id)
        return None if found is None else structure(found, "certificateDescription")

    @cached_property
    def parsed(self) -> x509.Certificate | None:
        """The certificate itself: from the file, else as AWS has it, else as it was installed."""
        pem = self.asked.certificate_pem
        if pem is None and self.certificate is not None:
            pem = text(self.certificate, "certificatePem").encode()
        pem = pem or self.asked.installed_pem
        return None if pem is None else x509.load_pem_x509_certificate(pem)

    @cached_property
    def things(self) -> Mapping[str, str]:
        """The things that the certificate is attached to, with the type of the attachment."""
        if self.certificate is None:
            return {}
        principal = text(self.certificate, "certificateArn")
        found = self.listed("ListPrincipalThingsV2", "principalThingObjects", principal=principal)
        return {text(each, "thingName"): str(each.get("thingPrincipalType", "")) for each in found}

    @cached_property
    def client_id(self) -> str | None:
        """The client id: as given, else the name of the thing, else the common name."""
        if self.asked.client_id or self.thing_name:
            return self.asked.client_id or self.thing_name
        subject = {} if self.parsed is None else _fields_of(self.parsed.subject)
        return subject.get("commonname")

    @cached_property
    def policies(self) -> list[Policy]:
        """The policies that count for the client: the certificate's and its thing groups'."""
        if self.certificate is None:
            return []
        principal = text(self.certificate, "certificateArn")
        whose = {"thingName": self.client_id} if self.client_id in self.things else {}
        parameters = {name: value for name, value in whose.items() if value}
        answer = self.read("iot", "GetEffectivePolicies", principal=principal, **parameters) or {}
        found = items(answer, "effectivePolicies")
        return [Policy(text(each, "policyName"), text(each, "policyDocument")) for each in found]

    @cached_property
    def variables(self) -> Variables:
        """What AWS IoT fills into policies for this client (docs/aws-iot-facts.md, 6)."""
        found: dict[str, str] = {}
        if self.client_id:
            found["iot:clientid"] = self.client_id
        if self.parsed is not None:
            fields = _fields_of(self.parsed.subject)
            found |= {f"iot:certificate.subject.{name}": value for name, value in fields.items()}
            found["iot:certificate.serialnumber"] = f"{self.parsed.serial_number:X}"
        name = self.thing_of_connection
        if name is not None:
            found["iot:connection.thing.thingname"] = name
            found["iot:connection.thing.isattached"] = "true"
            found |= self._of_thing(name)
        return found

    def _of_thing(self, name: str) -> dict[str, str]:
        thing = self.read("iot", "DescribeThing", thingName=name) or {}
        attributes = structure(thing, "attributes")
        found = {
            f"iot:connection.thing.attributes[{key.lower()}]": str(value)
            for key, value in attributes.items()
        }
        if kind := thing.get("thingTypeName"):
            found["iot:connection.thing.thingtypename"] = str(kind)
        return found

    @property
    def thing_of_connection(self) -> str | None:
        """The thing that a connection is of: named as the client id, or attached exclusively."""
        exclusive = [name for name, kind in self.things.items() if kind == "EXCLUSIVE_THING"]
        if exclusive:
            return exclusive[0]
        return self.client_id if self.client_id in self.things else None

    @cached_property
    def issuer_ca(self) -> Response | None:
        """The CA in the registry that signed the certificate, with its registrationConfig."""
        identifier = (self.certificate or {}).get("caCertificateId")
        if isinstance(identifier, str) and identifier:
            return self.read("iot", "DescribeCACertificate", certificateId=identifier)
        for each in self.listed("ListCACertificates", "certificates"):
            found = self.read(
                "iot", "DescribeCACertificate", certificateId=text(each, "certificateId")
            )
            if found is not None and self._has_signed(found):
                return found
        return None

    def _has_signed(self, ca: Response) -> bool:
        if self.parsed is None:
            return False
        pem = text(structure(ca, "certificateDescription"), "certificatePem")
        return is_issued_by(self.parsed, x509.load_pem_x509_certificate(pem.encode()))

    @property
    def is_by_aws(self) -> bool:
        """Whether AWS IoT itself issued the certificate (docs/aws-iot-facts.md, 2.3)."""
        return self.parsed is not None and "Amazon Web Services" in str(
            self.parsed.issuer.rfc4514_string()
        )


def _fields_of(subject: x509.Name) -> dict[str, str]:
    found = {}
    for name, oid in _SUBJECT.items():
        values = subject.get_attributes_for_oid(oid)
        if values:
            found[name] = str(values[0].value)
    return found


def parsed_document(document: object) -> Mapping[str, object]:
    """Return a JSON object that AWS keeps as text, such as a template; an empty one if not."""
    try:
        found = json.loads(document) if isinstance(document, str) else document
    except ValueError:
        return {}
    return found if isinstance(found, Mapping) else {}
