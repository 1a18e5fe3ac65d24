"""Ways of the search once more, on the real event loop: do both say the same to the cloud?

The search carries out a machine's orders itself, one at a time. Here the real `Agent` does, with
the same answer that goes wrong at the same order. What is compared is every order to the network
until the device is home.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from device.provisioning import actions as act
from device.provisioning import events as ev
from device.runtime.backoff import Dice
from tests.exhaustive.cloud import LIES, refusing
from tests.exhaustive.device_node import DeviceNode
from tests.exhaustive.search import HONEST
from tests.support.power import PowerCutError
from tests.support.simulated_cloud import SimulatedSession

Said = tuple[str, str]
ON_THE_NETWORK = (act.Connect, act.Subscribe, act.Request, act.Publish, act.Disconnect)
CUT = "power cut"
MOST_STEPS = 1000


@dataclass(frozen=True)
class Way:
    """A way home on which one answer goes wrong."""

    number: int
    """Of the order to the network, from 0."""
    move: str
    said: tuple[Said, ...]


def ways(start: DeviceNode) -> Iterator[Way]:
    """Yield every way on which one order to the network goes wrong, and then no more."""
    node = start
    said: list[Said] = []
    while not node.is_home:
        order = _next_order(node)
        if order is not None:
            for move in (CUT, *node._network_moves(order)):
                first = [] if move == CUT else [spoken(order)]
                rest = _said_from(node.after(move))
                yield Way(len(said), move, (*said, *first, *rest))
            said.append(spoken(order))
        node = node.after(HONEST)


def spoken(order: act.Action) -> Said:
    """Return ``order`` without what differs between two runs."""
    match order:
        case act.Connect(credential, client_id):
            return f"Connect {credential.name}", client_id
        case act.Request(topic) | act.Publish(topic):
            return type(order).__name__, topic
    return type(order).__name__, ""


def _next_order(node: DeviceNode) -> act.Action | None:
    is_next = not node.facts and node.orders and isinstance(node.orders[0], ON_THE_NETWORK)
    return node.orders[0] if is_next else None


def _said_from(node: DeviceNode) -> Iterator[Said]:
    for _ in range(MOST_STEPS):
        if node.is_home:
            return
        order = _next_order(node)
        if order is not None:
            yield spoken(order)
        node = node.after(HONEST)
    raise AssertionError("an honest cloud does not lead home")


@dataclass
class Plot:
    """What goes wrong, and what was said so far."""

    number: int
    move: str
    said: list[Said] = field(default_factory=list)


class PlottedSession(SimulatedSession):
    """A session in which one order has the outcome that the search gave it."""

    def __init__(self, plot: Plot, *what: Any) -> None:
        super().__init__(*what)
        self._plot = plot

    def perform(self, action: act.Action) -> None:
        plot = self._plot
        is_now = len(plot.said) == plot.number
        if is_now and plot.move == CUT:
            plot.number = -1
            raise PowerCutError
        plot.said.append(spoken(action))
        if is_now:
            self._go_wrong(action, plot.move)
        else:
            super().perform(action)

    def _go_wrong(self, order: act.Action, move: str) -> None:
        if isinstance(order, act.Connect):
            self.close()
            failures = {"unreachable": ev.ConnectFailed("x"), "hung up": ev.NotLetIn("hang-up")}
            self._events.extend([failures[move]] if move in failures else [])
            return
        match move:
            case "silence":
                return
            case "cut before":
                self.lose()
                return
            case "busy":
                self._events.append(ev.NotAcknowledged("busy", "", may_succeed_later=True))
                return
            case "denied":
                self._events.append(_denial(order))
                return
        if move not in LIES and move != "malformed":
            super().perform(order)
        if move == "cut after":
            self.lose()
        elif isinstance(order, act.Request):
            self._lie(order, move)

    def _lie(self, order: act.Request, move: str) -> None:
        if move == "malformed":
            self._events.append(ev.MessageReceived(_answers(order.topic), b"{"))
            return
        if move in LIES or move == "done, but says 503":
            self._events.clear()
            self._events.append(refusing(order, move if move in LIES else "says 503"))
            return
        true = self._events.pop()
        assert isinstance(true, ev.MessageReceived)
        self._events.append(ev.MessageReceived(true.topic, self._changed(true.payload, move)))

    def _changed(self, payload: bytes, move: str) -> bytes:
        lies: dict[str, dict[str, str]] = {
            "another thing": {"thingName": "SN-666"},
            "another key's certificate": {"certificatePem": self._cloud.claim_pem},
            "says no": {"step": "refused", "reason": "no"},
            "another certificate": {"certificateId": "e" * 64},
        }
        return json.dumps(json.loads(payload) | lies[move]).encode()


def _answers(topic: str) -> str:
    """Return where the cloud answers to a request on ``topic``."""
    if topic.startswith("firstboot/renewal/"):
        return topic.replace("/device", "/cloud")
    return f"{topic}/accepted"


def _denial(order: act.Action) -> ev.Event:
    if isinstance(order, act.Subscribe):
        return ev.SubscriptionDenied(order.topics[:1])
    assert isinstance(order, act.Publish | act.Request)
    return ev.PublishDenied(order.topic)


class Unhurried(Dice):
    """Waits as long as it may."""

    def uniform(self, a: float, b: float) -> float:
        return max(a, b)
