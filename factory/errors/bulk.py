"""Batches of devices."""

from device.errors import ExitCode
from factory.errors.base import StationError


class SerialNumbersError(StationError):
    """A list of serial numbers that no batch can be made of."""

    exit_code = ExitCode.MISUSE
    next_step = (
        "Write one serial number a line, each once, of 1 to 64 of the characters a-z A-Z 0-9 : _ -."
    )


class BatchError(StationError):
    """A batch cannot be run as it was asked for."""

    exit_code = ExitCode.MISUSE
    next_step = "To go on with a batch: factory bulk --batch NAME. A new one needs another name."


class BatchJournalError(StationError):
    """The journal of a batch is not what the station wrote."""

    exit_code = ExitCode.STORAGE_UNUSABLE
    next_step = (
        "Put the file back from a copy. Without it, AWS knows the devices that were registered "
        "and the station cannot tell which: look for them by the attribute ProvisionedBy."
    )


class BucketMissingError(StationError):
    """There is no bucket that AWS IoT could read a batch's file from."""

    exit_code = ExitCode.CONFIGURATION_INVALID
    next_step = (
        "Have the station make it: factory prepare --method bulk. Then run the same command "
        "again: the devices that were begun are gone on with."
    )

    def __init__(self, bucket: str) -> None:
        """Name the bucket."""
        super().__init__(f"there is no bucket {bucket}")
        self.bucket = bucket


class AnotherTaskRunsError(StationError):
    """AWS runs one bulk registration in an account at a time, and there is one."""

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
    """Some devices of a batch were not registered; each is named above with its reason."""

    def __init__(self, name: str, failed: int, total: int) -> None:
        """Say how many of the batch ``name`` failed."""
        super().__init__(f"batch {name}: {failed} of {total} device(s) were not registered")
        self.next_step = (
            "Mend what is named above, then have those tried again, and no other: "
            f"factory bulk --batch {name} --retry"
        )
