"""Does each of the 256 reason codes, in each packet, end as one event that says what to do?"""

import pytest

from device.connection.connect_failure import (
    answer_to_publish,
    answer_to_subscribe,
    classify_connack,
    classify_disconnect,
)
from device.connection.reason_codes import Kind, Packet, reason_for
from device.errors import ExitCode
from device.provisioning.events import (
    ConnectFailed,
    ConnectionLost,
    Credential,
    Event,
    NotAcknowledged,
    NotLetIn,
    PublishAcknowledged,
    PublishDenied,
    Subscribed,
    SubscriptionDenied,
)
from device.provisioning.failures import error_of

CODES = (*range(256), None)
DENIALS = {
    Packet.CONNACK: {0x86, 0x87, 0x8A},
    Packet.SUBACK: {0x87},
    Packet.PUBACK: {0x87},
    Packet.DISCONNECT: {0x87},
}
GRANTS = {
    Packet.CONNACK: {0x00},
    Packet.SUBACK: {0x00, 0x01, 0x02},
    Packet.PUBACK: {0x00, 0x10},
    Packet.DISCONNECT: set[int](),
}


def event_of(packet: Packet, code: int | None) -> Event:
    match packet:
        case Packet.CONNACK:
            return classify_connack(code)
        case Packet.DISCONNECT:
            return classify_disconnect(code)
        case Packet.SUBACK:
            return answer_to_subscribe(("a",), [reason_for(packet, code)])
        case Packet.PUBACK:
            return answer_to_publish("a", reason_for(packet, code))


@pytest.mark.parametrize("packet", Packet)
def test_a_denial_is_what_mqtt_calls_one_and_nothing_else(packet: Packet) -> None:
    reasons = [reason_for(packet, code) for code in CODES]

    assert {each.code for each in reasons if each.kind is Kind.DENIED} == DENIALS[packet]
    assert {each.code for each in reasons if each.kind is Kind.OK} == GRANTS[packet]


@pytest.mark.parametrize("packet", Packet)
def test_every_refusal_has_a_name_and_a_next_step(packet: Packet) -> None:
    for code in CODES:
        reason = reason_for(packet, code)

        assert str(reason).startswith(packet.value)
        assert code is None or f"0x{code:02X} " in str(reason)
        assert bool(reason.next_step) is (reason.kind is not Kind.OK)


@pytest.mark.parametrize(
    ("packet", "kinds"),
    [
        (Packet.CONNACK, (NotLetIn, ConnectFailed)),
        (Packet.SUBACK, (Subscribed, SubscriptionDenied, NotAcknowledged)),
        (Packet.PUBACK, (PublishAcknowledged, PublishDenied, NotAcknowledged)),
        (Packet.DISCONNECT, (ConnectionLost,)),
    ],
)
def test_every_code_ends_as_an_event_and_only_a_denial_as_exit_4(
    packet: Packet, kinds: tuple[type[Event], ...]
) -> None:
    for code in CODES:
        event = event_of(packet, code)
        kind = reason_for(packet, code).kind

        assert isinstance(event, kinds)
        if kind is Kind.OK and packet is not Packet.CONNACK:
            continue
        error = error_of(event, "connecting", Credential.DEVICE)
        denied = kind is Kind.DENIED and packet is not Packet.DISCONNECT
        assert (error.exit_code is ExitCode.DENIED) is denied, (packet, code)
        assert (error.next_step != "") or kind is Kind.OK


@pytest.mark.parametrize(
    ("packet", "code", "kind"),
    [
        (Packet.SUBACK, 0x97, Kind.QUOTA),
        (Packet.PUBACK, 0x97, Kind.QUOTA),
        (Packet.CONNACK, 0x9F, Kind.QUOTA),
        (Packet.CONNACK, 0x88, Kind.BUSY),
        (Packet.CONNACK, 0x89, Kind.BUSY),
        (Packet.PUBACK, 0x91, Kind.UNCLEAR),
        (Packet.SUBACK, 0x80, Kind.UNCLEAR),
        (Packet.PUBACK, 0x83, Kind.UNCLEAR),
        (Packet.PUBACK, 0x99, Kind.MISUSE),
        (Packet.CONNACK, 0x85, Kind.MISUSE),
        (Packet.DISCONNECT, 0x8E, Kind.TAKEN_OVER),
        (Packet.CONNACK, 0x9D, Kind.MOVED),
        (Packet.CONNACK, 0x8E, Kind.UNCLEAR),
        (Packet.PUBACK, 0x01, Kind.UNCLEAR),
        (Packet.SUBACK, 0x7F, Kind.UNCLEAR),
        (Packet.PUBACK, None, Kind.UNCLEAR),
    ],
)
def test_codes_that_were_once_taken_for_denials(
    packet: Packet, code: int | None, kind: Kind
) -> None:
    assert reason_for(packet, code).kind is kind


@pytest.mark.parametrize("codes", [(), (0,), (0, 0, 0), (0x87,)])
def test_a_suback_with_the_wrong_count_is_an_event(codes: tuple[int, ...]) -> None:
    event = answer_to_subscribe(("a", "b"), [reason_for(Packet.SUBACK, code) for code in codes])

    assert isinstance(event, NotAcknowledged)
    assert f"{len(codes)} reason codes for 2 topics" in event.detail


def test_a_denied_topic_does_not_hide_that_the_server_is_over_a_quota() -> None:
    reasons = [reason_for(Packet.SUBACK, code) for code in (0x87, 0x97)]

    event = answer_to_subscribe(("a", "b"), reasons)

    assert isinstance(event, NotAcknowledged)
    assert event.may_succeed_later
    assert "SUBACK 0x97 quota exceeded on b" in event.detail


def test_what_the_server_adds_in_words_is_shown_and_tamed() -> None:
    event = classify_connack(0x87, "no\x1b[2J\r\nnext: run this" + "x" * 500)

    assert isinstance(event, NotLetIn)
    assert r"CONNACK 0x87 not authorized: no\x1b[2J\r\nnext: run this" in event.detail
    assert len(event.detail) < 300
