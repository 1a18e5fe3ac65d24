"""Single thing provisioning: the station registers one device while it makes it.

Either by one call, RegisterThing, with a template; or by hand, call by call. AWS IoT developer
guide, "Provisioning devices that have device certificates", "Single thing provisioning".
"""

import json
from enum import StrEnum
from pathlib import Path
from typing import Final

from factory.account.changes import Report
from factory.account.cloud import Cloud, text
from factory.account.documents import load_template
from factory.account.registration_failure import next_step_for
from factory.account.template_resources import ensure_named, remove_named
from factory.account.thing_policy import THING_POLICY, ensure_thing_policy, remove_thing_policy
from factory.errors import NOT_REGISTERED, CloudRejectedError
from factory.making.new_device import DeviceOrder
from factory.making.thing_registration import (
    SHARED,
    RegistryEntry,
    find_certificate,
    register_by_hand,
)
from factory.making.unfinished_device import UnfinishedDevice, unfinished_device
from factory.methods.method import DEFAULT_CHOICES, DEVICE, Choices, Method
from factory.station.station import Station

METHOD: Final = "single-thing"
TEMPLATE: Final = "firstboot-single-thing"
"""A template of this name is sent along with each call; AWS keeps none."""


class RegisteredBy(StrEnum):
    """How a single thing is registered."""

    REGISTER_THING = "register-thing"
    HAND = "hand"


class SingleThing(Method):
    """Registers one device by one call."""

    name = METHOD
    mark = TEMPLATE
    documents = ("templates/firstboot-single-thing", DEVICE)
    is_made_online = True

    def prepare(self, cloud: Cloud, station: Station, _: Choices = DEFAULT_CHOICES, /) -> Report:
        """Make the thing policy, and what the template names; the caller's own rights do the rest.

        Raises:
            StationError: the cloud or the station is not as it must be.
        """
        station.check_account(cloud.account)
        named = ensure_named(cloud, load_template(TEMPLATE), METHOD)
        return Report((ensure_thing_policy(cloud, METHOD), *named))

    def make(self, cloud: Cloud, _: Path, order: DeviceOrder, out: Path, /) -> None:
        """Make and register a device by RegisterThing; see ``make_registered``."""
        make_registered(cloud, order, out, RegisteredBy.REGISTER_THING)

    def teardown(self, cloud: Cloud, _: Station | None, /, *, devices: bool) -> Report:
        """Remove what ``prepare`` made, and with ``devices`` what was registered."""
        changes = self.remove_devices(cloud) if devices else []
        changes += remove_named(cloud, load_template(TEMPLATE), METHOD)
        changes.append(remove_thing_policy(cloud, METHOD))
        return Report(tuple(changes))


def make_registered(
    cloud: Cloud, order: DeviceOrder, out: Path, by: RegisteredBy, *, exclusive: bool = True
) -> str:
    """Make the device of ``order`` in ``out``, have it registered, return its certificate id.

    A run that was stopped anywhere is completed by the next one, with the same key and no
    second certificate. ``exclusive``: the certificate can belong to no other thing.

    Raises:
        StorageExistsError: a finished device is there already.
        ThingTakenError: the thing is there, with another device's certificate.
        NotRegisteredError: AWS refused; the device stays unfinished.
        CertificateUnacceptableError: AWS answered with a certificate of another device.
        CloudError: AWS did not answer, or said no.
    """
    with unfinished_device(order, out) as device:
        try:
            return device.finish(_register(cloud, device, by, exclusive=exclusive))
        except CloudRejectedError as error:
            reason = str(error)
            raise NOT_REGISTERED.error(
                reason, serial_number=device.serial_number, next_step=next_step_for(reason, METHOD)
            ) from error


def _register(
    cloud: Cloud, device: UnfinishedDevice, by: RegisteredBy, *, exclusive: bool
) -> bytes:
    entry = RegistryEntry(device.serial_number, THING_POLICY, TEMPLATE, exclusive)
    found = find_certificate(cloud, entry, device)
    if found is None and by is RegisteredBy.REGISTER_THING:
        return _by_template(cloud, device, exclusive=exclusive)
    return register_by_hand(cloud, entry, device, found)


def _by_template(cloud: Cloud, device: UnfinishedDevice, *, exclusive: bool) -> bytes:
    template = json.loads(load_template(TEMPLATE))
    if not exclusive:
        template["Resources"]["certificate"]["Properties"]["ThingPrincipalType"] = SHARED
    registered = cloud.call(
        "iot", "RegisterThing", templateBody=json.dumps(template),
        parameters={"SerialNumber": device.serial_number, "CSR": device.csr()},
    )  # fmt: skip
    return text(registered, "certificatePem").encode()
