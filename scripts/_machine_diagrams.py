"""The state diagrams of the provisioning machines, from their tables."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeVar

from device.provisioning import claim_states, presented
from device.provisioning.events import Event
from device.provisioning.machine import Transitions

S = TypeVar("S", bound=Enum)

Table = Mapping[Enum, Mapping[type[Event], Enum]]

_RETRY: Final = "WAITING_TO_RETRY"
_STOP: Final = "FAILED"
"""Nearly every state leads to these two: arrows would hide the flow, so a table says it."""


@dataclass(frozen=True)
class Chart:
    """One machine: its table, and tables that differ from it in a few rows."""

    name: str
    table: Table
    variants: Mapping[str, Table]


def _table(transitions: Transitions[S]) -> Table:
    """Return a machine's table as one of any states."""
    return {state: {**row} for state, row in transitions.items()}


CHARTS: Final = (
    Chart(
        "claim",
        _table(claim_states.TRANSITIONS),
        {"With keys made by AWS": _table(claim_states.TRANSITIONS_WITH_AWS_KEYS)},
    ),
    Chart(
        "presented",
        _table(presented.JUST_IN_TIME),
        {"Where the certificate was registered beforehand": _table(presented.PREREGISTERED)},
    ),
)


def with_diagrams(document: str) -> str:
    """Return ``document`` with what lies between the marks of each chart written again."""
    for chart in CHARTS:
        begin, end = (f"<!-- {chart.name}: {edge} -->" for edge in ("by scripts/docs", "end"))
        before, found, rest = document.partition(begin)
        _, closed, after = rest.partition(end)
        if found and closed:
            lines = [*_diagram(chart.table), "", *_failures(chart.table), "", *_differences(chart)]
            document = "\n".join([f"{before}{begin}", "", *lines, "", f"{end}{after}"])
    return document


def _diagram(table: Table) -> Iterator[str]:
    flow = [state for state in table if state.name not in {_RETRY, _STOP}]
    yield "```mermaid"
    yield "stateDiagram-v2"
    for state in flow:
        yield f'    state "{state.value}" as {state.name}'
    yield f"    [*] --> {flow[0].name}"
    for state in flow:
        for target in dict.fromkeys(table[state].values()):
            if target in flow:
                yield f"    {state.name} --> {target.name} : {_events(table, state, target, ' / ')}"
        if not table[state]:
            yield f"    {state.name} --> [*]"
    yield "```"


def _failures(table: Table) -> Iterator[str]:
    yield "| while | tries again after | stops after |"
    yield "|---|---|---|"
    retry, stop = (next(state for state in table if state.name == name) for name in (_RETRY, _STOP))
    for state in table:
        again, at_all = _events(table, state, retry), _events(table, state, stop)
        if again or at_all:
            yield f"| {state.value} | {again or '-'} | {at_all or '-'} |"


def _differences(chart: Chart) -> Iterator[str]:
    """Say in which rows the variants differ, and which states begin again as at power-on."""
    for words, variant in chart.variants.items():
        for state, row in variant.items():
            for event, target in row.items():
                if chart.table[state].get(event) is not target:
                    yield f'- {words}: {state.value}, {event.__name__} leads to "{target.value}".'
    start, *others = chart.table
    for state in others:
        if chart.table[state] == chart.table[start]:
            yield f'- "{state.value}" has the same rows as "{start.value}".'


def _events(table: Table, state: Enum, target: Enum, separator: str = ", ") -> str:
    return separator.join(event.__name__ for event, to in table[state].items() if to is target)
