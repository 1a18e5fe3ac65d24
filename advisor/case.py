"""What a case is: a script, and a verdict on what the endpoint saw."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from advisor.certificates import Presented
from advisor.journal import Entry
from advisor.script import Script


class Verdict(Enum):
    """How a case ends, in the words of AWS IoT Device Advisor."""

    PASS = "PASS"  # noqa: S105 - no password
    WARNINGS = "PASS WITH WARNINGS"
    FAIL = "FAIL"
    NOT_RUN = "NOT RUN"
    """It needs something that was not given."""


@dataclass(frozen=True)
class Finding:
    """A verdict, and what it rests on."""

    verdict: Verdict
    seen: str


def passed(seen: str) -> Finding:
    """Return a PASS."""
    return Finding(Verdict.PASS, seen)


def warned(seen: str) -> Finding:
    """Return a PASS WITH WARNINGS."""
    return Finding(Verdict.WARNINGS, seen)


def failed(seen: str) -> Finding:
    """Return a FAIL."""
    return Finding(Verdict.FAIL, seen)


@dataclass(frozen=True)
class Given:
    """What the person who runs the advisor says about the client."""

    thing_name: str = "advisor"
    policies: tuple[Any, ...] = ()
    """Policy documents of AWS IoT."""
    desired: Any = field(default_factory=lambda: {"advisor": 1})
    """The state that a shadow desires of the client."""
    job: Any = field(default_factory=lambda: {"operation": "advisor"})
    """The job document."""
    template: str = ""
    """The provisioning template that the client uses; empty if it does not provision itself."""
    soak_seconds: float = 60.0
    seconds: float = 300.0
    """After which a case is over; AWS' default."""


Judge = Callable[[Sequence[Entry]], Finding | None]
"""Return a verdict as soon as there is enough evidence for one."""


@dataclass(frozen=True)
class Case:
    """One case; its text is for people, its script and judge are what is run."""

    id: str
    title: str
    done: str
    """What is done to the client."""
    script: Callable[[Given], Script]
    judge: Callable[[Given], Judge]
    otherwise: str
    """What was not seen, when the time is up without a verdict: a FAIL."""
    source: str
    presented: Presented = Presented.GOOD
    needs_client: bool = True
    needs_template: bool = False
    awaits_end: bool = False
    """Whether the judge is asked only when the time of a soak is up."""


def always(script: Script) -> Callable[[Given], Script]:
    """Return a maker of a script that needs nothing given and has no state."""
    return lambda _given: script


def by(judge: Judge) -> Callable[[Given], Judge]:
    """Return a maker of a judge that needs nothing given."""
    return lambda _given: judge
