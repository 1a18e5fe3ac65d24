"""What a provisioning method does at the station, with defaults for what many methods do not do."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from device.storage.device_storage import DeviceStorage
from factory.account.ca_certificates import CertificateMode
from factory.account.changes import Change, Report
from factory.account.cloud import Cloud
from factory.account.documents import CONFIG
from factory.account.registered_devices import certificates_issued_by_aws, remove_devices
from factory.account.thing_policy import THING_POLICY
from factory.making.new_device import DeviceOrder
from factory.station.station import Station


@dataclass(frozen=True)
class Choices:
    """What ``factory prepare`` was asked for; each method heeds what concerns it."""

    certificate_mode: CertificateMode = CertificateMode.DEFAULT
    inline_template: bool = False
    """Give the CA the template itself, not its name."""
    hook: bool = False
    """Check serial number and proof of each device before it is provisioned."""
    renewal: bool = False
    """Also make what devices need to renew their certificates."""
    recovery_days: int | None = None
    """Also make what devices need to come back so many days after their certificate's end."""
    certificate_hours: int | None = None
    """How long a certificate of the station's own CA lives; None: as before, or a week."""


DEFAULT_CHOICES = Choices()

DEVICE: Final = "policies/firstboot-device"
PROVISIONING: Final = "policies/firstboot-provisioning"
"""Documents that several methods send."""


class Method:
    """One method; ``factory.methods.METHODS`` has an object for each.

    The order is: ``prepare`` once an account; for each device ``install``, then ``register``
    (or ``make`` instead of both); ``teardown`` at the end. Each can be run again, and continues
    where a run that was stopped left off. What a method does not override does nothing.
    """

    name: ClassVar[str]
    mark: ClassVar[str]
    """The value of ``ProvisionedBy`` at the things that the method registers."""
    documents: ClassVar[tuple[str, ...]]
    """The files in ``config/`` that ``prepare`` sends to AWS, without their ending."""
    options: ClassVar[frozenset[str]] = frozenset()
    """The options of ``factory prepare`` that it heeds."""
    is_made_online: ClassVar[bool] = False
    """Whether ``make`` is used: AWS has to answer before a device is finished."""
    is_registering: ClassVar[bool] = False
    """Whether ``register`` tells the cloud of each device, in one account or several."""
    is_for_any_account: ClassVar[bool] = False
    """Whether a device may be made for other accounts than the method was prepared in."""

    def prepare(
        self, cloud: Cloud, station: Station, choices: Choices = DEFAULT_CHOICES, /
    ) -> Report:
        """Make in the cloud what the method needs, or complete and repair it.

        Raises:
            StationError: the cloud or the station is not as it must be; nothing is lost, and the
                next run continues from there.
        """
        raise NotImplementedError

    def teardown(self, cloud: Cloud, station: Station | None, /, *, devices: bool) -> Report:
        """Remove what ``prepare`` made; ``devices``: and what was registered.

        Raises:
            StationError: as for ``prepare``; a second run continues where this one stopped.
        """
        raise NotImplementedError

    def install(
        self, cloud: Cloud, station: Station, storage: DeviceStorage, order: DeviceOrder, /
    ) -> None:
        """Put the method's credentials into a device that is being made; none by default.

        Raises:
            StationNotPreparedError: ``prepare`` has not been run to its end.
        """

    def register(self, _cloud: Cloud, _: DeviceStorage, _order: DeviceOrder, /) -> Report:
        """Tell the cloud of a finished device; a second time changes nothing. Nothing by default.

        Raises:
            CloudError: AWS did not answer, or said no; a second run continues from there.
        """
        return Report(())

    def make(self, cloud: Cloud, station_folder: Path, order: DeviceOrder, out: Path, /) -> None:
        """Make the device in ``out`` and have it registered, where ``is_made_online``.

        Raises:
            NotRegisteredError: AWS refused; the device stays unfinished.
            StationError, StorageError: the cloud or the disk refused.
        """
        raise NotImplementedError

    def files(self, folder: Path = CONFIG) -> list[Path]:
        """Return the files in ``folder`` that ``prepare`` sends to AWS."""
        return [folder / f"{name}.json" for name in self.documents]

    def certificates(self, cloud: Cloud) -> Iterable[str]:
        """Return the certificates of devices that the method registered, for ``teardown``."""
        return certificates_issued_by_aws(cloud, THING_POLICY, self.mark)

    def remove_devices(self, cloud: Cloud) -> list[Change]:
        """Delete the method's devices from the registry: certificates, then things."""
        return list(remove_devices(cloud, self.mark, self.certificates(cloud)))
