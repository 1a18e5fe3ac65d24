"""Runs a batch: devices begun, CSRs collected, one task, certificates installed.

Each step is durable before the next one builds upon it, and each can be done again: the
devices keep their keys, the attempt is written down before its file is uploaded, a task whose
start was never answered is found by its file, and a certificate is installed where its key is.
So a batch that was stopped anywhere is completed by the next run, and nothing is registered
twice.
"""

from collections.abc import Iterator

from device.errors.storage import StorageExistsError
from factory.bulk.collection import collect
from factory.bulk.context import BatchContext, installed_certificate_id, problems_of
from factory.bulk.input_file import checked_csr, fingerprint, parameters_line
from factory.bulk.journal import Attempt, Batch, Line, new_attempt
from factory.bulk.task import find_task, start_task, wait_for_others
from factory.errors import BUCKET_MISSING, NotInCloudError
from factory.making.thing_registration import find_certificate, register_by_hand
from factory.making.unfinished_device import UnfinishedDevice


def run_batch(context: BatchContext, batch: Batch) -> None:
    """Bring every open line of ``batch`` to its end: a SECURED device, or a problem.

    Raises:
        AnotherTaskRunsError: another task runs, and nobody wants to wait.
        BucketMissingError: there is no bucket for the file.
        CloudError: AWS did not answer, or said no; the next run continues from here.
        StorageError: the disk refused; the same.
    """
    registration = _Registration(context, batch)
    if batch.attempt is None:
        registration.plan()
    if batch.attempt is not None:
        registration.start(batch.attempt)
        collect(context, batch, batch.attempt)


class _Registration:
    """The way from open lines to a running task."""

    def __init__(self, context: BatchContext, batch: Batch) -> None:
        self._context = context
        self._batch = batch
        self._input: dict[str, bytes] = {}
        """The file's lines by serial number, as far as they were made by this run."""

    def plan(self) -> None:
        """Begin the devices, and decide which of them the next task is for."""
        keys = {}
        for line in self._context.counted("CSRs collected", self._batch.open_lines):
            with problems_of(line):
                if key := self._begin(line):
                    keys[key] = line.serial_number
                    line.attempts += 1
        if keys:
            self._batch.attempts += 1
            self._batch.attempt = new_attempt(self._batch, keys)
        self._context.journal.save(self._batch)

    def start(self, attempt: Attempt) -> None:
        """Have the task started, unless it was."""
        if attempt.task_id is not None:
            return
        cloud, job = self._context.cloud, self._context.job(attempt.key)
        attempt.task_id = None if self._input else find_task(cloud, job.key)
        if attempt.task_id is None:
            body = b"".join(self._lines_of(attempt))
            try:
                cloud.call("s3", "PutObject", Bucket=job.bucket, Key=job.key, Body=body)
            except NotInCloudError as error:
                raise BUCKET_MISSING.error(bucket=job.bucket) from error
            wait_for_others(
                cloud, self._context.progress, self._context.sleep, wait=self._context.wait
            )
            attempt.task_id = start_task(cloud, job)
        self._context.journal.save(self._batch)

    def _begin(self, line: Line) -> str | None:
        """Return the device's key (fingerprint); None if it was registered before."""
        try:
            with self._context.device(line) as device:
                entry = self._context.entry(line.serial_number)
                found = find_certificate(self._context.cloud, entry, device)
                if found is None:
                    return self._collect_csr(device, line)
                pem = register_by_hand(self._context.cloud, entry, device, found)
                line.certificate_id = device.finish(pem)
        except StorageExistsError:
            if not line.attempts:
                raise
            line.certificate_id = installed_certificate_id(line)
        return None

    def _lines_of(self, attempt: Attempt) -> Iterator[bytes]:
        lines = self._batch.by_serial_number()
        for serial_number in attempt.serial_numbers.values():
            if serial_number not in self._input:
                line = lines[serial_number]
                with self._context.device(line) as device:
                    self._collect_csr(device, line)
            yield self._input[serial_number]

    def _collect_csr(self, device: UnfinishedDevice, line: Line) -> str:
        csr = checked_csr(device)
        serial_number = device.serial_number
        self._input[serial_number] = parameters_line(serial_number, csr, line.attributes)
        return fingerprint(device.public_key)
