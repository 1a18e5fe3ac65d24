"""What a run did to the cloud, thing by thing, for people and for scripts."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum

from factory.account.cloud import Account


class Outcome(StrEnum):
    """What happened to one resource."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    REMOVED = "removed"
    ABSENT = "absent"
    KEPT = "kept"


@dataclass(frozen=True)
class Change:
    """One resource, and what a run did to it."""

    kind: str
    name: str
    outcome: Outcome
    note: str = ""

    def as_fields(self) -> dict[str, str]:
        """Return the change as ``--json`` prints it."""
        return asdict(self)

    @property
    def is_change(self) -> bool:
        """Whether the cloud is different from before."""
        return self.outcome in {Outcome.CREATED, Outcome.UPDATED, Outcome.REMOVED}


@dataclass(frozen=True)
class Report:
    """All that a run did, and what the person at the station should know besides."""

    changes: tuple[Change, ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, reports: Iterable["Report"]) -> "Report":
        """Return one report of several."""
        listed = list(reports)
        return cls(
            tuple(change for report in listed for change in report.changes),
            tuple(note for report in listed for note in report.notes),
        )

    @property
    def is_change(self) -> bool:
        """Whether anything in the cloud is different from before."""
        return any(change.is_change for change in self.changes)

    def as_fields(self, account: Account) -> dict[str, object]:
        """Return what was done to ``account`` as ``--json`` prints it."""
        return {
            "account_id": account.account_id,
            "region": account.region,
            "changed": self.is_change,
            "notes": self.notes,
            "resources": [change.as_fields() for change in self.changes],
        }
