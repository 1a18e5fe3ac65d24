"""Do the search and the real event loop say the same to the cloud, whatever goes wrong?"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from device.agent import Agent
from device.config.device_plan import plan_for
from device.config.settings import Settings
from device.errors import FirstbootError
from device.runtime.loop import Patience
from device.storage.device_storage import open_device_storage
from tests.exhaustive.cloud import copied
from tests.exhaustive.device_node import DeviceNode
from tests.exhaustive.life_node import LifeNode
from tests.exhaustive.replay import CUT, Plot, PlottedSession, Unhurried, Way, ways
from tests.exhaustive.scenes import proven, start
from tests.support.effort import one_in
from tests.support.power import PowerCutError
from tests.support.worlds import Diary

BEGINNINGS: dict[str, Callable[[Path], DeviceNode]] = {
    "claim": lambda folder: start("claim", folder),
    "claim-aws-keys": lambda folder: start("claim-aws-keys", folder),
    "single-thing": lambda folder: registered(start("single-thing", folder)),
    "renewal": lambda folder: proven("renewal", folder),
    "reset": lambda folder: proven("reset", folder).after("reset"),
}
MOST_BOOTS = 20
PATIENCE = Patience(unreachable=7200.0, refused=7200.0)
"""Longer than any way takes."""


def registered(node: DeviceNode) -> DeviceNode:
    """Have the station register the certificate that the device presents."""
    node._let_the_station_register()
    return node.powered_on()


@pytest.mark.parametrize("name", BEGINNINGS)
def test_the_real_loop_says_what_the_search_says(name: str, tmp_path: Path) -> None:
    beginning, counted = BEGINNINGS[name](tmp_path), 0
    for way in one_in(2, ways(beginning)):
        assert said_by_the_loop(beginning, way) == way.said, way.move
        counted += 1
    assert counted >= 5


def said_by_the_loop(node: DeviceNode, way: Way) -> tuple[tuple[str, str], ...]:
    """Bring a copy of the node's device home with the real `Agent`; return what it said."""
    copy = replace(node, disk=node.disk.with_file([], b""), cloud=copied(node.cloud))
    plot = Plot(way.number, way.move)
    for _ in range(MOST_BOOTS):
        with suppress(PowerCutError, FirstbootError):
            run_once(copy, plot)
            return tuple(plot.said)
    raise AssertionError(f"{way.move} at order {way.number}: not home after {MOST_BOOTS} boots")


def run_once(node: DeviceNode, plot: Plot) -> None:
    settings = patient(node.scene.settings)
    with open_device_storage(node.scene.state, mount=node.disk.mount) as storage:
        agent = Agent(
            storage,
            settings,
            plan_for(storage, settings, "test"),
            open_session=lambda *what: PlottedSession(plot, node.cloud, what[2]),
            clock=node.cloud.clock,
            dice=Unhurried(),
            observer=Diary(),
        )
        try:
            agent.boot(PATIENCE)
            if isinstance(node, LifeNode):
                agent.renew(PATIENCE)
        finally:
            agent.session.close()


def patient(settings: Settings) -> Settings:
    """Return settings with which a round of evidence counts after each wait."""
    retry = msgspec.structs.replace(settings.connection.retry, shortest=31.0, longest=31.0)
    connection = msgspec.structs.replace(settings.connection, retry=retry)
    return msgspec.structs.replace(settings, connection=connection)


def test_the_ways_have_every_kind_of_fault(tmp_path: Path) -> None:
    moves = {way.move for way in ways(proven("renewal", tmp_path))}

    assert {CUT, "cut before", "cut after", "silence", "hung up", "says no", "denied"} <= moves
