"""Batches of devices."""

from typing import Final

from device.errors import ExitCode, Row
from factory.errors.base import StationError

SERIAL_NUMBERS: Final = Row(
    "FB-721",
    "SerialNumbersError",
    "The list of serial numbers is not valid",
    means="The station cannot make a batch from this list of serial numbers.",
    causes=("A line has no serial number.", "One is listed twice.", "The file is not text."),
    next_step="Write one serial number a line, each once, of 1 to 64 of the characters a-z A-Z 0-9 "
    ": _ -. For more columns, name them in the first line: serial,...",
    exit_code=ExitCode.MISUSE,
    kind=StationError,
    reproduce=("factory bulk --batch {code} --count 0  # {code}",),
)
BATCH: Final = Row(
    "FB-722",
    "BatchError",
    "The batch cannot run with these options",
    means="The station cannot make or continue a batch with these options.",
    causes=("A batch of this name exists, with other devices.", "There is no such batch."),
    next_step="A new batch needs a name of its own, of 1 to 40 of a-z A-Z 0-9 _ -. To continue a "
    "batch, run the same command with the same --batch and the same devices.",
    exit_code=ExitCode.MISUSE,
    kind=StationError,
    reproduce=("factory bulk --batch {code}  # {code}",),
)
BATCH_JOURNAL: Final = Row(
    "FB-723",
    "BatchJournalError",
    "The batch's journal was changed",
    means="Something other than the station changed the journal of a batch.",
    causes=("The file was edited, cut short or restored.",),
    next_step="Restore the file from a backup. Without it the station cannot know which devices "
    "AWS has registered; find them by the attribute ProvisionedBy.",
    exit_code=ExitCode.STORAGE_UNUSABLE,
    kind=StationError,
    reproduce=(
        "factory bulk --batch {code} --count 1",
        "echo x > .firstboot/station/batches/{code}/journal.json",
        "factory bulk --batch {code}  # {code}",
    ),
)
BUCKET_MISSING: Final = Row(
    "FB-724",
    "BucketMissingError",
    "There is no bucket",
    means="There is no bucket that AWS IoT could read a batch's file from.",
    causes=("factory prepare --method bulk was not run.", "Someone deleted the bucket."),
    next_step="Make it: factory prepare --method bulk. Then run the same command again: it "
    "continues with the devices already started.",
    sentence="there is no bucket {bucket}",
    exit_code=ExitCode.CONFIGURATION_INVALID,
    kind=StationError,
    reproduce=(
        "export AWS_ACCESS_KEY_ID=724724724724",
        "factory prepare --method bulk --station {code}",
        "aws s3api delete-bucket --bucket firstboot-bulk-724724724724-us-east-1",
        "factory bulk --batch {code} --count 1 --station {code}  # {code}",
    ),
)
ANOTHER_TASK_RUNS: Final = Row(
    "FB-725",
    "AnotherTaskRunsError",
    "Another bulk registration runs",
    means="Another bulk registration is running; AWS runs one in an account at a time.",
    causes=("Another station works in the same account.",),
    next_step="Run the same command later, or without --no-wait. To end the other one: aws iot "
    "stop-thing-registration-task --task-id {task_id}",
    sentence="registration task {task_id} is running in this account",
    exit_code=ExitCode.TRY_LATER,
    kind=StationError,
    needs="a second registration that runs in the account",
)
BATCH_UNFINISHED: Final = Row(
    "FB-726",
    "BatchUnfinishedError",
    "Some devices were not registered",
    means="Some devices of a batch were not registered; the output names each with its reason.",
    causes=("Single lines of the batch are wrong.", "AWS refused single devices."),
    next_step="Correct what is named above, then retry only the failed devices: factory bulk "
    "--batch {batch} --retry",
    sentence="batch {batch}: {failed} of {total} device(s) were not registered",
    kind=StationError,
    reproduce=(
        "aws iot create-thing --thing-name {code}-0001",
        (
            "aws iot attach-thing-principal --thing-name {code}-0001 --principal $(aws "
            "iot create-keys-and-certificate --set-as-active --query certificateArn "
            "--output text)"
        ),
        "factory bulk --batch {code} --count 1  # {code}",
    ),
)
