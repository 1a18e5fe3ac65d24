"""Does every state of machine, storage and cloud lead home, with one identity?"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from device.provisioning import events as ev
from device.provisioning.claim import ClaimMachine
from device.provisioning.claim_states import State
from device.provisioning.machine import AnyMachine
from device.storage.device_storage import DeviceStorage
from tests.exhaustive.device_node import DeviceNode
from tests.exhaustive.end_node import EndNode
from tests.exhaustive.scenes import LIVES, SEARCHES, proven, start
from tests.exhaustive.search import Found, search

PAGE = Path(__file__).parents[2] / "docs" / "cannot-be-bricked.md"
MOST_STRUCK = {"recovery": 2}
"""How many hostile moves the long search has, where all of them would take hours."""
HOSTILE_MOVES = {"claim": 2}
"""How many moves the fast suite lets the world be hostile; one, where nothing is said."""


def assert_leads_home(found: Found) -> None:
    assert found.broken == []
    assert found.stuck == []
    assert found.homes > 0


@pytest.mark.parametrize("name", SEARCHES)
def test_after_some_hostile_moves_every_state_leads_home(name: str, tmp_path: Path) -> None:
    found = search(start(name, tmp_path), most_hostile=HOSTILE_MOVES.get(name, 1))

    assert_leads_home(found)
    assert found.nodes > 50


@pytest.mark.long
@pytest.mark.parametrize("name", SEARCHES)
def test_every_state_leads_home_and_the_page_tells_how_many(name: str, tmp_path: Path) -> None:
    found = search(start(name, tmp_path))

    assert_leads_home(found)
    assert found.complete
    assert row(name, found) in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", LIVES)
def test_after_a_hostile_move_every_state_of_a_proven_device_leads_home(
    name: str, tmp_path: Path
) -> None:
    found = search(proven(name, tmp_path), most_hostile=1)

    assert_leads_home(found)
    assert found.nodes > 100


@pytest.mark.long
@pytest.mark.parametrize("name", LIVES)
def test_every_state_of_a_proven_device_leads_home_and_the_page_tells_how_many(
    name: str, tmp_path: Path
) -> None:
    most = MOST_STRUCK.get(name)
    found = search(proven(name, tmp_path), most_hostile=most, goes_on_at_home=True)

    assert_leads_home(found)
    assert found.complete or most is not None
    words = name if most is None else f"{name}, {most} hostile moves"
    assert row(words, found) in PAGE.read_text(encoding="utf-8")


def test_a_decommissioning_that_is_cut_twice_ends(tmp_path: Path) -> None:
    living = proven("renewal", tmp_path)
    found = search(EndNode(living, living.disk), most_hostile=2)

    assert_leads_home(found)
    assert found.nodes > 20


@pytest.mark.long
def test_from_every_state_of_a_renewal_a_decommissioning_ends_whatever_is_cut(
    tmp_path: Path,
) -> None:
    living = proven("renewal", tmp_path)
    found = search(EndNode(living, living.disk))

    assert_leads_home(found)
    assert found.complete
    assert row("decommission", found) in PAGE.read_text(encoding="utf-8")


def row(name: str, found: Found) -> str:
    """Return the line of docs/cannot-be-bricked.md for a search."""
    numbers = (found.nodes, found.edges, found.homes, len(found.stuck), len(found.broken))
    cells = [name, *(f"{number:,}" for number in (*numbers, found.longest_way))]
    return f"| {' | '.join(cells)} |"


# --- can it fail? ------------------------------------------------------------------------------


Table = Mapping[State, Mapping[type[ev.Event], State]]


def with_machine(node: DeviceNode, changes: Table) -> DeviceNode:
    """Return ``node`` with rows of the machine's table changed."""
    honest: Callable[[DeviceStorage, bool], AnyMachine] = node.scene.machine

    def changed(storage: DeviceStorage, at_hand: bool, /) -> AnyMachine:
        machine = honest(storage, at_hand)
        assert isinstance(machine, ClaimMachine)
        rows = machine.transitions.items()
        table = {state: {**row, **changes.get(state, {})} for state, row in rows}
        machine.transitions = table  # type: ignore[misc]  # only here is it another
        return machine

    scene = replace(node.scene, machine=changed)
    return replace(node, scene=scene).powered_on().summed_up()


def test_the_search_finds_a_machine_that_promotes_before_the_proof(tmp_path: Path) -> None:
    hasty: Table = {State.CONNECTING_AS_DEVICE: {ev.Connected: State.PROMOTING_CERTIFICATE}}
    found = search(with_machine(start("claim", tmp_path), hasty), most_hostile=0)

    assert found.broken[0].startswith("promoted before it was proven: power > honest")


def test_the_search_finds_a_machine_that_never_gives_a_lost_certificate_up(tmp_path: Path) -> None:
    stubborn: Table = {State.REDEEMING_SAVED_TOKEN: {ev.TokenRefused: State.FAILED}}
    found = search(with_machine(start("claim", tmp_path), stubborn), most_hostile=2)

    assert re.search(r"(an hour passes|certificates deleted)", found.stuck[0])
