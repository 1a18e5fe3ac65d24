"""Who gets a message: subscriptions, also shared ones, and the sessions that hold them.

"If multiple clients share a subscription, a message goes to one of them, chosen at random"
(developer guide, "MQTT", shared subscriptions: ``$share/NAME/FILTER``). A leading wildcard does
not match ``$aws/events``, and ``a/#`` does not match ``a``, as MiniStack measured of AWS.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from localcloud.broker.session import Keep, Key, Record, Session, new_record

_SHARED: Final = "$share/"
_EVENTS: Final = "$aws/events/"
_WILDCARDS: Final = ("+", "#")

Place = tuple[str, str]
"""Account and Region."""


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a subscription to ``topic_filter`` gets what is published to ``topic``."""
    if topic.startswith(_EVENTS) and topic_filter.startswith(_WILDCARDS):
        return False
    wanted, levels = topic_filter.split("/"), topic.split("/")
    for index, level in enumerate(wanted):
        if index >= len(levels):
            return False
        if level == "#":
            return True
        if level not in {"+", levels[index]}:
            return False
    return len(wanted) == len(levels)


@dataclass
class _Table:
    """The subscriptions of one account and Region."""

    exact: dict[str, dict[str, Session]] = field(default_factory=dict)
    """Sessions by client id, by filter without wildcard."""
    wild: dict[str, dict[str, Session]] = field(default_factory=dict)
    shared: dict[str, dict[str, Session]] = field(default_factory=dict)

    def of(self, topic_filter: str) -> dict[str, dict[str, Session]]:
        """Return the part where a filter belongs."""
        if topic_filter.startswith(_SHARED):
            return self.shared
        return self.wild if any(sign in topic_filter for sign in _WILDCARDS) else self.exact


class Router:
    """Every session, and what each is subscribed to."""

    def __init__(
        self,
        keep: Keep,
        choose: Callable[[list[Session]], Session],
    ) -> None:
        """``keep`` what outlives the process; ``choose`` who gets a shared message."""
        self._keep = keep
        self._choose = choose
        self._sessions: dict[Key, Session] = {}
        self._tables: dict[Place, _Table] = {}

    def find(self, key: Key, now: float) -> Session | None:
        """Return a client's session unless it is over."""
        session = self._sessions.get(key)
        if session and session.is_over(now):
            self.end(session)
            return None
        return session

    def begin(self, key: Key, expiry: int) -> Session:
        """Give a client a new session in place of the one it has."""
        old = self._sessions.get(key)
        if old:
            self.end(old)
        return self.restore(key, new_record(expiry))

    def restore(self, key: Key, record: Record) -> Session:
        """Go on with a session that was saved."""
        session = Session(key, record, self._keep)
        self._sessions[key] = session
        for topic_filter in session.subscriptions:
            self._add(session, topic_filter)
        return session

    def holds(self, session: Session) -> bool:
        """Whether this is still its client's session."""
        return self._sessions.get(session.key) is session

    def end(self, session: Session) -> None:
        """Forget a session."""
        if not self.holds(session):
            return
        for topic_filter in list(session.subscriptions):
            self._remove(session, topic_filter)
        del self._sessions[session.key]
        session.forget()

    def clear(self) -> None:
        """Forget every session, in one go."""
        self._sessions.clear()
        self._tables.clear()

    def subscribe(self, session: Session, topic_filter: str, options: int) -> bool:
        """Subscribe a session; return whether that is new to it."""
        is_new = topic_filter not in session.subscriptions
        session.subscribe(topic_filter, options)
        self._add(session, topic_filter)
        return is_new

    def unsubscribe(self, session: Session, topic_filter: str) -> bool:
        """Unsubscribe a session; return whether it was subscribed."""
        was = topic_filter in session.subscriptions
        session.unsubscribe(topic_filter)
        self._remove(session, topic_filter)
        return was

    def receivers(
        self, place: Place, topic: str, is_connected: Callable[[Session], bool]
    ) -> Iterator[tuple[Session, int]]:
        """Yield each session that gets a message, with its subscription's options."""
        table = self._tables.get(place)
        if table is None:
            return
        for session in list(table.exact.get(topic, {}).values()):
            yield session, session.subscriptions[topic]
        for topic_filter, sessions in list(table.wild.items()):
            if matches(topic_filter, topic):
                for session in list(sessions.values()):
                    yield session, session.subscriptions[topic_filter]
        for topic_filter, sessions in list(table.shared.items()):
            if matches(topic_filter.split("/", 2)[2], topic):
                present = [one for one in sessions.values() if is_connected(one)]
                session = self._choose(present or list(sessions.values()))
                yield session, session.subscriptions[topic_filter]

    def _add(self, session: Session, topic_filter: str) -> None:
        account, region, client_id = session.key
        table = self._tables.setdefault((account, region), _Table())
        table.of(topic_filter).setdefault(topic_filter, {})[client_id] = session

    def _remove(self, session: Session, topic_filter: str) -> None:
        account, region, client_id = session.key
        part = self._tables.setdefault((account, region), _Table()).of(topic_filter)
        sessions = part.get(topic_filter, {})
        sessions.pop(client_id, None)
        if not sessions:
            part.pop(topic_filter, None)
