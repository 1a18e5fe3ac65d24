"""The production line around the making: retiring devices, manifests, reports."""

from typing import Final

from device.errors import Row
from factory.errors.base import StationError

SERIAL_NUMBER_UNKNOWN: Final = Row(
    "FB-751",
    "SerialNumberUnknownError",
    "The station does not know the serial number",
    means="The station has never made a device with the serial number.",
    causes=("The serial number is misspelt.", "Another station made the device."),
    next_step="Check the serial number, and that --station is the station that made the device.",
    sentence="no device with serial number {serial_number} is in the ledger",
    kind=StationError,
    reproduce=("factory retire --serial {code}  # {code}",),
)
REGISTERED_ELSEWHERE: Final = Row(
    "FB-752",
    "RegisteredElsewhereError",
    "The device is also registered in other accounts",
    means="The device is registered in accounts that you did not name, so it is not retired.",
    causes=("The device was made for several accounts.",),
    next_step="Run the same command with --account for each account and Region.",
    sentence="{serial_number} is also registered in {accounts}; it is not retired, because its "
    "certificate may be ACTIVE there",
    kind=StationError,
    reproduce=(
        (
            "factory prepare --method multi-account --account 111111111111:us-east-1 "
            "--account 222222222222:us-east-1"
        ),
        (
            "factory make --method multi-account --serial {code} --out {code} "
            "--account 111111111111:us-east-1 --account 222222222222:us-east-1"
        ),
        "factory retire --serial {code} --account 111111111111:us-east-1  # {code}",
    ),
)
BATCH_UNKNOWN: Final = Row(
    "FB-753",
    "BatchUnknownError",
    "The station does not know the batch",
    means="The ledger has no device of the batch.",
    causes=("The name is misspelt.", "Another station made the batch."),
    next_step="Check the name, and that --station is the station that made the batch.",
    sentence="no device of a batch {batch} is in the ledger",
    kind=StationError,
    reproduce=("factory report {code}  # {code}",),
)
MANIFEST: Final = Row(
    "FB-754",
    "ManifestError",
    "The manifest differs from what the station signed",
    means="The manifest differs from what the station signed, or another station signed it.",
    causes=("It was edited, cut short or mixed with another.", "Another station signed it."),
    next_step="Do not import it. Get the manifest again from the station: factory manifest BATCH.",
    kind=StationError,
    reproduce=(
        "factory make --method claim --serial {code} --out {code} --batch {code}",
        "factory manifest {code}",
        "sed -i 's/{code}/FB-999/' {code}.manifest.json",
        "factory verify {code}.manifest.json --signer {code}.manifest.crt  # {code}",
    ),
)
MANIFEST_DEVICE: Final = Row(
    "FB-755",
    "ManifestDeviceError",
    "A device cannot be put in the manifest",
    means="A device of the batch cannot be put in the manifest.",
    causes=("Its folder left the station already.", "The device is not finished."),
    next_step="A manifest is written before the devices leave the station. Bring the folder back, "
    "or retire the device: factory retire --serial {serial_number}",
    sentence="{serial_number} in {folder}: {problem}",
    kind=StationError,
    reproduce=(
        "factory make --method jitp --serial {code} --out {code} --batch {code}",
        "rm -r {code}",
        "factory manifest {code}  # {code}",
    ),
)
LINE_UNFINISHED: Final = Row(
    "FB-756",
    "LineUnfinishedError",
    "Some devices of a batch could not be made",
    means="Some devices of a batch could not be made; the output names each with its reason.",
    causes=("The disk failed or is full.", "A folder holds another device.", "A setting is wrong."),
    next_step="Correct what is named above (factory report {batch} counts the causes), then run "
    "the same command with --batch {batch}: it makes only what is missing.",
    sentence="batch {batch}: {failed} of {total} device(s) FAIL",
    kind=StationError,
    reproduce=(
        "printf 'serial\\n{code}\\n' > {code}.csv",
        "mkdir -p {code} && touch {code}/{code}",
        ("factory make --method claim --serials {code}.csv --batch {code} --out {code}  # {code}"),
    ),
)
LINE_CUT: Final = Row(
    "FB-757",
    "LineCutError",
    "A process that makes devices ended",
    means="A batch is made by several processes, and one of them was ended from outside.",
    causes=("The machine has too little memory (dmesg).", "Someone ended the process."),
    next_step="Run the same command again with the same --batch: it makes only what is missing. "
    "If memory is short, use fewer processes: --jobs 1.",
    sentence="a process that makes devices was ended; what it had begun is not lost",
    kind=StationError,
    needs="a process of the line that is killed",
)
BATCH_BUSY: Final = Row(
    "FB-758",
    "BatchBusyError",
    "Another process makes the batch",
    means="Another process of this station makes the batch; this one has made nothing.",
    causes=("The same command runs already, perhaps at another terminal.",),
    next_step="Wait for the other process, or stop it. Then run the same command again: it makes "
    "only what is missing.",
    sentence="batch {batch} is being made by another process",
    kind=StationError,
    reproduce=(
        "touch .firstboot/station/batch-{code}.lock",
        (
            "flock .firstboot/station/batch-{code}.lock "
            "factory make --method claim --serial {code} --batch {code} --out {code}  # {code}"
        ),
    ),
)
