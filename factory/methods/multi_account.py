"""Multi-account registration: one certificate, registered without its CA wherever it is wanted.

The device is the same everywhere and moves by its endpoint alone: AWS IoT chooses the account
by the name that the client dials (SNI). AWS IoT developer guide, "Multi-account registration".
"""

from datetime import UTC, datetime
from typing import Final

from device.identity.certificates import certificate_id
from device.storage.device_storage import DeviceStorage
from factory.account.certificates import (
    attached_certificates,
    describe_certificate,
    set_certificate_status,
)
from factory.account.changes import Change, Outcome, Report
from factory.account.choices import DEFAULT_CHOICES, Choices
from factory.account.cloud import Cloud, Response, names, text
from factory.account.registered_devices import (
    ATTRIBUTE,
    certificates_of_things,
    certificates_of_unknown_ca,
    remove_devices,
)
from factory.account.thing_policy import THING_POLICY, ensure_thing_policy, remove_thing_policy
from factory.errors import NotInCloudError
from factory.making.device_leaf import install_leaf, installed_leaf
from factory.making.manufacture import DeviceOrder
from factory.station.endpoint import find_endpoint
from factory.station.station import Station

METHOD: Final = "multi-account"
MARK: Final = "firstboot-multi-account"
_KIND: Final = "device certificate"


def prepare(
    cloud: Cloud,
    station: Station,
    choices: Choices = DEFAULT_CHOICES,  # noqa: ARG001 - there is nothing to choose
) -> Report:
    """Make the station's CA, which AWS is never told of, and the policy of the devices.

    Raises:
        CloudError: AWS did not answer, or said no.
    """
    changes = station.authorities.ensure(datetime.now(UTC), [METHOD])
    changes.append(ensure_thing_policy(cloud, METHOD))
    station.authorities.want_fields(METHOD, frozenset())
    return Report(tuple(changes))


def install(
    cloud: Cloud,  # noqa: ARG001 - the accounts learn of the device when it is finished
    station: Station,
    storage: DeviceStorage,
    order: DeviceOrder,
) -> None:
    """Make the device's key in the device, and give it a leaf that the issuing CA signs.

    Raises:
        StationNotPreparedError: ``prepare`` has not been run to its end.
    """
    install_leaf(station.authorities, METHOD, storage, order)


def register(cloud: Cloud, storage: DeviceStorage, order: DeviceOrder) -> Report:
    """Register a finished device in one account and Region; ACTIVE comes last.

    Raises:
        CloudError: AWS did not answer, or said no; a second run goes on from there.
    """
    leaf = installed_leaf(storage)
    changes = (
        ensure_thing_policy(cloud, METHOD),
        _ensure_thing(cloud, order.serial_number),
        _ensure_certificate(cloud, leaf, order.serial_number),
    )
    note = f"It is reached in {cloud.account} by --endpoint {find_endpoint(cloud)}"
    return Report(changes, (note,))


def teardown(
    cloud: Cloud,
    station: Station | None,  # noqa: ARG001 - the cloud tells all
    *,
    devices: bool,
) -> Report:
    """Remove the policy, and with ``devices`` what was registered in this account and Region.

    Raises:
        CloudError: AWS did not answer, or said no.
    """
    changes: list[Change] = []
    if devices:
        of_things = certificates_of_things(cloud, MARK)
        others = certificates_of_unknown_ca(cloud, THING_POLICY, MARK)
        changes += remove_devices(cloud, MARK, [*of_things, *others])
    changes.append(remove_thing_policy(cloud, METHOD))
    return Report(tuple(changes))


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
    if text(certificate, "certificateId") not in attached_certificates(cloud, THING_POLICY):
        cloud.call("iot", "AttachPolicy", policyName=THING_POLICY, target=arn)
        done.append("policy attached")
    pages = cloud.pages("iot", "ListPrincipalThings", principal=arn)
    if thing not in [each for page in pages for each in names(page, "things")]:
        cloud.call("iot", "AttachThingPrincipal", thingName=thing, principal=arn)
        done.append("thing attached")
    return done


def _find(cloud: Cloud, identifier: str) -> Response | None:
    try:
        return describe_certificate(cloud, identifier)
    except NotInCloudError:
        return None
