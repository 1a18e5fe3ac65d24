"""Every deliberate error of the local AWS, on one page.

The shape is that of the device's error page: the cause in the text, what to do about it in
``next_step``, and the ``exit_code`` that the command line ends with.
"""

from enum import IntEnum
from pathlib import Path
from typing import ClassVar


class ExitCode(IntEnum):
    """The exit codes of ``localcloud``; the numbers mean what they mean for ``device``."""

    DONE = 0
    FAILED = 1
    MISUSE = 2


class LocalCloudError(Exception):
    """The base of every error that the local AWS raises on purpose."""

    exit_code: ClassVar[ExitCode] = ExitCode.FAILED
    next_step: str = "Run localcloud up without --detach and read its last lines."


class StateFolderError(LocalCloudError):
    """The state folder cannot be made, written or trusted."""

    def __init__(self, path: Path, problem: str) -> None:
        """Name the ``path`` and what is wrong with it."""
        super().__init__(f"state folder {path}: {problem}")
        self.path = path
        self.next_step = "Choose another folder with --state DIR, or remove this one."


class AlreadyRunningError(LocalCloudError):
    """Another process serves this state folder."""

    def __init__(self, path: Path, detail: str = "a local AWS is already running on it") -> None:
        """Name the state folder ``path``."""
        super().__init__(f"state folder {path}: {detail}")
        self.path = path
        self.next_step = f"Stop it first: localcloud down --state {path}"


class NotRunningError(LocalCloudError):
    """No local AWS serves this state folder."""

    def __init__(self, path: Path) -> None:
        """Name the state folder ``path``."""
        super().__init__(f"state folder {path}: no local AWS is running on it")
        self.path = path
        self.next_step = f"Start it: localcloud up --detach --state {path}"


class PortInUseError(LocalCloudError):
    """Someone else listens on a port that was asked for."""

    def __init__(self, port: int, owner: str, flag: str) -> None:
        """Name the ``port``, its ``owner`` as far as known, and the ``flag`` that chooses it."""
        super().__init__(f"port {port} on 127.0.0.1 is in use by {owner}")
        self.port = port
        self.owner = owner
        self.next_step = f"Stop it, or choose another port with {flag}."


class StartError(LocalCloudError):
    """The server process ended, or did not answer in time."""

    def __init__(self, reason: str, log_tail: str, log: Path) -> None:
        """Give the ``reason`` and the last lines of the ``log``."""
        super().__init__(f"the local AWS did not start: {reason}\n{log_tail}".rstrip())
        self.next_step = f"Read {log}; each start begins a new log."


class MissingExtraError(LocalCloudError):
    """Packages that the local AWS needs are not installed."""

    next_step = "Install them: pip install 'firstboot[local]'"

    def __init__(self, missing: list[str]) -> None:
        """Name what is ``missing``."""
        super().__init__(f"the extra [local] is not installed: no {', '.join(missing)}")


class StopError(LocalCloudError):
    """The server process did not stop in time."""

    def __init__(self, pid: int) -> None:
        """Name the process ``pid``."""
        super().__init__(f"process {pid} did not stop in time")
        self.next_step = f"End it: kill -9 {pid} (everything it answered is kept)"


class NoAnswerError(LocalCloudError):
    """The server process runs, but gives a wrong answer."""

    next_step = "Try again. If that does not help: localcloud down, then localcloud up."


class GapError(LocalCloudError):
    """This version of MiniStack does not fit a gap module."""

    def __init__(self, gap: str, problem: str, next_step: str) -> None:
        """Name the ``gap`` module and the ``problem``."""
        super().__init__(f"gap module {gap}: {problem}")
        self.gap = gap
        self.next_step = next_step


class FaultError(LocalCloudError):
    """The fault is not valid."""

    exit_code = ExitCode.MISUSE
    next_step = "See docs/local-aws.md for the faults and their fields."


class SettingsError(LocalCloudError):
    """A setting that was asked for does not exist, or cannot have this value."""

    exit_code = ExitCode.MISUSE
    next_step = "See docs/local-aws.md for the settings and their ranges."


class ClockError(LocalCloudError):
    """The clock cannot be advanced by this."""

    exit_code = ExitCode.MISUSE
    next_step = "Give a duration: localcloud clock advance 90d"
