"""A program of one's own that publishes and subscribes as the device, and never sees the key.

The program says one JSON object a line and is answered in the same way (docs/operation.md). What it
publishes is accepted once it is in an outbox on disk; what programs say together is one commit.
What comes for it is kept in another outbox until it says that it has it. Settings say which topics
it may use.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from device.errors.storage import StorageError
from device.errors.text import foreign
from device.operation.counters import Counters
from device.operation.outbox import Outbox, Window
from device.operation.task import Deed, FromWithin, Order, QuietTask, Report, matches
from device.provisioning.actions import Publish
from device.provisioning.events import Event, MessageReceived
from device.provisioning.messages import UNREADABLE

LARGEST: Final = 128 * 1024
"""Bytes of a payload (AWS IoT Core quotas)."""
_LONGEST_TOPIC: Final = 256
_MOST_LEVELS: Final = 8


Line = tuple[int, bytes]
"""Which of the programs that are connected said something, and what it said."""


class ApplicationSaid(FromWithin, frozen=True):
    """Programs said something."""

    take: Callable[[], Sequence[Line]]
    """Returns the lines that came until then, in order: what comes together is kept together."""


class ApplicationLeft(FromWithin, frozen=True):
    """A program is gone."""

    client: int


class Answer(Deed, frozen=True):
    """Tell a program something; one that is gone is told nothing."""

    client: int
    payload: bytes
    is_reply: bool = True
    """Whether it answers what the program said; each line is answered once."""


class _Said(msgspec.Struct, forbid_unknown_fields=True):
    publish: str | None = None
    payload: str = ""
    id: int | str | None = None
    listen: bool = False
    received: int | None = None


_SAID: Final = msgspec.json.Decoder(_Said)


class Application(QuietTask):
    """The task of the programs that are connected."""

    def __init__(
        self,
        publish: Sequence[str],
        subscribe: Sequence[str],
        *,
        outbox: Outbox,
        inbox: Outbox,
        counters: Counters,
    ) -> None:
        """Let programs publish to filters of ``publish``, and hear those of ``subscribe``."""
        self._publishable: Final = tuple(publish)
        self._subscriptions: Final = tuple(subscribe)
        self._outbox: Final = outbox
        self._window: Final = Window(outbox)
        self._inbox: Final = inbox
        self._counters: Final = counters
        self._accepted: Final[list[tuple[int, _Said, Publish]]] = []
        """What programs said together, and is to be kept by one commit."""
        self._listener: int | None = None
        self._delivery, self._is_delivering = 0, False

    def subscriptions(self) -> Sequence[str]:
        """Hear what the settings say."""
        return self._subscriptions

    def on_connected(self) -> Sequence[Order]:
        """Publish what was accepted meanwhile."""
        self._window.open()
        return self._window.take()

    def on_disconnected(self) -> None:
        """Publish again what was under way: it is not known whether it arrived."""
        self._window.close()

    def on_message(self, message: MessageReceived) -> Sequence[Order]:
        """Keep ``message`` until a program has it; the oldest makes room for it."""
        kept, said = Publish(message.topic, message.payload), []
        while len(self._inbox) and not self._inbox.has_room_for(kept):
            self._inbox.remove()
            self._is_delivering = False
            said.append(Report("message dropped", "no program took it, and there is no room"))
        try:
            self._inbox.put(kept)
        except StorageError as error:
            self._inbox.hold(kept)
            said.append(Report("message not on disk", f"kept in memory: {error}"))
        return [*said, *self._deliver()]

    def on_acknowledged(self, publication: Publish) -> Sequence[Order]:
        """Forget what arrived, and publish the next."""
        return self._window.take() if self._window.arrived(publication) else []

    def on_fact(self, fact: Event) -> Sequence[Order]:
        """Do what a program asks for."""
        match fact:
            case ApplicationSaid(take):
                said = [order for line in take() for order in self._hear(*line)]
                return [*said, *self._keep_together(), *self._window.take()]
            case ApplicationLeft(client) if client == self._listener:
                self._listener, self._is_delivering = None, False
        return []

    def on_stopped(self) -> Sequence[Report]:
        """Say what waits for the next start."""
        self._outbox.settle()
        waiting = len(self._outbox)
        return [Report("application kept", f"{waiting} for the next start")] if waiting else []

    # --- what a program says --------------------------------------------------------------------

    def _hear(self, client: int, payload: bytes) -> Sequence[Order]:
        """Return the answers, in order; a message to publish is answered when it is kept."""
        try:
            said = _SAID.decode(payload)
        except UNREADABLE as error:
            refused = self._refuse(client, None, f"not understood: {foreign(str(error))}")
            return [*self._keep_together(), refused]
        if said.publish is not None:
            return self._accept(client, said.publish, said)
        return [*self._keep_together(), *self._answer(client, said)]

    def _answer(self, client: int, said: _Said) -> Sequence[Order]:
        if said.listen:
            return self._listen(client, said)
        if said.received is not None:
            return self._received(client, said)
        return [self._refuse(client, said, "say publish, listen or received")]

    def _accept(self, client: int, topic: str, said: _Said) -> Sequence[Order]:
        try:
            content = b64decode(said.payload, validate=True)
            problem = self._problem(topic, content)
        except ValueError:
            content, problem = b"", "the payload is not base64"
        if problem:
            return [*self._keep_together(), self._refuse(client, said, problem)]
        publication = Publish(topic, content)
        together = (each for _, _, each in self._accepted)
        fits = self._outbox.has_room_for(*together, publication)
        before = [] if fits else self._keep_together()
        self._accepted.append((client, said, publication))
        return before

    def _keep_together(self) -> Sequence[Order]:
        """Put what was accepted into the outbox, by one commit, and answer for each."""
        accepted = self._accepted.copy()
        self._accepted.clear()
        try:
            if accepted:
                self._outbox.put(*(publication for _, _, publication in accepted))
        except StorageError as error:
            return [self._refuse(client, said, str(error)) for client, said, _ in accepted]
        return [_answer(client, accepted=said.id) for client, said, _ in accepted]

    def _problem(self, topic: str, content: bytes) -> str:
        """Return why ``content`` may not be published to ``topic``; empty if it may."""
        is_sound = 0 < len(topic.encode()) <= _LONGEST_TOPIC and topic.count("/") < _MOST_LEVELS
        if not is_sound or not topic.isprintable() or {"+", "#"} & set(topic):
            return "this is not a topic to publish to"
        if not any(matches(allowed, topic) for allowed in self._publishable):
            return "the settings do not allow this topic: application.publish"
        if len(content) > LARGEST:
            return f"the payload is larger than {LARGEST} bytes"
        return ""

    def _listen(self, client: int, said: _Said) -> Sequence[Order]:
        """Let ``client`` have the messages from now on; the one before has them no more."""
        self._listener, self._is_delivering = client, False
        return [_answer(client, listening=list(self._subscriptions), id=said.id), *self._deliver()]

    def _received(self, client: int, said: _Said) -> Sequence[Order]:
        if client != self._listener or not self._is_delivering or said.received != self._delivery:
            return [self._refuse(client, said, "no such message was sent to you")]
        self._is_delivering = False
        self._inbox.remove()
        return [_answer(client, taken=said.received), *self._deliver()]

    def _refuse(self, client: int, said: _Said | None, reason: str) -> Order:
        self._counters.application_refusals += 1
        return _answer(client, refused=said.id if said else None, reason=reason)

    # --- what goes out --------------------------------------------------------------------------

    def _deliver(self) -> Sequence[Order]:
        if self._listener is None or self._is_delivering or not len(self._inbox):
            return []
        self._is_delivering, self._delivery = True, self._delivery + 1
        message = self._inbox.at(0)
        content = b64encode(message.payload).decode()
        document = {"message": self._delivery, "topic": message.topic, "payload": content}
        return [Answer(self._listener, msgspec.json.encode(document), is_reply=False)]


def _answer(client: int, **document: Any) -> Answer:
    return Answer(client, msgspec.json.encode(document))
