"""What a task is: one thing that a proven device does over its MQTT connection.

A task is pure, as a provisioning machine is: it opens no socket and reads no clock. It is told
what happened and returns orders. All tasks share one connection, which the loop makes and makes
again; a task that is to lose nothing keeps what AWS IoT has not acknowledged.
"""

from collections.abc import Sequence
from typing import Protocol

from device.provisioning.actions import Action, Publish
from device.provisioning.events import MessageReceived


class Report(Action, frozen=True):
    """Tell people what happened: the name of a step, and its detail."""

    name: str
    detail: str = ""


Order = Publish | Report
"""What a task may ask for. Publications are made one at a time, in order, at QoS 1."""


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

    def next_due(self) -> float:
        """Return the moment of the next `on_due`; infinity for none."""
        ...

    def on_due(self, now: float, /) -> Sequence[Order]:
        """Do what is due at ``now``, connected or not; only a connected task may publish."""
        ...

    def on_stopped(self) -> Sequence[Report]:
        """Say what remains undone, since the device stops."""
        ...


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
