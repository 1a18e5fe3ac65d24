"""A CA of the station in AWS IoT's registry: registered, kept right, removed.

AWS IoT developer guide, "Manage your CA certificates"; API reference, RegisterCACertificate.
The id is known beforehand (the certificate's fingerprint), so a run whose answer was lost finds
what it registered.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from cryptography.hazmat.primitives.asymmetric import ec

from factory.account.changes import Change, Outcome
from factory.account.cloud import Cloud, Response, Value, items, structure, text
from factory.account.documents import same_document
from factory.account.propagation import with_new_role
from factory.account.tags import (
    check_owned,
    owned,
    station_tags,
    tags_of,
    users_in,
)
from factory.errors import REGISTERED_OTHERWISE, NotInCloudError

KIND: Final = "CA certificate"


class CertificateMode(StrEnum):
    """How a CA is registered (AWS IoT API reference, RegisterCACertificate)."""

    DEFAULT = "DEFAULT"
    """In one account of a Region, after proof that its key is ours."""
    SNI_ONLY = "SNI_ONLY"
    """In any number of accounts, without proof; devices must send SNI."""


class Authority(Protocol):
    """A certificate authority whose key is the station's."""

    @property
    def certificate_id(self) -> str:
        """The fingerprint, as AWS IoT names the CA."""
        ...

    @property
    def certificate_pem(self) -> bytes:
        """The CA's own certificate."""
        ...

    def issue_verification(
        self, registration_code: str, key: ec.EllipticCurvePublicKey, now: datetime
    ) -> str:
        """Return the certificate (PEM) that proves to AWS that this CA's key is ours."""
        ...


@dataclass(frozen=True)
class Registration:
    """How a CA is to be registered; ``config`` is AWS's registrationConfig, {} for none."""

    method: str
    mode: CertificateMode = CertificateMode.DEFAULT
    config: Mapping[str, str] = field(default_factory=dict)


def ensure_ca_certificate(
    cloud: Cloud, authority: Authority, wanted: Registration, now: datetime
) -> Change:
    """Leave ``authority`` registered, ACTIVE, with auto-registration on.

    Raises:
        NotMadeByStationError: the CA is registered, and not by the station.
        RegisteredOtherwiseError: in another mode, or with a template where none should be.
        CloudError: AWS did not answer, or said no.
    """
    certificate_id = authority.certificate_id
    found = _find(cloud, certificate_id)
    if found is None:
        with_new_role(lambda: _register(cloud, authority, wanted, now))
        return Change(KIND, certificate_id, Outcome.CREATED, wanted.mode)
    ca = structure(found, "certificateDescription")
    check_owned(KIND, certificate_id, tags_of(cloud, text(ca, "certificateArn")))
    repairs, words = _repairs(ca, structure(found, "registrationConfig"), wanted)
    if repairs:
        cloud.call("iot", "UpdateCACertificate", certificateId=certificate_id, **repairs)
    outcome = Outcome.UPDATED if repairs else Outcome.UNCHANGED
    return Change(KIND, certificate_id, outcome, "; ".join(words))


def registered_cas(cloud: Cloud, method: str) -> list[str]:
    """Return the ids of the CAs that a station registered for ``method``."""
    return [text(ca, "certificateId") for ca in _registered(cloud, method)]


def remove_ca_certificates(cloud: Cloud, method: str) -> Iterator[Change]:
    """Turn off and delete every CA that a station registered for ``method``.

    Devices whose certificates are registered keep working.

    Raises:
        CloudError: AWS did not answer, or said no.
    """
    found = _registered(cloud, method)
    for ca in found:
        identifier = text(ca, "certificateId")
        if ca["status"] == "ACTIVE":
            cloud.call("iot", "UpdateCACertificate", certificateId=identifier, newStatus="INACTIVE")
        cloud.call("iot", "DeleteCACertificate", certificateId=identifier)
        yield Change(KIND, identifier, Outcome.REMOVED)
    if not found:
        yield Change(KIND, f"for {method}", Outcome.ABSENT)


def _registered(cloud: Cloud, method: str) -> list[Response]:
    pages = cloud.pages("iot", "ListCACertificates")
    listed = [ca for page in pages for ca in items(page, "certificates")]
    tagged = [(ca, tags_of(cloud, text(ca, "certificateArn"))) for ca in listed]
    return [ca for ca, tags in tagged if owned(tags) and method in users_in(tags)]


def _find(cloud: Cloud, certificate_id: str) -> Response | None:
    try:
        return cloud.call("iot", "DescribeCACertificate", certificateId=certificate_id)
    except NotInCloudError:
        return None


def _register(cloud: Cloud, authority: Authority, wanted: Registration, now: datetime) -> Response:
    parameters: dict[str, Value] = {"tags": station_tags(wanted.method)}
    if wanted.config:
        parameters["registrationConfig"] = dict(wanted.config)
    if wanted.mode is CertificateMode.DEFAULT:
        parameters["verificationCertificate"] = _proof_of_possession(cloud, authority, now)
    return cloud.call(
        "iot", "RegisterCACertificate",
        caCertificate=authority.certificate_pem.decode(), certificateMode=wanted.mode,
        setAsActive=True, allowAutoRegistration=True, **parameters,
    )  # fmt: skip


def _proof_of_possession(cloud: Cloud, authority: Authority, now: datetime) -> str:
    code = text(cloud.call("iot", "GetRegistrationCode"), "registrationCode")
    key = ec.generate_private_key(ec.SECP256R1())  # for nothing but this one certificate
    return authority.issue_verification(code, key.public_key(), now)


def _repairs(
    ca: Response, config: Response, wanted: Registration
) -> tuple[dict[str, Value], list[str]]:
    """Return what UpdateCACertificate is to change, and that in words."""
    certificate_id = text(ca, "certificateId")
    mode = text(ca, "certificateMode")
    if mode != wanted.mode:
        raise REGISTERED_OTHERWISE.error(
            certificate_id=certificate_id, found=mode, wanted=wanted.mode, method=wanted.method
        )
    if config and not wanted.config:
        raise REGISTERED_OTHERWISE.error(
            certificate_id=certificate_id,
            found="with a template",
            wanted="without",
            method=wanted.method,
        )
    repairs: dict[str, Value] = {}
    words = []
    if ca["status"] != "ACTIVE":
        repairs["newStatus"] = "ACTIVE"
        words.append(f"it was {text(ca, 'status')}")
    if ca["autoRegistrationStatus"] != "ENABLE":
        repairs["newAutoRegistrationStatus"] = "ENABLE"
        words.append("its auto-registration was off")
    if not _same_config(config, wanted.config):
        repairs["registrationConfig"] = dict(wanted.config)
        words.append("it had another template or role")
    return repairs, words


def _same_config(found: Response, wanted: Mapping[str, str]) -> bool:
    (body, rest), (wanted_body, wanted_rest) = _split(found), _split(wanted)
    return rest == wanted_rest and same_document(body, wanted_body)


def _split(config: Mapping[str, Value]) -> tuple[str, Mapping[str, Value]]:
    body = text(config, "templateBody") if "templateBody" in config else "null"
    return body, {key: value for key, value in config.items() if key != "templateBody"}
