"""What a batch needs around it: the cloud, its journal, and what is ordered for each device."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from device.errors.element import ElementError
from device.errors.provisioning import CertificateUnacceptableError
from device.errors.storage import StorageExistsError
from device.identity.certificates import certificate_id
from device.storage.device_storage import open_device_storage
from factory.account.cloud import Cloud
from factory.account.propagation import Sleep
from factory.bulk.journal import Journal, Line
from factory.bulk.progress import Progress
from factory.bulk.reports import Download, download
from factory.bulk.task import Job
from factory.errors import OneDeviceError
from factory.making.device_leaf import installed_leaf
from factory.making.new_device import DeviceOrder
from factory.making.thing_registration import RegistryEntry
from factory.making.unfinished_device import UnfinishedDevice, unfinished_device


@dataclass(frozen=True)
class BatchContext:
    """Where a batch is run."""

    method: str
    """Whose templates are used, in words for people."""
    cloud: Cloud
    journal: Journal
    order: Callable[[str], DeviceOrder]
    """Returns the order for a serial number."""
    entry: Callable[[str], RegistryEntry]
    """Returns what the registry is to hold for a serial number."""
    job: Callable[[str], Job]
    """Returns the task that reads the file with this key."""
    progress: Progress
    wait: bool = True
    """Wait while another task runs, or say so and stop."""
    sleep: Sleep = time.sleep
    download: Download = download

    def device(self, line: Line) -> AbstractContextManager[UnfinishedDevice]:
        """Begin the device of ``line``, or take it up again."""
        return unfinished_device(self.order(line.serial_number), Path(line.folder))

    def counted(self, stage: str, lines: list[Line]) -> Iterator[Line]:
        """Yield ``lines``, and show how many are done."""
        self.progress.begin(stage, len(lines))
        for done, line in enumerate(lines, start=1):
            yield line
            self.progress.advance(done)


@contextmanager
def problems_of(line: Line) -> Iterator[None]:
    """Turn the error of one device into the problem of its line; the others continue."""
    try:
        yield
    except (
        CertificateUnacceptableError, ElementError, OneDeviceError, StorageExistsError,
    ) as error:  # fmt: skip
        line.fail(str(error), error.next_step)


def installed_certificate_id(line: Line) -> str:
    """Return the id of the certificate in a device that is finished already."""
    with open_device_storage(Path(line.folder), read_only=True) as storage:
        return certificate_id(installed_leaf(storage))
