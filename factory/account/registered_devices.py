"""The devices that a method registered: their certificates and things, for ``--devices``."""

from collections.abc import Iterable, Iterator

from factory.account.ca_certificates import registered_cas
from factory.account.certificates import (
    attached_certificates,
    certificate_id_of,
    delete_certificate,
    describe_certificate,
)
from factory.account.changes import Change, Outcome
from factory.account.cloud import Cloud, items, names, structure, text
from factory.errors import NotInCloudError

ATTRIBUTE = "ProvisionedBy"
"""The thing attribute by which a method marks what it created (config/templates)."""


def certificates_issued_by_aws(cloud: Cloud, policy: str, made_by: str) -> list[str]:
    """Return the certificates under ``policy`` that AWS issued to devices of ``made_by``.

    A certificate whose thing was there before, and so is not marked by any method, counts too.
    """
    return _without_ca(cloud, policy, made_by, "DEFAULT")


def certificates_of_unknown_ca(cloud: Cloud, policy: str, made_by: str) -> list[str]:
    """Return the certificates under ``policy`` that were registered without their CA.

    A certificate whose thing was there before, and so is not marked by any method, counts too.
    """
    return _without_ca(cloud, policy, made_by, "SNI_ONLY")


def _without_ca(cloud: Cloud, policy: str, made_by: str, mode: str) -> list[str]:
    described = (describe_certificate(cloud, each) for each in attached_certificates(cloud, policy))
    candidates = [
        text(certificate, "certificateId")
        for certificate in described
        if not certificate.get("caCertificateId") and certificate["certificateMode"] == mode
    ]
    return [each for each in candidates if _marks(cloud, each) <= {made_by}]


def certificates_of_method(cloud: Cloud, method: str, made_by: str) -> list[str]:
    """Return the certificates that the CAs of ``method`` signed, whatever became of them.

    When the CAs are gone already, those attached to things that ``made_by`` created.
    """
    by_ca = [each for ca in registered_cas(cloud, method) for each in _signed_by(cloud, ca)]
    return [*by_ca, *certificates_of_things(cloud, made_by)]


def certificates_of_things(cloud: Cloud, made_by: str) -> list[str]:
    """Return the certificates attached to things that ``made_by`` created."""
    return [
        certificate_id_of(principal)
        for thing in things_of(cloud, made_by)
        for principal in principals_of(cloud, thing)
    ]


def things_of(cloud: Cloud, made_by: str) -> list[str]:
    """Return the names of the things that ``made_by`` created."""
    pages = cloud.pages("iot", "ListThings", attributeName=ATTRIBUTE, attributeValue=made_by)
    return [text(thing, "thingName") for page in pages for thing in items(page, "things")]


def remove_devices(cloud: Cloud, made_by: str, certificates: Iterable[str]) -> Iterator[Change]:
    """Delete ``certificates``, then the things that ``made_by`` created.

    A thing that was there before a certificate was attached to it is kept, and so is one that
    another certificate is still attached to.

    Raises:
        CloudError: AWS did not answer, or said no.
    """
    yield from _remove_certificates(cloud, certificates)
    for thing in things_of(cloud, made_by):
        yield remove_thing(cloud, thing)


def remove_never_let_in(cloud: Cloud, method: str) -> Iterator[Change]:
    """Delete the certificates that a CA of ``method`` signed, and that were never activated.

    AWS IoT registered each at its first connection; without its CA none can become a device.

    Raises:
        CloudError: AWS did not answer, or said no.
    """
    by_ca = [each for ca in registered_cas(cloud, method) for each in _signed_by(cloud, ca)]
    yield from _remove_certificates(cloud, [each for each in by_ca if _is_unused(cloud, each)])


def _is_unused(cloud: Cloud, certificate_id: str) -> bool:
    is_active = describe_certificate(cloud, certificate_id)["status"] == "ACTIVE"
    return not is_active and not things_with(cloud, certificate_id)


def _remove_certificates(cloud: Cloud, certificates: Iterable[str]) -> Iterator[Change]:
    for certificate_id in dict.fromkeys(certificates):
        detach_from_things(cloud, certificate_id)
        delete_certificate(cloud, certificate_id)
        yield Change("device certificate", certificate_id, Outcome.REMOVED)


def _signed_by(cloud: Cloud, ca_certificate_id: str) -> list[str]:
    pages = cloud.pages("iot", "ListCertificatesByCA", caCertificateId=ca_certificate_id)
    return [text(each, "certificateId") for page in pages for each in items(page, "certificates")]


def _marks(cloud: Cloud, certificate_id: str) -> set[str]:
    """Return which methods created the things that a certificate is attached to."""
    marks = set()
    for thing in things_with(cloud, certificate_id):
        attributes = structure(cloud.call("iot", "DescribeThing", thingName=thing), "attributes")
        if ATTRIBUTE in attributes:
            marks.add(text(attributes, ATTRIBUTE))
    return marks


def detach_from_things(cloud: Cloud, certificate_id: str) -> None:
    """Detach a certificate from every thing that it is attached to."""
    arn = text(describe_certificate(cloud, certificate_id), "certificateArn")
    for thing in things_with(cloud, certificate_id):
        cloud.call("iot", "DetachThingPrincipal", thingName=thing, principal=arn)


def things_with(cloud: Cloud, certificate_id: str) -> list[str]:
    """Return the names of the things that a certificate is attached to."""
    arn = text(describe_certificate(cloud, certificate_id), "certificateArn")
    pages = cloud.pages("iot", "ListPrincipalThings", principal=arn)
    return [thing for page in pages for thing in names(page, "things")]


def principals_of(cloud: Cloud, thing: str) -> list[str]:
    """Return the ARNs of what is attached to a thing; none if there is no such thing."""
    try:
        pages = list(cloud.pages("iot", "ListThingPrincipals", thingName=thing))
    except NotInCloudError:
        return []
    return [principal for page in pages for principal in names(page, "principals")]


def remove_thing(cloud: Cloud, thing: str) -> Change:
    """Delete a thing that nothing is attached to any more.

    Raises:
        CloudError: AWS did not answer, or said no.
    """
    if principals_of(cloud, thing):
        return Change("thing", thing, Outcome.KEPT, "another certificate is attached to it")
    cloud.call("iot", "DeleteThing", thingName=thing)
    return Change("thing", thing, Outcome.REMOVED)
