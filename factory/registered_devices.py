"""The devices that a template registered: their certificates and things, for ``--devices``."""

from collections.abc import Iterator

from factory.certificates import attached_certificates, delete_certificate, describe_certificate
from factory.changes import Change, Outcome
from factory.cloud import Cloud, items, names, text

ATTRIBUTE = "ProvisionedBy"
"""The thing attribute by which a template marks what it created (config/templates)."""


def remove_devices(cloud: Cloud, policy: str, template: str) -> Iterator[Change]:
    """Delete certificates that ``policy`` is attached to, then things that ``template`` made.

    A thing that was there before the template attached a certificate to it is kept, and so
    is one that another certificate is still attached to.

    Raises:
        CloudError: AWS did not answer, or said no.
    """
    for certificate_id in attached_certificates(cloud, policy):
        _detach_from_things(cloud, certificate_id)
        delete_certificate(cloud, certificate_id)
        yield Change("device certificate", certificate_id, Outcome.REMOVED)
    for thing in _things_of(cloud, template):
        yield _remove_thing(cloud, thing)


def _detach_from_things(cloud: Cloud, certificate_id: str) -> None:
    arn = text(describe_certificate(cloud, certificate_id), "certificateArn")
    for page in list(cloud.pages("iot", "ListPrincipalThings", principal=arn)):
        for thing in names(page, "things"):
            cloud.call("iot", "DetachThingPrincipal", thingName=thing, principal=arn)


def _things_of(cloud: Cloud, template: str) -> list[str]:
    pages = cloud.pages("iot", "ListThings", attributeName=ATTRIBUTE, attributeValue=template)
    return [text(thing, "thingName") for page in pages for thing in items(page, "things")]


def _remove_thing(cloud: Cloud, thing: str) -> Change:
    pages = cloud.pages("iot", "ListThingPrincipals", thingName=thing)
    if any(names(page, "principals") for page in pages):
        return Change("thing", thing, Outcome.KEPT, "another certificate is attached to it")
    cloud.call("iot", "DeleteThing", thingName=thing)
    return Change("thing", thing, Outcome.REMOVED)
