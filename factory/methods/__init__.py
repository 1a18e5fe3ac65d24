"""The provisioning methods: what each needs in the cloud and in a new device.

One module a method. ``claim-aws-keys`` differs from ``claim`` in what the device asks for
after it has connected, so that cloud and device are prepared in the same way.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol, TypeAlias, runtime_checkable

from device.storage.device_storage import DeviceStorage
from factory.account.changes import Report
from factory.account.choices import Choices
from factory.account.cloud import Cloud
from factory.making.manufacture import DeviceOrder
from factory.methods import (
    bulk,
    claim,
    claim_own_ca,
    jitp,
    jitr,
    multi_account,
    single_thing,
    trusted_user,
)
from factory.station.station import Station


class Method(Protocol):
    """What a module in here offers."""

    def prepare(self, cloud: Cloud, station: Station, choices: Choices = ...) -> Report:
        """Make in the cloud what the method needs and is not there yet."""
        ...

    def teardown(self, cloud: Cloud, station: Station | None, *, devices: bool) -> Report:
        """Remove from the cloud what ``prepare`` made; ``devices``: and what it registered."""
        ...


class InstallingMethod(Method, Protocol):
    """A method that knows a device's credentials while it is made."""

    def install(
        self, cloud: Cloud, station: Station, storage: DeviceStorage, order: DeviceOrder
    ) -> None:
        """Put the method's credentials into a device that is being made."""
        ...


@runtime_checkable
class MakingMethod(Method, Protocol):
    """A method whose devices wait for AWS in the making, and are taken up again by the next run."""

    def make(self, cloud: Cloud, station_folder: Path, order: DeviceOrder, out: Path) -> None:
        """Make the device in ``out``, and have it registered."""
        ...


@runtime_checkable
class RegisteringMethod(InstallingMethod, Protocol):
    """A method for which the cloud must know of each device, after it is made."""

    def register(self, cloud: Cloud, storage: DeviceStorage, order: DeviceOrder) -> Report:
        """Tell the cloud of a finished device; a second time changes nothing."""
        ...


AnyMethod: TypeAlias = InstallingMethod | MakingMethod

METHODS: Final[Mapping[str, AnyMethod]] = {
    "claim": claim,
    "claim-aws-keys": claim,
    "claim-own-ca": claim_own_ca,
    "jitp": jitp,
    "jitr": jitr,
    "multi-account": multi_account,
    "bulk": bulk,
    "single-thing": single_thing,
    "trusted-user": trusted_user,
}
