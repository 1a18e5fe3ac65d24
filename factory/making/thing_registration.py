"""One device in AWS's registry: found again by its key, or registered, never twice.

Each step can be the last before a power cut. The next run looks for a certificate that AWS
issued for this device's key before it asks for one, and completes what is around it.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from cryptography import x509

from device.storage.keys import PublicKey
from factory.account.certificates import (
    certificate_id_of,
    certificates_since,
    describe_certificate,
    policies_of,
    set_certificate_status,
)
from factory.account.cloud import Cloud, Response, items, text
from factory.account.registered_devices import ATTRIBUTE, principals_of
from factory.errors import THING_TAKEN, NotInCloudError
from factory.making.unfinished_device import UnfinishedDevice

EXCLUSIVE: Final = "EXCLUSIVE_THING"
SHARED: Final = "NON_EXCLUSIVE_THING"
_CLOCKS_APART: Final = timedelta(minutes=15)
"""How far AWS's clock and ours may differ; more, and it refuses our signatures."""


@dataclass(frozen=True)
class RegistryEntry:
    """What the registry is to hold around a device's certificate."""

    thing_name: str
    policy: str
    made_by: str
    """The mark on a thing that the station creates."""
    exclusive: bool = True
    """The certificate may belong to no other thing (thingPrincipalType EXCLUSIVE_THING)."""


def find_certificate(
    cloud: Cloud, entry: RegistryEntry, device: UnfinishedDevice
) -> Response | None:
    """Return the certificate that AWS has for this device's key, if any.

    Raises:
        ThingTakenError: the thing is there, with the certificate of another device.
        CloudError: AWS did not answer, or said no.
    """
    principals = principals_of(cloud, entry.thing_name)
    attached = [describe_certificate(cloud, certificate_id_of(each)) for each in principals]
    for certificate in attached:
        if _is_for(device.public_key, certificate):
            return certificate
    if attached:
        short = [f"{text(each, 'certificateId')[:12]}..." for each in attached]
        raise THING_TAKEN.error(thing_name=entry.thing_name, certificates=", ".join(short))
    if device.is_new:
        return None
    for certificate_id in certificates_since(cloud, device.made_at - _CLOCKS_APART):
        certificate = describe_certificate(cloud, certificate_id)
        if _is_for(device.public_key, certificate):
            return certificate
    return None


def register_by_hand(
    cloud: Cloud, entry: RegistryEntry, device: UnfinishedDevice, found: Response | None
) -> bytes:
    """Make what is missing around ``found``, or around a new certificate; return it (PEM).

    The order is that of CreateThing, CreateCertificateFromCsr, AttachPolicy,
    AttachThingPrincipal; the certificate is activated last, when all is in place.

    Raises:
        CloudError: AWS did not answer, or said no; the next run continues from there.
    """
    _ensure_thing(cloud, entry)
    certificate = found or _issue(cloud, device)
    arn = text(certificate, "certificateArn")
    if entry.policy not in policies_of(cloud, arn):
        cloud.call("iot", "AttachPolicy", policyName=entry.policy, target=arn)
    _attach(cloud, entry, arn)
    if certificate["status"] != "ACTIVE":
        set_certificate_status(cloud, text(certificate, "certificateId"), "ACTIVE")
    return text(certificate, "certificatePem").encode()


def _ensure_thing(cloud: Cloud, entry: RegistryEntry) -> None:
    try:
        cloud.call("iot", "DescribeThing", thingName=entry.thing_name)
    except NotInCloudError:
        attributes = {"attributes": {ATTRIBUTE: entry.made_by}}
        cloud.call("iot", "CreateThing", thingName=entry.thing_name, attributePayload=attributes)


def _issue(cloud: Cloud, device: UnfinishedDevice) -> Response:
    issued = cloud.call(
        "iot", "CreateCertificateFromCsr",
        certificateSigningRequest=device.csr(), setAsActive=False,
    )  # fmt: skip
    return describe_certificate(cloud, text(issued, "certificateId"))


def _attach(cloud: Cloud, entry: RegistryEntry, arn: str) -> None:
    """Attach the certificate to the thing as wanted; attaching again changes the type."""
    wanted = EXCLUSIVE if entry.exclusive else SHARED
    if _attachments(cloud, entry.thing_name).get(arn) != wanted:
        cloud.call(
            "iot", "AttachThingPrincipal",
            thingName=entry.thing_name, principal=arn, thingPrincipalType=wanted,
        )  # fmt: skip


def _attachments(cloud: Cloud, thing_name: str) -> dict[str, str]:
    pages = cloud.pages("iot", "ListThingPrincipalsV2", thingName=thing_name)
    listed = [each for page in pages for each in items(page, "thingPrincipalObjects")]
    return {text(each, "principal"): text(each, "thingPrincipalType") for each in listed}


def _is_for(key: PublicKey, certificate: Response) -> bool:
    pem = text(certificate, "certificatePem").encode()
    return x509.load_pem_x509_certificate(pem).public_key() == key
