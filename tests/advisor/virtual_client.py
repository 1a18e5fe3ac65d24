"""An MQTT client in virtual time, with habits that can be broken one by one.

Client and broker are without I/O, so a case that takes minutes takes milliseconds, and ends the
same on any machine.
"""

import heapq
import json
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Final

from advisor.broker import Broker, Close, Send
from advisor.case import Case, Finding, Given
from advisor.codec import MQTT_5, MQTT_311, Kind, MalformedError, Reader, take_packets
from advisor.journal import Journal, What
from advisor.run import at_the_end, so_far

TOPIC: Final = "advisor/in"
THING: Final = "advisor"
PUBLISH_SECONDS: Final = 5.0
Wait = Callable[[int, random.Random], float]


def full_jitter(attempt: int, dice: random.Random) -> float:
    return 1.0 + dice.uniform(0.0, min(120.0, 2.0**attempt))


def constant(_attempt: int, _dice: random.Random) -> float:
    return 1.0


def linear(attempt: int, _dice: random.Random) -> float:
    return 1.0 + attempt


def exponential(attempt: int, _dice: random.Random) -> float:
    return min(64.0, 2.0**attempt)


@dataclass(frozen=True)
class Habits:
    """What the client does; each default is good."""

    version: int = MQTT_311
    keep_alive: int = 60
    connects: bool = True
    is_clean: bool = False
    connack_seconds: float | None = 10.0
    wait: Wait = full_jitter
    resets_at_connack: bool = False
    comes_back: bool = True
    subscribes: bool = True
    qos: int = 1
    acknowledges: bool = True
    largest: int = 1 << 20
    publishes: bool = True
    publishes_again: bool = True
    takes_new_ids: bool = False
    subscribes_again: bool = True
    ignores_session: bool = False
    keeps_quiet_after_loss: bool = False
    hangs_up_without_pingresp: bool = True
    answer_seconds: float = 15.0
    is_impatient: bool = False
    is_brittle: bool = False
    takes_garbage: bool = False
    reports: bool = True
    obeys: bool = True
    job_ends: str | None = "SUCCEEDED"


class World:
    """A broker with one client, and a clock that jumps to what happens next."""

    def __init__(self, case: Case, habits: Habits, given: Given) -> None:
        self.now = 0.0
        self.journal: Final = Journal()
        self._case: Final = case
        self._given: Final = given
        self._judge: Final = case.judge(given)
        self._script: Final = case.script(given)
        self._broker: Final = Broker(self._script, self.journal)
        self._due: Final[list[tuple[float, int, Callable[[], None]]]] = []
        self._order: Final = count()
        self._links: Final = count(1)
        self.link = 0
        self.client: Final = Client(self, habits)

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self.now + seconds, next(self._order), do))

    def run(self) -> Finding:
        seconds = self._given.soak_seconds if self._case.awaits_end else self._given.seconds
        self.after(0.0, self.client.dial)
        while self._due and self._due[0][0] <= seconds:
            self.now, _, do = heapq.heappop(self._due)
            do()
            if found := so_far(self._case, self._judge, self.journal.entries):
                return found
        return at_the_end(self._case, self._judge, self.journal.entries, seconds)

    def dial(self) -> None:
        self.link = next(self._links)
        self.journal.note(What.OPENED, self.now, self.link)
        self._broker.opened(self.link)

    def send(self, data: bytes) -> None:
        link = self.link
        for order in self._broker.received(link, data, self.now):
            match order:
                case Send(data, delay):
                    self.after(delay, lambda data=data: self._arrive(link, data))  # type: ignore[misc]
                case Close(delay):
                    self.after(delay, lambda: self._lost(link))

    def hang_up(self) -> None:
        self._broker.closed(self.link, self.now)
        self.link = 0

    def end(self) -> None:
        self.journal.note(What.ENDED, self.now, detail="exit code 1")

    def _arrive(self, link: int, data: bytes) -> None:
        if link == self.link:
            self.client.hear(data)

    def _lost(self, link: int) -> None:
        if link == self.link:
            self._broker.cut(link, self.now)
            self.link = 0
            self.client.lost()


