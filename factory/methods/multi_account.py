"""Multi-account registration: one certificate, registered without its CA wherever it is wanted.

The device is the same everywhere and moves by its endpoint alone: AWS IoT chooses the account
by the name that the client dials (SNI). AWS IoT developer guide, "Multi-account registration".
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from device.identity.certificates import certificate_id
from device.storage.device_storage import DeviceStorage
from factory.account.certificates import (
    describe_certificate,
    policies_of,
    set_certificate_status,
)
from factory.account.changes import Change, Outcome, Report
from factory.account.cloud import Cloud, Response, names, text
from factory.account.registered_devices import (
    ATTRIBUTE,
    certificates_of_things,
    certificates_of_unknown_ca,
)
from factory.account.thing_policy import THING_POLICY, ensure_thing_policy, remove_thing_policy
from factory.errors import NotInCloudError
from factory.making.device_leaf import installed_leaf
from factory.making.new_device import DeviceOrder
from factory.making.thing_registration import EXCLUSIVE
from factory.methods.leaf_method import LeafMethod
from factory.methods.method import DEFAULT_CHOICES, DEVICE, Choices
from factory.station.endpoint import find_endpoint
from factory.station.station import Station

METHOD: Final = "multi-account"
MARK: Final = "firstboot-multi-account"
_KIND: Final = "device certificate"


class MultiAccount(LeafMethod):
    """Registers each certificate without its CA, in any number of accounts."""

    name = METHOD
    mark = MARK
    documents = (DEVICE,)
    is_registering = True
    is_for_any_account = True

    def prepare(self, cloud: Cloud, station: Station, _: Choices = DEFAULT_CHOICES, /) -> Report:
        """Make the station's CA, which AWS is never told of, and the policy of the devices.

        Raises:
            CloudError: AWS did not answer, or said no.
        """
        changes = station.authorities.ensure(datetime.now(UTC), [METHOD])
        changes.append(ensure_thing_policy(cloud, METHOD))
        station.authorities.want_fields(METHOD, frozenset())
        return Report(tuple(changes))

    def register(self, cloud: Cloud, storage: DeviceStorage, order: DeviceOrder, /) -> Report:
        """Register a finished device in one account and Region; ACTIVE comes last.

        Raises:
            CloudError: AWS did not answer, or said no; a second run continues from there.
        """
        leaf = installed_leaf(storage)
        changes = (
            ensure_thing_policy(cloud, METHOD),
            _ensure_thing(cloud, order.serial_number),
            _ensure_certificate(cloud, leaf, order.serial_number),
        )
        note = f"It is reached in {cloud.account} by --endpoint {find_endpoint(cloud)}"
        return Report(changes, (note,))

    def teardown(self, cloud: Cloud, _: Station | None, /, *, devices: bool) -> Report:
        """Remove the policy, and with ``devices`` what was registered in this account and Region.

        Raises:
            CloudError: AWS did not answer, or said no.
        """
        changes = self.remove_devices(cloud) if devices else []
        changes.append(remove_thing_policy(cloud, METHOD))
        return Report(tuple(changes))

    def certificates(self, cloud: Cloud) -> Iterable[str]:
        """Return those of the method's things, and those whose thing was there before."""
        of_things = certificates_of_things(cloud, MARK)
        return [*of_things, *certificates_of_unknown_ca(cloud, THING_POLICY, MARK)]


def _ensure_thing(cloud: Cloud, name: str) -> Change:
    try:
        cloud.call("iot", "DescribeThing", thingName=name)
    except NotInCloudError:
        cloud.call(
            "iot", "CreateThing", thingName=name,
            attributePayload={"attributes": {ATTRIBUTE: MARK}},
        )  # fmt: skip
        return Change("thing", name, Outcome.CREATED)
    return Change("thing", name, Outcome.UNCHANGED)


def _ensure_certificate(cloud: Cloud, leaf: bytes, thing: str) -> Change:
    identifier = certificate_id(leaf)
    found = _find(cloud, identifier)
    if found is None:
        cloud.call(
            "iot", "RegisterCertificateWithoutCA", certificatePem=leaf.decode(), status="INACTIVE"
        )
    certificate = found or describe_certificate(cloud, identifier)
    done = _attach(cloud, certificate, thing)
    if certificate["status"] != "ACTIVE":
        set_certificate_status(cloud, identifier, "ACTIVE")
        done.append("activated")
    if found is None:
        return Change(_KIND, identifier, Outcome.CREATED)
    return Change(
        _KIND, identifier, Outcome.UPDATED if done else Outcome.UNCHANGED, ", ".join(done)
    )


def _attach(cloud: Cloud, certificate: Response, thing: str) -> list[str]:
    arn, done = text(certificate, "certificateArn"), []
    if THING_POLICY not in policies_of(cloud, arn):
        cloud.call("iot", "AttachPolicy", policyName=THING_POLICY, target=arn)
        done.append("policy attached")
    pages = cloud.pages("iot", "ListPrincipalThings", principal=arn)
    if thing not in [each for page in pages for each in names(page, "things")]:
        cloud.call(
            "iot", "AttachThingPrincipal",
            thingName=thing, principal=arn, thingPrincipalType=EXCLUSIVE,
        )  # fmt: skip
        done.append("thing attached")
    return done


def _find(cloud: Cloud, identifier: str) -> Response | None:
    try:
        return describe_certificate(cloud, identifier)
    except NotInCloudError:
        return None
