"""The station itself: its folder, its CAs, its ledger, the options it is given."""

from typing import Final

from device.errors import MAKE, ExitCode, Row
from factory.errors.base import StationError
from factory.errors.cloud import CloudError

MISUSE: Final = Row(
    "FB-501",
    "Misuse",
    "The command line is not valid",
    means="factory does not understand the command line.",
    causes=(
        "An option or a verb is misspelt, is given twice, or lacks its value.",
        "A variable of the shell is not set, so an argument is empty.",
    ),
    next_step="Read {help_command}.",
    exit_code=ExitCode.MISUSE,
    kind=StationError,
    reproduce=("factory make --json  # {code}",),
)
STOPPED: Final = Row(
    "FB-502",
    "Stopped",
    "The command was stopped",
    means="Someone stopped the command with Ctrl-C.",
    causes=("A person pressed Ctrl-C.",),
    next_step="Run the same command again; it continues where it stopped.",
    kind=StationError,
    needs="Ctrl-C",
)
MACHINE_REFUSED: Final = Row(
    "FB-503",
    "OSError",
    "This machine refused a file or a connection",
    means="The operating system refused to open, read or write a file, or to connect.",
    causes=("A file does not exist, or this user may not use it.", "The disk is full."),
    next_step="Correct the cause on this machine, then run the same command again.",
    kind=StationError,
    needs="a file of the station's own, outside its storage, that this user may not use",
)
OPTION_NOT_USED: Final = Row(
    "FB-504",
    "OptionNotUsedError",
    "An option has no use here",
    means="An option was given that this method or verb does not use.",
    causes=("The option belongs to another method.",),
    next_step="Leave the option out.",
    sentence="{option}: {problem}",
    exit_code=ExitCode.MISUSE,
    kind=StationError,
    reproduce=("factory lint --config {code}.yaml --account 1  # {code}",),
)
EXTRA_MISSING: Final = Row(
    "FB-505",
    "ExtraMissingError",
    "The extra 'factory' is not installed",
    means="A library is not installed that only the station needs.",
    causes=("Firstboot was installed for a device: pip install firstboot.",),
    next_step="Install it: pip install 'firstboot[factory]'",
    sentence="{library} is not installed: it comes with the extra 'factory'",
    exit_code=ExitCode.CONFIGURATION_INVALID,
    kind=CloudError,
    reproduce=(
        "mkdir {code}",
        "echo 'raise ModuleNotFoundError(name=\"boto3\")' > {code}/boto3.py",
        ("PYTHONPATH={code}:$PYTHONPATH python -m factory explain --serial {code}  # {code}"),
    ),
)
STATION_NOT_PREPARED: Final = Row(
    "FB-506",
    "StationNotPreparedError",
    "The station is not prepared",
    means="The station holds nothing to install for this method.",
    causes=("factory prepare was not run for this method.", "--station names another folder."),
    next_step="Run factory prepare with this station first, with the same --method. Check that "
    "--station is right.",
    reproduce=(
        (
            "factory make --method claim --serial {code} --out {code} --station "
            "{code}.station  # {code}"
        ),
    ),
)


class StationNotPreparedError(StationError):
    """The station holds nothing to install for this method."""

    row = STATION_NOT_PREPARED


NOT_A_STATION: Final = Row(
    "FB-507",
    "NotAStationError",
    "The folder holds a device",
    means="The folder holds a device; writing a station into it would destroy the device's claim.",
    causes=("--station names a device's folder.",),
    next_step="Pass the station's folder: --station DIR. Nothing was changed in this one.",
    exit_code=ExitCode.CONFIGURATION_INVALID,
    kind=StationError,
    reproduce=(
        MAKE,
        "factory prepare --method claim --station {code}  # {code}",
    ),
)
OTHER_ACCOUNT: Final = Row(
    "FB-508",
    "OtherAccountError",
    "The station belongs to another account",
    means="The station was prepared for another account or Region.",
    causes=("AWS_PROFILE or AWS_DEFAULT_REGION is not the one of factory prepare.",),
    next_step="Use one station folder per account and Region: --station OTHER-DIR",
    exit_code=ExitCode.CONFIGURATION_INVALID,
    kind=StationError,
    reproduce=(
        (
            "AWS_ACCESS_KEY_ID=222222222222 factory make --method claim --serial "
            "{code} --out {code}  # {code}"
        ),
    ),
)
AUTHORITY_MISSING: Final = Row(
    "FB-509",
    "AuthorityMissingError",
    "The station has no CA",
    means="The station has no certificate authority of its own yet.",
    causes=("factory ca init was not run in this station.",),
    next_step="Make the station's CAs: factory ca init",
    kind=StationError,
    reproduce=(
        "factory prepare --method claim --station {code}",
        "factory ca show --station {code}  # {code}",
    ),
)
LEDGER: Final = Row(
    "FB-510",
    "LedgerError",
    "The ledger was changed",
    means="Something other than the station changed its ledger.",
    causes=("The file was edited, cut short or restored.",),
    next_step="Restore the file from a backup. Without it the station cannot know which serial "
    "numbers are taken. No device was made. If it is lost for good, remove ledger.jsonl and "
    "ledger.lock: a new ledger begins, and serial numbers may be used twice.",
    exit_code=ExitCode.STORAGE_UNUSABLE,
    kind=StationError,
    reproduce=(
        "cp -r .firstboot/station {code}",
        (
            "sed -i '1s/serial/x/' {code}/ledger.jsonl; echo x >> {code}/ledger.jsonl; "
            "echo '{}' >> {code}/ledger.jsonl"
        ),
        (
            "factory make --method claim --serial {code} --out {code}.device --station "
            "{code}  # {code}"
        ),
    ),
)
