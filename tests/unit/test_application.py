"""Does a program publish and hear as the device, within its topics, and is nothing of it lost?"""

import json
import queue
import socket
import threading
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from device.application import Application as Program
from device.application import ApplicationRefusedError, DeviceGoneError, Message
from device.operation.application import (
    LARGEST,
    Answer,
    Application,
    ApplicationLeft,
    ApplicationSaid,
    Line,
)
from device.operation.counters import Counters
from device.operation.outbox import MemoryOutbox
from device.operation.task import Order, Report
from device.provisioning.actions import Publish
from device.provisioning.events import Event, MessageReceived
from device.runtime.application_socket import MOST_CLIENTS, MOST_UNANSWERED, ApplicationSocket
from device.runtime.durable_outbox import DurableOutbox
from tests.support.hang import SECONDS
from tests.support.recording_fs import Created, RecordingDisk

TOPIC = "app/SN-1/door"
INCOMING = MessageReceived("app/SN-1/in", b"open")


def task(most: int = 3) -> Application:
    return Application(
        ["app/SN-1/#"],
        ["app/SN-1/in"],
        outbox=MemoryOutbox(most, 1_000_000),
        inbox=MemoryOutbox(most, 1_000_000),
        counters=Counters(),
    )


def say(application: Application, client: int = 1, **document: Any) -> list[Order]:
    payload = json.dumps(document).encode()
    return list(application.on_fact(ApplicationSaid(lambda: [(client, payload)])))


def lines_of(event: Event) -> Sequence[Line]:
    assert isinstance(event, ApplicationSaid)
    return event.take()


def publish(application: Application, topic: str = TOPIC, content: bytes = b"open") -> list[Order]:
    return say(application, publish=topic, payload=b64encode(content).decode(), id=7)


def told(order: Order) -> dict[str, Any]:
    assert isinstance(order, Answer)
    return dict(json.loads(order.payload))


def test_what_is_accepted_is_published_until_it_is_acknowledged() -> None:
    application = task()
    application.on_connected()

    answer, first = publish(application)
    second_answer, second = publish(application, content=b"shut")
    application.on_disconnected()

    assert told(answer) == {"accepted": 7}
    assert told(second_answer) == {"accepted": 7}
    assert application.on_connected() == [first, second]
    assert application.on_acknowledged(Publish(TOPIC, b"open")) == []
    application.on_disconnected()
    assert application.on_connected() == [Publish(TOPIC, b"shut")]


def test_what_programs_say_together_is_kept_by_one_commit_and_answered_in_order() -> None:
    disk = RecordingDisk({"outbox": {}})
    outbox = DurableOutbox(disk.mount(Path("outbox")), bytes(32), most=2)
    application = Application(
        ["app/#"], [], outbox=outbox, inbox=MemoryOutbox(), counters=Counters()
    )
    lines = [
        (client, json.dumps({"publish": topic, "payload": "", "id": number}).encode())
        for number, (client, topic) in enumerate(
            [(1, "app/a"), (2, "app/b"), (1, "other/c"), (1, "app/d"), (2, "app/e")]
        )
    ]

    answers = [told(order) for order in application.on_fact(ApplicationSaid(lambda: lines))]

    assert [answer.get("accepted", answer.get("refused")) for answer in answers] == [0, 1, 2, 3, 4]
    assert [answer["accepted"] for answer in answers if "accepted" in answer] == [0, 1]
    assert sum(isinstance(op, Created) for op in disk.operations) == 1


def test_without_a_connection_it_is_accepted_all_the_same() -> None:
    application = task()

    [answer] = publish(application)

    assert told(answer) == {"accepted": 7}
    assert application.on_connected() == [Publish(TOPIC, b"open")]


def test_a_full_outbox_refuses_and_loses_nothing() -> None:
    application = task(most=1)
    publish(application)

    [answer] = publish(application)

    assert told(answer)["refused"] == 7
    assert "the outbox is full" in told(answer)["reason"]
    assert application.on_connected() == [Publish(TOPIC, b"open")]


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        ("app/SN-2/door", "the settings do not allow this topic"),
        ("$aws/things/SN-1/shadow/update", "the settings do not allow this topic"),
        ("dt/SN-1/telemetry", "the settings do not allow this topic"),
        ("app/SN-1/#", "not a topic to publish to"),
        ("app/SN-1/+", "not a topic to publish to"),
        ("", "not a topic to publish to"),
        ("app/SN-1/" + "x" * 300, "not a topic to publish to"),
        ("app/SN-1/a/b/c/d/e/f/g", "not a topic to publish to"),
        ("app/SN-1/\n", "not a topic to publish to"),
    ],
)
def test_a_topic_that_the_settings_do_not_allow_is_refused(topic: str, reason: str) -> None:
    application = task()
    application.on_connected()

    [answer] = publish(application, topic)

    assert reason in told(answer)["reason"]


def test_a_payload_that_is_too_large_is_refused() -> None:
    [answer] = publish(task(), content=bytes(LARGEST + 1))

    assert "larger than" in told(answer)["reason"]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"[" * 9_000,
        b'{"fly":1}',
        b"{}",
        b'{"publish":"a","payload":"%"}',
    ],
)
def test_a_line_that_makes_no_sense_is_refused_with_a_reason(line: bytes) -> None:
    [answer] = task().on_fact(ApplicationSaid(lambda: [(1, line)]))

    assert told(answer)["reason"]


