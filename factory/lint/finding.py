"""What the linter says: a rule, a place, and what is wrong there."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from factory.lint.sources import POLICIES


class Severity(StrEnum):
    """Whether ``factory prepare`` goes on."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Rule:
    """One thing that is looked for."""

    id: str
    severity: Severity
    why: str
    source: str
    """Where AWS says so."""
    next_step: str


def error(name: str, why: str, source: str, next_step: str) -> Rule:
    """Return a rule whose breach stops ``factory prepare``."""
    return Rule(name, Severity.ERROR, why, source, next_step)


def warning(name: str, why: str, source: str, next_step: str) -> Rule:
    """Return a rule whose breach is shown."""
    return Rule(name, Severity.WARNING, why, source, next_step)


MALFORMED: Final = error(
    "malformed", "AWS would refuse it, or read it in another way", POLICIES,
    "Write it as AWS documents it; config/ has one of each kind.",
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """A place that breaks a rule."""

    rule: Rule
    file: str
    path: str
    """In the JSON document, for example ``$.Statement[0].Action``."""
    what: str

    def as_fields(self) -> dict[str, str]:
        """Return the finding as ``--json`` prints it."""
        return {
            "rule": self.rule.id,
            "severity": self.rule.severity,
            "file": self.file,
            "path": self.path,
            "what": self.what,
            "why": f"{self.rule.why} ({self.rule.source})",
            "next_step": self.rule.next_step,
        }
