"""Each deed of a script does to a packet what it says, at any byte."""

from hypothesis import given
from hypothesis import strategies as st

from advisor import codec
from advisor.broker import Broker, Close, Order, Send
from advisor.codec import MQTT_5, MQTT_311, Kind
from advisor.journal import Journal, What, waits
from advisor.script import (
    Change,
    Cut,
    Deed,
    Delay,
    Duplicate,
    Instead,
    Reorder,
    Rule,
    Script,
    Withhold,
)
from tests.advisor.virtual_client import Habits, connect, publish, subscribe

CONNACK = codec.connack(MQTT_311)


def answer_to_connect(deed: Deed, version: int = MQTT_311) -> list[Order]:
    broker = Broker(Script((Rule(Kind.CONNACK, deed),)), Journal())
    broker.opened(1)
    return broker.received(1, connect(Habits(version=version)), 0.0)


def test_a_broker_that_behaves_answers() -> None:
    broker = Broker(Script(), Journal())
    broker.opened(1)
    said = broker.received(1, connect(Habits()) + subscribe(Habits(), 3, ["a"]), 0.0)
    assert said == [Send(CONNACK), Send(codec.suback(MQTT_311, 3, b"\1"))]


def test_withheld_delayed_twice_and_replaced() -> None:
    assert answer_to_connect(Withhold()) == []
    assert answer_to_connect(Delay(3.0)) == [Send(CONNACK, 3.0)]
    assert answer_to_connect(Duplicate(3)) == [Send(CONNACK)] * 3
    assert answer_to_connect(Instead(b"x")) == [Send(b"x")]


@given(st.integers(0, 4))
def test_cut_at_any_byte(after: int) -> None:
    assert answer_to_connect(Cut(after)) == [Send(CONNACK[:after]), Close()]


@given(st.integers(0, 9), st.integers(1, 255))
def test_changed_at_any_byte(at: int, bits: int) -> None:
    [order] = answer_to_connect(Change(at, bits))
    assert isinstance(order, Send)
    assert len(order.data) == len(CONNACK)
    assert sum(a != b for a, b in zip(order.data, CONNACK, strict=True)) == 1


def test_only_mqtt_5_is_told_the_reason_of_a_cut() -> None:
    assert len(answer_to_connect(Cut(reason=0x8E))) == 2
    [_, word, _] = answer_to_connect(Cut(reason=0x8E), MQTT_5)
    assert word == Send(codec.disconnect(0x8E))


def test_reordered_after_the_packet_that_follows() -> None:
    broker = Broker(Script((Rule(Kind.PUBACK, Reorder(), packets=(1,)),)), Journal())
    broker.opened(1)
    broker.received(1, connect(Habits()), 0.0)
    data = publish(Habits(), "t", b"", 1) + publish(Habits(), "t", b"", 2)
    assert broker.received(1, data, 0.0) == [Send(codec.puback(2)), Send(codec.puback(1))]


def test_a_session_is_kept_for_who_asks_for_it() -> None:
    broker = Broker(Script(), Journal())
    for link, is_clean in enumerate((False, False, True, False), 1):
        broker.opened(link)
        said = broker.received(link, connect(Habits(is_clean=is_clean)), 0.0)
        assert said == [Send(codec.connack(MQTT_311, session_present=link == 2))]


def test_what_is_not_mqtt_is_noted_and_closed() -> None:
    journal = Journal()
    broker = Broker(Script(), journal)
    broker.opened(1)
    assert broker.received(1, b"GET / HTTP/1.1\r\n\r\n" + bytes(80), 0.0) == [Close()]
    assert journal.entries[0].what is What.MALFORMED


def test_a_wait_is_from_the_end_of_a_connection_to_the_next_connect() -> None:
    journal = Journal()
    broker = Broker(Script((Rule(Kind.CONNACK, Withhold()),)), journal)
    for link, (opened, closed) in enumerate(((0.0, 20.0), (21.0, 41.0), (43.5, 50.0)), 1):
        broker.opened(link)
        broker.received(link, connect(Habits()), opened)
        broker.closed(link, closed)
    assert waits(journal.entries) == [1.0, 2.5]
