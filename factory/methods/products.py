"""What a station answers: a device that is made, and one that is retired."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from factory.account.changes import Report
from factory.account.cloud import Account
from factory.making.retirement import Retired
from factory.methods.production import Product


@dataclass(frozen=True)
class MadeDevice:
    """A finished device, lifecycle SECURED."""

    method: str
    serial: str
    state: Path
    """The device's folder, which holds all of it."""
    device_id: str
    endpoint: str
    certificate_id: str | None
    """Of the certificate that the station gave it; a device by claim gets its own at its boot."""
    settings_file: Path
    """The settings to boot it with."""
    is_new: bool = True
    registered: Sequence[tuple[Account, Report]] = ()
    """What each account was told of it, where its method wants that."""
    retired: Sequence[str] = ()
    """What became of the device that it replaces, and what is to be done about it."""

    def as_fields(self) -> dict[str, object]:
        """Return it as ``factory make --json`` prints it."""
        fields: dict[str, object] = {
            "method": self.method, "serial": self.serial, "device_id": self.device_id,
            "state": str(self.state), "endpoint": self.endpoint, "lifecycle": "SECURED",
        }  # fmt: skip
        if self.registered:
            fields["registered"] = [report.as_fields(each) for each, report in self.registered]
        if self.retired:
            fields["retired"] = list(self.retired)
        return fields


@dataclass(frozen=True)
class RetiredDevice:
    """A device whose certificates are off and detached."""

    serial: str
    device_id: str
    thing: str
    accounts: Sequence[Retired]
    """What became of it in each account."""

    def as_fields(self) -> dict[str, object]:
        """Return it as ``factory retire --json`` prints it."""
        return {
            "serial": self.serial, "device_id": self.device_id, "thing": self.thing,
            "result": "retired", "accounts": [each.as_fields() for each in self.accounts],
        }  # fmt: skip


def made_device(method: str, product: Product, out: Path, settings_file: Path) -> MadeDevice:
    """Return what a program is told of a finished device."""
    order = product.order
    return MadeDevice(
        method, order.serial_number, out, order.device_id, order.endpoint,
        product.certificate_id, settings_file, product.is_new, product.registered,
        product.retired,
    )  # fmt: skip
