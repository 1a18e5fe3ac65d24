"""The state diagrams of the provisioning machines, from their tables."""

from collections.abc import Iterator
from enum import Enum
from typing import Final

from device.provisioning.claim_states import TRANSITIONS, TRANSITIONS_WITH_AWS_KEYS, State
from device.provisioning.events import Event
from device.provisioning.machine import Transitions

_BEGIN: Final = (
    "<!-- claim: written by scripts/diagrams, from device/provisioning/claim_states.py -->"
)
_END: Final = "<!-- claim: end -->"
_START: Final = State.AWAITING_POWER
_SIDE_TRACKS: Final = (State.WAITING_TO_RETRY, State.FAILED)
"""Nearly every state leads here: arrows would hide the flow, so a table says it."""


def with_diagrams(document: str) -> str:
    """Return ``document`` with what lies between the two marks written anew."""
    before, _, rest = document.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n\n{_claim()}\n\n{_END}{after}"


def _claim() -> str:
    return "\n".join([*_diagram(), "", *_table(), "", *_differences()])


def _diagram() -> Iterator[str]:
    yield "```mermaid"
    yield "stateDiagram-v2"
    for state in TRANSITIONS:
        if state not in _SIDE_TRACKS:
            yield f'    state "{state.value}" as {state.name}'
    yield f"    [*] --> {_START.name}"
    for state in TRANSITIONS:
        if state not in _SIDE_TRACKS:
            yield from _arrows(state)
    yield f"    {State.PROVISIONED.name} --> [*]"
    yield "```"


def _arrows(state: State) -> Iterator[str]:
    for target in dict.fromkeys(TRANSITIONS[state].values()):
        if target not in _SIDE_TRACKS:
            events = " / ".join(_events(TRANSITIONS, state, target))
            yield f"    {state.name} --> {target.name} : {events}"


def _table() -> Iterator[str]:
    yield "| while | tries again after | stops after |"
    yield "|---|---|---|"
    for state in TRANSITIONS:
        retry, stop = (", ".join(_events(TRANSITIONS, state, to)) for to in _SIDE_TRACKS)
        if retry or stop:
            yield f"| {state.value} | {retry or '-'} | {stop or '-'} |"


def _differences() -> Iterator[str]:
    """Say in which rows the machine for keys made by AWS differs, and what a retry does."""
    for state, row in TRANSITIONS_WITH_AWS_KEYS.items():
        for event, target in row.items():
            if TRANSITIONS[state].get(event) is not target:
                yield (
                    f"- With keys made by AWS: {state.value}, {event.__name__} leads to "
                    f'"{target.value}".'
                )
    if TRANSITIONS[State.WAITING_TO_RETRY] == TRANSITIONS[_START]:
        yield f'- "{State.WAITING_TO_RETRY.value}" has the same arrows as "{_START.value}".'


def _events(transitions: Transitions[State], state: State, target: Enum) -> list[str]:
    row = transitions[state]
    return [_name(event) for event, to in row.items() if to is target]


def _name(event: type[Event]) -> str:
    return event.__name__
