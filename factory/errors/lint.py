"""Checking policies and templates."""

from device.errors import ExitCode
from factory.errors.base import StationError


class NothingToLintError(StationError):
    """Neither files nor a method were given."""

    exit_code = ExitCode.MISUSE
    next_step = "Pass files, or a method whose documents to check: --method claim."


class LintFailedError(StationError):
    """The linter found errors in policies or templates; each is named above."""

    next_step = "Correct what is named above; docs/lint.md lists the rules."

    def __init__(self, errors: int) -> None:
        """Say how many."""
        super().__init__(f"{errors} error(s) in policies or templates")
        self.errors = errors
