"""An application's own task, of the smallest kind."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from device.operation.task import Order, Report
from device.provisioning import actions as act
from device.provisioning import events as ev


@dataclass
class Echo:
    """Publishes whatever comes in."""

    filters: Sequence[str] = ("cmd/SN-1/+",)
    copies: int = 1
    heard: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)

    def subscriptions(self) -> Sequence[str]:
        return self.filters

    def on_connected(self) -> Sequence[Order]:
        self.heard.append("connected")
        return []

    def on_disconnected(self) -> None:
        self.heard.append("disconnected")

    def on_message(self, message: ev.MessageReceived) -> Sequence[Order]:
        self.heard.append(message.topic)
        return [act.Publish("echo/SN-1", message.payload)] * self.copies

    def on_acknowledged(self, publication: act.Publish) -> Sequence[Order]:
        self.sent.append(publication.payload.decode())
        return [Report("echoed", publication.topic)]

    def on_fact(self, _: ev.Event) -> Sequence[Order]:
        return []

    def next_due(self) -> float:
        return math.inf

    def on_due(self, _: float) -> Sequence[Order]:
        raise NotImplementedError

    def on_stopped(self) -> Sequence[Report]:
        return []
