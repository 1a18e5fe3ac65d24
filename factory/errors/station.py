"""The station itself: its folder, its CAs, its ledger, the options it is given."""

from device.errors import ExitCode
from factory.errors.base import StationError


class OptionNotUsedError(StationError):
    """An option was given that this method or verb does not use."""

    exit_code = ExitCode.MISUSE

    def __init__(self, option: str, problem: str, next_step: str) -> None:
        """Name the ``option``, why it is of no use, and what to do instead."""
        super().__init__(f"{option}: {problem}")
        self.option = option
        self.next_step = next_step


class ExtraMissingError(StationError):
    """A library is not installed that only the station needs."""

    exit_code = ExitCode.CONFIGURATION_INVALID

    def __init__(self, library: str) -> None:
        """Name the ``library``."""
        super().__init__(f"{library} is not installed: it comes with the extra 'factory'")
        self.library = library
        self.next_step = "Install it: pip install 'firstboot[factory]'"


class StationNotPreparedError(StationError):
    """The station holds nothing to install for this method."""

    next_step = (
        "Run factory prepare with this station first, with the same --method. Check that --station "
        "is right."
    )


class NotAStationError(StationError):
    """The folder holds a device; writing a station into it would destroy the device's claim."""

    exit_code = ExitCode.CONFIGURATION_INVALID
    next_step = "Pass the station's folder: --station DIR. Nothing was changed in this one."


class OtherAccountError(StationError):
    """The station was prepared for another account or Region."""

    exit_code = ExitCode.CONFIGURATION_INVALID
    next_step = "Use one station folder per account and Region: --station OTHER-DIR"


class AuthorityMissingError(StationError):
    """The station has no certificate authority of its own yet."""

    next_step = "Make the station's CAs: factory ca init"


class LedgerError(StationError):
    """The station's ledger was changed by something else."""

    exit_code = ExitCode.STORAGE_UNUSABLE
    next_step = (
        "Restore the file from a backup. Without it the station cannot know which serial numbers "
        "are taken. No device was made. If it is lost for good, remove ledger.jsonl and "
        "ledger.lock: a new ledger begins, and serial numbers may be used twice."
    )
