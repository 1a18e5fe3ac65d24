"""Bulk registration: one task registers a whole batch, from a file with a CSR a device.

The keys are made in the devices; AWS answers with certificates, which the station installs.
AWS IoT developer guide, "Bulk registration".
"""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from factory.account.aws import Aws
from factory.account.buckets import bucket_name, ensure_bucket, remove_bucket
from factory.account.changes import Report
from factory.account.cloud import Cloud
from factory.account.documents import load_policy, load_template
from factory.account.roles import Role, ensure_role, remove_role, role_arn
from factory.account.template_resources import ensure_named, remove_named
from factory.account.thing_policy import THING_POLICY, ensure_thing_policy, remove_thing_policy
from factory.bulk.batch import run_batch
from factory.bulk.context import BatchContext
from factory.bulk.journal import Journal, new_batch, open_journal
from factory.bulk.progress import PlainProgress, Progress
from factory.bulk.reports import Download, download
from factory.bulk.task import Job
from factory.errors import NOT_REGISTERED
from factory.making.new_device import DeviceOrder
from factory.making.thing_registration import RegistryEntry
from factory.methods.method import DEFAULT_CHOICES, DEVICE, PROVISIONING, Choices, Method
from factory.station.station import Station

METHOD: Final = "bulk"
TEMPLATE: Final = "firstboot-bulk"
"""A template of this name is sent along with each task; AWS keeps none."""
ROLE: Final = "firstboot-bulk"
_TRUST: Final = "firstboot-provisioning"

_log = logging.getLogger(__name__)


class Bulk(Method):
    """Registers a batch by one task."""

    name = METHOD
    mark = TEMPLATE
    documents = ("templates/firstboot-bulk", DEVICE, PROVISIONING, "policies/firstboot-bulk")
    is_made_online = True

    def prepare(self, cloud: Cloud, station: Station, _: Choices = DEFAULT_CHOICES, /) -> Report:
        """Make bucket, the role that may read it, the thing policy, and what the template names."""
        station.check_account(cloud.account)
        bucket = bucket_name(cloud, METHOD)
        values = {**cloud.account.placeholders, "bucket": bucket}
        role = Role(
            ROLE, load_policy(_TRUST, values), METHOD, inline_policy=load_policy(ROLE, values)
        )
        changes = [ensure_bucket(cloud, bucket), ensure_role(cloud, role)]
        changes.append(ensure_thing_policy(cloud, METHOD))
        changes += ensure_named(cloud, load_template(TEMPLATE), METHOD)
        return Report(tuple(changes))

    def teardown(self, cloud: Cloud, _: Station | None, /, *, devices: bool) -> Report:
        """Remove what ``prepare`` made, and with ``devices`` what was registered."""
        changes = self.remove_devices(cloud) if devices else []
        changes.append(remove_bucket(cloud, bucket_name(cloud, METHOD)))
        changes.append(remove_role(cloud, ROLE, METHOD))
        changes += remove_named(cloud, load_template(TEMPLATE), METHOD)
        changes.append(remove_thing_policy(cloud, METHOD))
        return Report(tuple(changes))

    def make(self, cloud: Cloud, station_folder: Path, order: DeviceOrder, out: Path, /) -> None:
        """Make and register a batch of one.

        Raises:
            NotRegisteredError: AWS refused; the device stays unfinished.
            StationError, StorageError: the cloud or the disk refused.
        """
        serial_number = order.serial_number
        name = f"single-{serial_number}"
        with open_journal(batch_folder(station_folder, name)) as journal:
            batch = journal.load()
            if batch is None or not batch.open_lines or batch.lines[0].folder != str(out):
                batch = new_batch(name, cloud.account, {serial_number: out})
            batch.check_account(cloud.account)
            progress = PlainProgress(_log.info)
            run_batch(batch_context(cloud, journal, lambda _: order, progress), batch)
        (line,) = batch.lines
        if line.problem:
            raise NOT_REGISTERED.error(
                line.problem, serial_number=serial_number, next_step=line.next_step
            )


def batch_folder(station_folder: Path, name: str) -> Path:
    """Return where the journal of a batch is."""
    return station_folder / "batches" / name


def batch_context(
    cloud: Cloud,
    journal: Journal,
    order: Callable[[str], DeviceOrder],
    progress: Progress,
    template: str = "",
) -> BatchContext:
    """Return what a batch needs in ``cloud``; ``template`` instead of the method's own."""

    def entry(serial_number: str) -> RegistryEntry:
        return RegistryEntry(serial_number, THING_POLICY, TEMPLATE)

    def job(key: str) -> Job:
        return Job(
            template or load_template(TEMPLATE),
            bucket_name(cloud, METHOD),
            key,
            role_arn(cloud, ROLE),
        )

    return BatchContext(
        METHOD, cloud, journal, order, entry, job, progress, download=_download(cloud)
    )


def _download(cloud: Cloud) -> Download:
    """Return what fetches reports: from S3, or from the local AWS that ``cloud`` is told of."""
    url = cloud.endpoint_url if isinstance(cloud, Aws) else None
    return partial(download, environment={"AWS_ENDPOINT_URL": url}) if url else download
