"""What a task is: one thing that a proven device does over its MQTT connection.

A task is pure, as a provisioning machine is: it opens no socket and reads no clock. It is told
what happened and returns orders. All tasks share one connection, which the loop makes and makes
again; a task that is to lose nothing keeps what AWS IoT has not acknowledged.

What a task cannot do itself, such as measure the machine or keep a note over a power cut, it orders
as a `Deed`; the runtime does it (`device.runtime.deeds`), and what came of it is a fact for
`on_fact`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from device.provisioning.actions import Action, Publish
from device.provisioning.events import Event, MessageReceived


class Report(Action, frozen=True):
    """Tell people what happened: the name of a step, and its detail."""

    name: str
    detail: str = ""


class Deed(Action, frozen=True):
    """Something that the device does beside its connection, at once and before later orders."""


Order = Publish | Report | Deed
"""What a task may ask for. Publications are made one at a time, in order, at QoS 1."""


class FromWithin(Event, frozen=True):
    """A fact that comes at any time, also while the device waits to connect again."""


class Reconfigured(Event, frozen=True):
    """Settings were changed from afar; they are durable, and hold from now on."""

    settings: Mapping[str, float]
    """All that are changed, by name."""


class Task(Protocol):
    """One thing that a device does; moments are seconds of a monotonic clock."""

    def subscriptions(self) -> Sequence[str]:
        """Return the topic filters whose messages are for this task."""
        ...

    def on_connected(self) -> Sequence[Order]:
        """Go to work: the device is connected, and the subscriptions are made."""
        ...

    def on_disconnected(self) -> None:
        """Stop publishing; what was not acknowledged may or may not have arrived."""
        ...

    def on_message(self, message: MessageReceived, /) -> Sequence[Order]:
        """Answer ``message``, whose topic matches one of the subscriptions."""
        ...

    def on_acknowledged(self, publication: Publish, /) -> Sequence[Order]:
        """Go on, since AWS IoT has ``publication``."""
        ...

    def on_fact(self, fact: Event, /) -> Sequence[Order]:
        """Take note of what happened within the device; each task is told every fact."""
        ...

    def next_due(self) -> float:
        """Return the moment of the next `on_due`; infinity for none."""
        ...

    def on_due(self, now: float, /) -> Sequence[Order]:
        """Do what is due at ``now``, connected or not; only a connected task may publish."""
        ...

    def on_stopped(self) -> Sequence[Report]:
        """Say what remains undone, since the device stops."""
        ...


class QuietTask:
    """A `Task` that does nothing of its own accord: a base that leaves only what differs."""

    def subscriptions(self) -> Sequence[str]:
        """Subscribe to nothing."""
        return ()

    def on_connected(self) -> Sequence[Order]:
        """Have nothing to begin with."""
        return []

    def on_disconnected(self) -> None:
        """Have nothing to stop."""

    def on_message(self, _: MessageReceived, /) -> Sequence[Order]:
        """Answer nothing."""
        return []

    def on_acknowledged(self, _: Publish, /) -> Sequence[Order]:
        """Have nothing that waits for it."""
        return []

    def on_fact(self, _: Event, /) -> Sequence[Order]:
        """Be concerned by nothing."""
        return []

    def next_due(self) -> float:
        """Have no schedule."""
        return math.inf

    def on_due(self, _: float, /) -> Sequence[Order]:
        """Have nothing to do by schedule."""
        return []

    def on_stopped(self) -> Sequence[Report]:
        """Leave nothing undone."""
        return []


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a message on ``topic`` is one that ``topic_filter`` subscribes to.

    Source: MQTT 5, 4.7; a wildcard at the beginning does not match topics that begin with ``$``.
    """
    wanted, levels = topic_filter.split("/"), topic.split("/")
    if wanted[0] in {"+", "#"} and topic.startswith("$"):
        return False
    if wanted[-1] == "#":
        wanted.pop()
        levels = levels[: len(wanted)]
    pairs = zip(wanted, levels, strict=False)
    return len(wanted) == len(levels) and all(want in {"+", level} for want, level in pairs)
