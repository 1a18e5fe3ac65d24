"""What a check found, as data."""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from device.errors import ConfigurationError, FirstbootError
from device.errors.catalogue import in_general
from device.errors.text import foreign

_LONGEST: Final = 600


class Result(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


class Finding(Struct, frozen=True, kw_only=True):
    """The result of one check."""

    check: str = ""
    """Its name, which `device.doctor.examination` fills in."""
    result: Result
    evidence: str
    """What was seen; for a skipped check why it was not made."""
    cause: str = ""
    next_step: str = ""
    code: str = ""
    """The row of the catalogue, such as ``FB-403``; empty where nothing is wrong."""
    suspects: list[str] = []
    """What else may be the cause, the likeliest first."""


class SkippedError(Exception):
    """A check was not made; the text says why."""


class DiagnosedError(Exception):
    """A check failed, and found out more than ``error`` says."""

    def __init__(self, error: FirstbootError, finding: Finding) -> None:
        """Keep both."""
        super().__init__(str(error))
        self.error = error
        self.finding = finding


def ok(evidence: str) -> Finding:
    """Return that a check found nothing wrong."""
    return Finding(result=Result.OK, evidence=evidence)


def warning(evidence: str, cause: str, next_step: str, code: str) -> Finding:
    """Return that the device works now, and something will stop it or is odd."""
    return Finding(
        result=Result.WARNING, evidence=evidence, cause=cause, next_step=next_step, code=code
    )


def skipped(why: str) -> Finding:
    """Return that a check was not made."""
    return Finding(result=Result.SKIPPED, evidence=why)


def failed(error: FirstbootError, cause: str = "", suspects: tuple[str, ...] = ()) -> Finding:
    """Return what ``error`` says: its words, the likeliest cause of its row, and its next step."""
    usual = [in_general(each) for each in error.row.causes]
    if not cause and isinstance(error, ConfigurationError):
        cause = foreign(str(error), _LONGEST)
    return Finding(
        result=Result.FAILED,
        evidence=foreign(str(error), _LONGEST),
        cause=cause or usual[0],
        next_step=foreign(error.next_step, _LONGEST),
        code=error.code,
        suspects=list(suspects or (() if cause else usual[1:])),
    )