class Client:
    """The client under test."""

    def __init__(self, world: World, habits: Habits) -> None:
        self._world = world
        self._habits = habits
        self._dice = random.Random(1)  # noqa: S311 - the same each time
        self._buffer = bytearray()
        self._attempt = 0
        self._ids = count(1)
        self._serial = count(1)
        self._unacknowledged: dict[int, bytes] = {}
        self._asked: set[int] = set()
        self._is_subscribed = False
        self._is_ready = False
        self._pings = 0
        self._accepted_at = float("inf")

    # --- connecting -------------------------------------------------------------------

    def dial(self) -> None:
        if not self._habits.connects:
            return
        self._world.dial()
        link = self._world.link
        self._buffer.clear()
        self._asked.clear()
        self._is_ready, self._pings = False, 0
        self._accepted_at = float("inf")
        self._world.send(connect(self._habits))
        if self._habits.connack_seconds is not None:
            self._if_on(link, self._habits.connack_seconds, self._give_up_unless_ready)

    def lost(self) -> None:
        self._again()

    def _give_up(self) -> None:
        self._world.hang_up()
        self._again()

    def _give_up_unless_ready(self) -> None:
        if not self._is_ready:
            self._give_up()

    def _again(self) -> None:
        if not self._habits.comes_back:
            return
        is_stable = self._world.now - self._accepted_at >= 30.0
        if is_stable or (self._is_ready and self._habits.resets_at_connack):
            self._attempt = 0
        self._world.after(self._habits.wait(self._attempt, self._dice), self.dial)
        self._attempt += 1

    def _if_on(self, link: int, seconds: float, do: Callable[[], None]) -> None:
        self._world.after(seconds, lambda: do() if self._world.link == link else None)

    # --- hearing ----------------------------------------------------------------------

    def hear(self, data: bytes) -> None:
        self._buffer += data
        try:
            for packet in take_packets(self._buffer):
                if self._world.link:
                    self._take(packet)
        except MalformedError:
            if not self._habits.takes_garbage:
                self._give_up()

    def _take(self, packet: bytes) -> None:
        header = Reader(packet[1:])
        header.length()
        body = Reader(header.rest())
        match packet[0] >> 4:
            case Kind.CONNACK:
                self._accepted(body)
            case Kind.SUBACK:
                self._subscribed(body.number(2))
            case Kind.PUBACK:
                self._acknowledged(body.number(2))
            case Kind.PINGRESP:
                self._pings = 0
            case Kind.PUBLISH:
                self._message(packet[0] >> 1 & 3, body)
            case Kind.DISCONNECT:
                self._give_up()
            case _ if not self._habits.takes_garbage:
                self._give_up()

    def _accepted(self, body: Reader) -> None:
        is_present, reason = bool(body.number(1)), body.number(1)
        if reason:
            self._give_up()
            return
        self._is_ready, self._accepted_at = True, self._world.now
        link = self._world.link
        has_session = is_present and self._is_subscribed and not self._habits.ignores_session
        is_quiet = self._is_subscribed and self._habits.keeps_quiet_after_loss
        if self._habits.subscribes and not has_session and not is_quiet:
            self._subscribe(1)
        self._if_on(link, self._habits.keep_alive, self._ping)
        if self._habits.publishes_again and not self._habits.takes_new_ids:
            for data in self._unacknowledged.values():
                self._world.send(data)
        if self._habits.publishes:
            self._world.send(publish(self._habits, "advisor/out", b"hello", 0))
            self._if_on(link, PUBLISH_SECONDS, self._publish)
        if self._habits.reports:
            self._report({"firmware": "1.0"})

    def _subscribe(self, packet_id: int) -> None:
        self._asked.add(packet_id)
        filters = [TOPIC, f"$aws/things/{THING}/shadow/update/delta"]
        filters += [f"$aws/things/{THING}/jobs/notify-next"] if self._habits.job_ends else []
        self._world.send(subscribe(self._habits, packet_id, filters))
        link, seconds = self._world.link, self._habits.answer_seconds
        self._if_on(link, seconds, lambda: self._subscribe_again(packet_id))

    def _subscribe_again(self, packet_id: int) -> None:
        if packet_id not in self._asked:
            return
        if self._habits.is_impatient:
            self._give_up()
        elif self._habits.subscribes_again:
            self._subscribe(packet_id)

    def _subscribed(self, packet_id: int) -> None:
        if packet_id not in self._asked and self._habits.is_brittle:
            self._world.end()
        self._asked.discard(packet_id)
        self._is_subscribed = True

    def _publish(self) -> None:
        packet_id = next(self._ids)
        data = publish(self._habits, "advisor/out", str(next(self._serial)).encode(), packet_id)
        self._unacknowledged[packet_id] = data
        self._world.send(data)
        link, seconds = self._world.link, self._habits.answer_seconds
        self._if_on(link, seconds, lambda: self._publish_again(packet_id))
        self._if_on(link, PUBLISH_SECONDS, self._publish)

    def _publish_again(self, packet_id: int) -> None:
        data = self._unacknowledged.get(packet_id)
        if data is None:
            return
        if self._habits.is_impatient:
            self._give_up()
        elif self._habits.takes_new_ids:
            at = data.index(b"advisor/out") + 11
            self._world.send(data[:at] + next(self._ids).to_bytes(2, "big") + data[at + 2 :])
        elif self._habits.publishes_again:
            self._world.send(data)

    def _acknowledged(self, packet_id: int) -> None:
        oldest = next(iter(self._unacknowledged), None)
        self._unacknowledged.pop(packet_id, None)
        if packet_id != oldest and self._habits.is_brittle:
            self._world.end()

    def _ping(self) -> None:
        if self._pings and self._habits.hangs_up_without_pingresp:
            self._give_up()
            return
        self._pings += 1
        self._world.send(bytes([Kind.PINGREQ << 4, 0]))
        self._if_on(self._world.link, self._habits.keep_alive / 2, self._ping)

    def _message(self, qos: int, body: Reader) -> None:
        topic = body.text()
        packet_id = body.number(2) if qos else 0
        if self._habits.version == MQTT_5:
            body.properties()
        payload = body.rest()
        if len(payload) > self._habits.largest:
            self._give_up()
            return
        if qos and self._habits.acknowledges:
            self._world.send(bytes([Kind.PUBACK << 4, 2]) + packet_id.to_bytes(2, "big"))
        if topic.endswith("/shadow/update/delta") and self._habits.obeys:
            self._report(json.loads(payload)["state"])
        if topic.endswith("/jobs/notify-next"):
            self._work(json.loads(payload).get("execution"))

    def _report(self, state: object) -> None:
        document = json.dumps({"state": {"reported": state}}).encode()
        topic = f"$aws/things/{THING}/shadow/update"
        self._world.send(publish(self._habits, topic, document, 0))

    def _work(self, execution: dict[str, str] | None) -> None:
        if execution is None or self._habits.job_ends is None:
            return
        topic = f"$aws/things/{THING}/jobs/{execution['jobId']}/update"
        for status in ("IN_PROGRESS", self._habits.job_ends):
            document = json.dumps({"status": status}).encode()
            self._world.send(publish(self._habits, topic, document, 0))


