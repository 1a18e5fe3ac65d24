"""Batches of devices."""

from device.errors import ExitCode
from factory.errors.base import StationError


class SerialNumbersError(StationError):
    """A list of serial numbers that cannot be a batch."""

    exit_code = ExitCode.MISUSE
    next_step = (
        "Write one serial number a line, each once, of 1 to 64 of the characters a-z A-Z 0-9 : _ -."
        " For more columns, name them in the first line: serial,..."
    )


class BatchError(StationError):
    """A batch cannot run with these options."""

    exit_code = ExitCode.MISUSE
    next_step = "To continue a batch: factory bulk --batch NAME. A new batch needs another name."


class BatchJournalError(StationError):
    """The journal of a batch was changed by something else."""

    exit_code = ExitCode.STORAGE_UNUSABLE
    next_step = (
        "Restore the file from a backup. Without it the station cannot know which devices AWS has "
        "registered; find them by the attribute ProvisionedBy."
    )


class BucketMissingError(StationError):
    """There is no bucket that AWS IoT could read a batch's file from."""

    exit_code = ExitCode.CONFIGURATION_INVALID
    next_step = (
        "Make it: factory prepare --method bulk. Then run the same command again: "
        "it continues with the devices already started."
    )

    def __init__(self, bucket: str) -> None:
        """Name the bucket."""
        super().__init__(f"there is no bucket {bucket}")
        self.bucket = bucket


class AnotherTaskRunsError(StationError):
    """Another bulk registration is running; AWS runs one in an account at a time."""

    exit_code = ExitCode.TRY_LATER

    def __init__(self, task_id: str) -> None:
        """Name the task."""
        super().__init__(f"registration task {task_id} is running in this account")
        self.task_id = task_id
        self.next_step = (
            "Run the same command later, or without --no-wait. To end the other one: "
            f"aws iot stop-thing-registration-task --task-id {task_id}"
        )


class BatchUnfinishedError(StationError):
    """Some devices of a batch were not registered; the output above names each with its reason."""

    def __init__(self, name: str, failed: int, total: int) -> None:
        """Say how many of the batch ``name`` failed."""
        super().__init__(f"batch {name}: {failed} of {total} device(s) were not registered")
        self.next_step = (
            "Correct what is named above, then retry only the failed devices: factory bulk "
            f"--batch {name} --retry"
        )