def test_a_message_waits_for_a_program_and_goes_once_it_is_taken() -> None:
    application = task()
    assert application.on_message(INCOMING) == []

    _, delivery = say(application, listen=True)
    assert told(delivery) == {"message": 1, "topic": "app/SN-1/in", "payload": "b3Blbg=="}
    assert application.on_message(INCOMING) == [], "one at a time"
    taken, second = say(application, received=1)

    assert told(taken) == {"taken": 1}
    assert told(second)["message"] == 2


def test_a_program_that_dies_before_gets_its_message_again() -> None:
    application = task()
    application.on_message(INCOMING)
    say(application, listen=True)
    application.on_fact(ApplicationLeft(1))

    _, again = say(application, client=2, listen=True)

    assert told(again)["topic"] == "app/SN-1/in"


def test_a_message_that_was_not_sent_is_not_taken() -> None:
    application = task()
    application.on_message(INCOMING)
    say(application, listen=True)

    assert told(say(application, received=9)[0])["reason"]
    assert told(say(application, client=2, received=1)[0])["reason"]


def test_messages_that_nobody_takes_make_room_for_later_ones_aloud() -> None:
    application = task(most=1)
    application.on_message(INCOMING)

    [report] = application.on_message(MessageReceived("app/SN-1/in", b"later"))

    assert isinstance(report, Report)
    assert report.name == "message dropped"
    _, delivery = say(application, listen=True)
    assert told(delivery)["payload"] == b64encode(b"later").decode()


# --- the socket, and the program's side of it -----------------------------------------------


class Device:
    """A loop that does what the task says, in a thread of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.task = task(most=1_000)
        self.events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self.socket = ApplicationSocket(path, self.events.put)
        self.published: list[Publish] = []
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self) -> None:
        self.do(list(self.task.on_connected()))
        while (event := self.events.get(timeout=SECONDS)) is not None:
            if isinstance(event, MessageReceived):
                self.do(list(self.task.on_message(event)))
            else:
                self.do(list(self.task.on_fact(event)))

    def stop(self) -> None:
        """Do what is begun, and no more."""
        self.socket.close()
        self.events.put(None)
        self.thread.join(SECONDS)

    def do(self, orders: list[Order]) -> None:
        for order in orders:
            if isinstance(order, Answer):
                self.socket.answer(order)
            elif isinstance(order, Publish):
                self.published.append(order)
                self.do(list(self.task.on_acknowledged(order)))


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    found = Device(tmp_path / "application.sock")
    found.thread.start()
    yield found
    found.stop()


def test_a_program_publishes_and_hears(device: Device) -> None:
    with Program(device.path, SECONDS) as program:
        program.publish(TOPIC, b"\x00binary")
        device.events.put(INCOMING)
        device.events.put(MessageReceived("app/SN-1/in", b"shut"))
        messages = program.messages()
        heard = [next(messages), next(messages)]
        program.publish(TOPIC, b"again")
    device.stop()

    assert heard == [Message("app/SN-1/in", b"open"), Message("app/SN-1/in", b"shut")]
    assert device.published == [Publish(TOPIC, b"\x00binary"), Publish(TOPIC, b"again")]


def test_a_program_is_told_why_it_is_refused(device: Device) -> None:
    with (
        Program(device.path, SECONDS) as program,
        pytest.raises(ApplicationRefusedError, match="do not allow this topic"),
    ):
        program.publish("dt/SN-1/telemetry", b"x")

    assert device.published == []


def test_the_socket_is_for_its_owner_alone_and_goes_with_the_device(device: Device) -> None:
    assert device.path.stat().st_mode & 0o077 == 0
    with Program(device.path, SECONDS) as program:
        device.socket.close()
        assert not device.path.exists()
        with pytest.raises(DeviceGoneError):
            program.publish(TOPIC, b"x")
    with pytest.raises(DeviceGoneError):
        Program(device.path)


def test_the_socket_may_be_in_a_deep_folder(tmp_path: Path) -> None:
    """Deeper than the 107 bytes that Linux takes for a socket's path."""
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    listening = ApplicationSocket(deep / "s", queue.SimpleQueue[Event]().put)
    with closing(listening), Program(deep / "s", SECONDS):
        assert (deep / "s").is_socket()


def test_a_program_that_says_much_at_once_fills_no_memory(tmp_path: Path) -> None:
    """Nobody answers here: the socket reads no more of it than may wait."""
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    listening = ApplicationSocket(tmp_path / "s", events.put)
    with socket.socket(socket.AF_UNIX) as program:
        program.connect(str(tmp_path / "s"))
        program.sendall(b"{}\n" * 1_000)
        said = lines_of(events.get(timeout=SECONDS))
        assert (len(said), events.empty()) == (MOST_UNANSWERED, True)
        listening.answer(Answer(1, b"{}"))
        assert len(lines_of(events.get(timeout=SECONDS))) == 1
        assert events.empty()
        listening.close()


def test_one_program_too_many_is_turned_away(device: Device) -> None:
    programs = [Program(device.path, SECONDS) for _ in range(MOST_CLIENTS)]
    for program in programs:
        program.publish(TOPIC, b"x")

    with Program(device.path, SECONDS) as late, pytest.raises(DeviceGoneError):
        late.publish(TOPIC, b"x")

    for program in programs:
        program.publish(TOPIC, b"y")
        program.close()
