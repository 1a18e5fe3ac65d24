"""Which settings may be changed from afar, and within which limits.

A job changes all it names or nothing; a shadow changes what it may and says why not the rest.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from device.errors.text import foreign

_WEEK: Final = 604_800.0
_MOST_NAMES: Final = 20
_LONGEST_NAME: Final = 64


@dataclass(frozen=True)
class Range:
    """The seconds that a setting may have."""

    least: float
    most: float


SETTABLE: Final[Mapping[str, Range]] = {
    "telemetry.interval": Range(0.1, _WEEK),
    "metrics.interval": Range(1.0, _WEEK),
}


@dataclass(frozen=True)
class Verdict:
    """What of a wish may be done, and why not the rest."""

    accepted: dict[str, float] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    """Reasons by the name of the setting."""


def judge(wanted: object) -> Verdict:
    """Judge each setting in ``wanted``: names as ``telemetry.interval``, or nested as in a file."""
    verdict = Verdict()
    if not isinstance(wanted, Mapping):
        verdict.refused["settings"] = "is not an object"
        return verdict
    for number, (name, value) in enumerate(_leaves(wanted, "")):
        if number == _MOST_NAMES:
            verdict.refused["settings"] = f"has more than {_MOST_NAMES} names; the rest is ignored"
            break
        problem = _problem(name, value)
        if problem is None:
            verdict.accepted[name] = float(value)  # type: ignore[arg-type]  # judged just now
        else:
            verdict.refused[foreign(name, _LONGEST_NAME)] = problem
    return verdict


def nested(settings: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Return ``settings`` as a shadow has them: sections with names in them."""
    sections: dict[str, dict[str, float]] = {}
    for name, value in sorted(settings.items()):
        section, _, last = name.rpartition(".")
        sections.setdefault(section, {})[last] = value
    return sections


def _leaves(section: Mapping[object, object], prefix: str) -> Iterator[tuple[str, object]]:
    for name, value in section.items():
        if isinstance(value, Mapping) and not prefix:
            yield from _leaves(value, f"{name}.")
        else:
            yield f"{prefix}{name}", value


def _problem(name: str, value: object) -> str | None:
    limits = SETTABLE.get(name)
    if limits is None:
        return f"cannot be set from afar; these can: {', '.join(SETTABLE)}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "is not a number"
    if not limits.least <= value <= limits.most:
        return f"is not from {limits.least:g} to {limits.most:g}"
    return None