# --- what a client sends --------------------------------------------------------------


def _whole(first: int, body: bytes) -> bytes:
    length, encoded = len(body), b""
    while True:
        length, low = divmod(length, 0x80)
        encoded += bytes([low | (0x80 if length else 0)])
        if not length:
            return bytes([first]) + encoded + body


def _text(text: str) -> bytes:
    return struct.pack("!H", len(text)) + text.encode()


def connect(habits: Habits) -> bytes:
    flags = 0x02 if habits.is_clean else 0
    body = _text("MQTT") + bytes([habits.version, flags]) + struct.pack("!H", habits.keep_alive)
    if habits.version == MQTT_5:
        expiry = b"\x11" + struct.pack("!I", 0 if habits.is_clean else 3600)
        body += bytes([len(expiry)]) + expiry
    return _whole(Kind.CONNECT << 4, body + _text("advisor"))


def subscribe(habits: Habits, packet_id: int, filters: list[str]) -> bytes:
    body = struct.pack("!H", packet_id) + (b"\0" if habits.version == MQTT_5 else b"")
    body += b"".join(_text(name) + bytes([habits.qos]) for name in filters)
    return _whole(Kind.SUBSCRIBE << 4 | 2, body)


def publish(habits: Habits, topic: str, payload: bytes, packet_id: int) -> bytes:
    number = struct.pack("!H", packet_id) if packet_id else b""
    properties = b"\0" if habits.version == MQTT_5 else b""
    first = Kind.PUBLISH << 4 | (2 if packet_id else 0)
    return _whole(first, _text(topic) + number + properties + payload)


def verdict(case: Case, habits: Habits, given: Given) -> Finding:
    """Run ``case`` against a client with ``habits``."""
    return World(case, habits, given).run()
