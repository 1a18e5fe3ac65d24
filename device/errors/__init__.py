"""Every deliberate error; the pages beside this one have them by what they are about.

An error names its cause in its text and what to do about it in ``next_step``; the
command line prints both and exits with ``exit_code``. Text never holds a secret.
"""

from enum import IntEnum
from typing import ClassVar, Final


class ExitCode(IntEnum):
    """The exit codes of ``device``, ``factory``; other people's scripts rely on them."""

    DONE = 0
    FAILED = 1
    MISUSE = 2
    CONFIGURATION_INVALID = 3
    DENIED = 4
    TRY_LATER = 5
    STORAGE_UNUSABLE = 6
    NOT_DUE = 10
    """Of ``device needs-renewal`` alone; far from the others, which say that something is wrong."""


class FirstbootError(Exception):
    """The base of every error that this project raises on purpose."""

    exit_code: ClassVar[ExitCode] = ExitCode.FAILED
    next_step: str = "Run the command again with --log-level debug and read the last lines."


class ConfigurationError(FirstbootError):
    """A settings file, environment variable or flag is not usable."""

    exit_code = ExitCode.CONFIGURATION_INVALID

    def __init__(self, source: str, key: str, problem: str, next_step: str = "") -> None:
        """Name the ``source`` (file, variable or flag), the ``key`` in it and the problem."""
        super().__init__(f"{source}: {key}: {problem}" if key else f"{source}: {problem}")
        self.source = source
        self.key = key
        self.problem = problem
        self.next_step = next_step or f"Correct {key or 'the file'} in {source}."


DISTRIBUTIONS: Final = {
    "_awscrt": "awsiotsdk",
    "_cffi_backend": "cryptography",
    "awscrt": "awsiotsdk",
    "awsiot": "awsiotsdk",
    "cryptography": "cryptography",
    "msgspec": "msgspec",
    "yaml": "pyyaml",
}
"""What brings each package that a device needs."""


class NotInstalledError(FirstbootError):
    """A package that the command needs is not installed on this machine."""

    def __init__(self, package: str, install: str) -> None:
        """Name the ``package`` as Python imports it, and what pip is to ``install``."""
        super().__init__(f"the Python package {package} is not installed, or cannot be loaded")
        self.package = package
        self.next_step = f"Install it: pip install {install}"


class MisuseError(FirstbootError):
    """The command line is not one that the command understands."""

    exit_code = ExitCode.MISUSE

    def __init__(self, problem: str, usage: str, help_command: str) -> None:
        """Keep the ``usage`` that belongs to the ``problem``."""
        super().__init__(problem)
        self.usage = usage
        self.next_step = f"Read {help_command}."
