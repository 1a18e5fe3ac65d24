"""Checking policies and templates."""

from device.errors import ExitCode
from factory.errors.base import StationError


class NothingToLintError(StationError):
    """Neither files nor a method were named."""

    exit_code = ExitCode.MISUSE
    next_step = "Name files, or a method whose documents are to be looked at: --method claim."


class LintFailedError(StationError):
    """The linter found errors in policies or templates; each is named above."""

    next_step = "Mend what is named above; docs/lint.md lists the rules."

    def __init__(self, errors: int) -> None:
        """Say how many."""
        super().__init__(f"{errors} error(s) in policies or templates")
        self.errors = errors
