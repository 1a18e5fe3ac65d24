"""Methods as a station prepares them, and what its reports say."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from factory.account.ca_certificates import CertificateMode
from factory.account.changes import Outcome, Report
from factory.account.cloud import Cloud
from factory.methods import METHODS
from factory.methods.method import DEFAULT_CHOICES, Choices, Method
from factory.station.station import open_or_make_station, open_station
from tests.support.station_cloud import CutCloud, PowerCutError

OWN_AUTHORITIES: Final = "certificate authority"
"""What the station makes for itself; it is not of the account."""


@dataclass(frozen=True)
class Case:
    """A method, and what is chosen."""

    method: Method
    choices: Choices = DEFAULT_CHOICES


CASES: Final = {
    **{each.name: Case(each) for each in METHODS.values()},
    "jitp-inline": Case(METHODS["jitp"], Choices(CertificateMode.SNI_ONLY, inline_template=True)),
    "claim-hook": Case(METHODS["claim"], Choices(hook=True)),
}
SIDE_BY_SIDE: Final = ["jitp", "jitr", "multi-account", "claim-hook"]
"""Cases that can be prepared in one account at the same time."""


def prepare(case: Case, cloud: Cloud, folder: Path, choices: Choices | None = None) -> Report:
    with open_or_make_station(folder) as station:
        return case.method.prepare(cloud, station, choices or case.choices)


def teardown(case: Case, cloud: Cloud, folder: Path) -> Report:
    with open_station(folder) as station:
        return case.method.teardown(cloud, station, devices=False)


def outcomes(report: Report) -> set[Outcome]:
    return {each.outcome for each in report.changes if each.kind != OWN_AUTHORITIES}


def outcome_of(report: Report, kind: str) -> tuple[Outcome, str]:
    (found,) = [(each.outcome, each.note) for each in report.changes if each.kind == kind]
    return found


def is_whole(case: Case, cloud: Cloud, folder: Path) -> bool:
    """Tell whether another run finds nothing to do."""
    watched = CutCloud(cloud)
    return outcomes(prepare(case, watched, folder)) == {Outcome.UNCHANGED} and not watched.changes


def step_by_step(run: Callable[[Cloud], Report], cloud: Cloud, *, reply_lost: bool) -> list[str]:
    """Cut the run after each change until one is not cut; return the changes that were made.

    What is cut is, in turn, the reply to the one change and the sending of the next;
    ``reply_lost``: with which of them it begins.
    """
    made: list[str] = []
    for turn in range(40):
        is_lost = reply_lost == (turn % 2 == 0)
        cut = CutCloud(cloud, cut_at=1 if is_lost else 2, reply_lost=is_lost)
        with suppress(PowerCutError):
            run(cut)
            return made + cut.changes
        made += cut.changes[:1]
    raise AssertionError(f"it never came to its end: {made}")
