"""MQTT: connecting, back-off, publishing and subscribing, as Device Advisor has it."""

from collections.abc import Container, Sequence
from typing import Final

from advisor.backoff import ENOUGH, Pattern, grows, hurries, pattern, shown
from advisor.case import Case, Finding, Judge, always, by, failed, passed, warned
from advisor.codec import MQTT_5, Kind, Packet
from advisor.journal import Entry, What, received, sent, waits
from advisor.script import Cut, Rule, Script, Withhold

PAGE: Final = "https://docs.aws.amazon.com/iot/latest/developerguide/device-advisor-tests-mqtt.html"
_LONGEST_KEEP_ALIVE: Final = 1200  # AWS IoT quotas
_ROUND: Final = 6
"""Connections of a round: five without CONNACK, one with."""
_MOST_WAITS: Final = 9
"""A client that has not begun to wait longer by then does not."""
_SIZES: Final = (0, 1, 128 * 1024)


class _EverySixth(Container[int]):
    """The connections at the end of each round."""

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and number % _ROUND == 0


class _Others(Container[int]):
    """All other connections."""

    def __contains__(self, number: object) -> bool:
        return number not in _EverySixth()


def connects(entries: Sequence[Entry]) -> Finding | None:
    """Pass when a CONNECT comes."""
    for entry in entries:
        if entry.what is What.MALFORMED:
            return failed(entry.detail)
        if entry.packet is not None and entry.is_from_client(Kind.CONNECT):
            return _judged(entry.packet)
    return None


def _judged(connect: Packet) -> Finding:
    version = "5" if connect.version == MQTT_5 else "3.1.1"
    said = f"MQTT {version}, client id {connect.client_id!r}, keep-alive {connect.keep_alive} s"
    if connect.keep_alive > _LONGEST_KEEP_ALIVE or not connect.keep_alive:
        return warned(f"{said}: AWS IoT Core has 30 to {_LONGEST_KEEP_ALIVE} s")
    if not connect.client_id:
        return warned(f"{said}: a policy cannot name a client without a client id")
    return passed(said)


def acknowledges(entries: Sequence[Entry]) -> Finding | None:
    """Pass when messages of no byte, one byte and 128 KiB are acknowledged."""
    asked = received(entries, Kind.SUBSCRIBE)
    if asked and all(qos == 0 for packet in asked for _name, qos in packet.filters):
        return failed("the client subscribed at QoS 0, so that nothing is acknowledged")
    pushed = {packet.packet_id for packet in sent(entries, Kind.PUBLISH) if packet.packet_id}
    answered = {packet.packet_id for packet in received(entries, Kind.PUBACK)}
    if len(pushed) >= len(_SIZES) and pushed <= answered:
        return passed(f"PUBACK for each of {', '.join(str(size) for size in _SIZES)} bytes")
    return None


def backs_off_with_jitter(entries: Sequence[Entry]) -> Finding | None:
    """Judge two rounds of five waits, each before a CONNECT whose predecessor had no CONNACK."""
    between = waits(entries)
    if len(between) < 2 * _ROUND - 1:
        return None
    rounds = (between[: _ROUND - 1], between[_ROUND : 2 * _ROUND - 1])
    said = f"waits {shown(rounds[0])}; {shown(rounds[1])}"
    if hurries(rounds[0]) or hurries(rounds[1]):
        return failed(f"the client came back at once: {said}")
    kinds = {pattern(rounds[0])}
    if min(rounds[1]) < max(rounds[0]):  # else the second may be the longest wait, repeated
        kinds.add(pattern(rounds[1]))
    for bad in (Pattern.CONSTANT, Pattern.LINEAR):
        if bad in kinds:
            return failed(f"the back-off is {bad.value}: {said}")
    if Pattern.EXPONENTIAL in kinds:
        return warned(f"the back-off is strictly exponential: {said}")
    return passed(said)


def backs_off_exponentially(entries: Sequence[Entry]) -> Finding | None:
    """Pass when the waits grow, with or without jitter."""
    return growth_in(waits(entries))


def growth_in(between: Sequence[float], what: str = "") -> Finding | None:
    """Pass when ``between`` grow; fail when there were enough that did not."""
    is_poor = pattern(between) in {Pattern.LINEAR, Pattern.CONSTANT} if between else True
    if len(between) >= ENOUGH and grows(between) and not is_poor and not hurries(between):
        return passed(f"waits {shown(between)}")
    if len(between) < _MOST_WAITS:
        return None
    return failed(f"the waits do not grow exponentially{what}: {shown(between)}")


def reconnects_with_jitter(entries: Sequence[Entry]) -> Finding | None:
    """Judge five waits after the server had closed."""
    between = waits(entries)
    if len(between) < ENOUGH:
        return None
    kind, said = pattern(between[:ENOUGH]), f"waits {shown(between[:ENOUGH])}"
    if hurries(between[:ENOUGH]):
        return failed(f"the client came back at once: {said}")
    if kind in {Pattern.CONSTANT, Pattern.LINEAR}:
        return failed(f"the back-off is {kind.value}: {said}")
    if kind is Pattern.EXPONENTIAL:
        return warned(f"the back-off is strictly exponential: {said}")
    return passed(said)


def keeps_backing_off(entries: Sequence[Entry]) -> Finding | None:
    """Pass when the waits grow although each CONNECT was accepted."""
    return growth_in(waits(entries), ", since each CONNACK resets them")


def publishes(entries: Sequence[Entry]) -> Finding | None:
    """Pass when a PUBLISH comes; Device Advisor's page says QoS 0."""
    for packet in received(entries, Kind.PUBLISH):
        said = f"{len(packet.payload)} bytes on {packet.topic} at QoS {packet.qos}"
        return passed(said) if packet.qos == 0 else warned(f"{said}; AWS' page says QoS 0")
    return None


def publishes_again(entries: Sequence[Entry]) -> Finding | None:
    """Pass when what was not acknowledged comes again, as the client's version of MQTT allows.

    MQTT 5 forbids it on the same connection (4.4), so there it has to come on the next.
    """
    first, first_on = None, 0
    for entry in entries:
        packet = entry.packet
        if packet is None or not entry.is_from_client(Kind.PUBLISH) or not packet.qos:
            continue
        if first is None:
            first, first_on = packet, entry.link
        elif (packet.topic, packet.payload) == (first.topic, first.payload):
            version = received(entries, Kind.CONNECT)[0].version
            return _judge_again(first, packet, version, is_same_link=entry.link == first_on)
    return None


def _judge_again(first: Packet, again: Packet, version: int, *, is_same_link: bool) -> Finding:
    if is_same_link:
        if again.packet_id != first.packet_id:
            return failed(f"packet id {again.packet_id} in place of {first.packet_id}")
        if version == MQTT_5:
            return warned("again on the same connection, which MQTT 5 forbids (4.4)")
        return passed(f"again with packet id {first.packet_id}, on the same connection")
    if version == MQTT_5:
        return passed("again on the next connection; MQTT 5 forbids it on the same one (4.4)")
    return warned("again on the next connection only; AWS' page wants it without a disconnect")


def subscribes(entries: Sequence[Entry]) -> Finding | None:
    """Pass when a SUBSCRIBE comes."""
    for packet in received(entries, Kind.SUBSCRIBE):
        return passed(", ".join(f"{name} at QoS {qos}" for name, qos in packet.filters))
    return None


def subscribes_again(entries: Sequence[Entry]) -> Finding | None:
    """Pass when a SUBSCRIBE without SUBACK comes again, with the same packet id."""
    asked = received(entries, Kind.SUBSCRIBE)
    for packet in asked[1:]:
        if packet.filters == asked[0].filters:
            if packet.packet_id == asked[0].packet_id:
                return passed(f"again with packet id {packet.packet_id}")
            return warned(f"again with packet id {packet.packet_id} for {asked[0].packet_id}")
    return None


def hangs_up(entries: Sequence[Entry]) -> Finding | None:
    """Pass when the client closes a connection on which nothing is answered."""
    accepted = next((e for e in entries if e.what is What.SENT), None)
    if accepted is None:
        return None
    for entry in entries:
        if entry.what is What.CLOSED and entry.link == accepted.link:
            pinged = bool(received(entries, Kind.PINGREQ))
            why = "a PINGREQ" if pinged else "another request"
            return passed(
                f"closed {entry.at - accepted.at:.1f} s after CONNACK; {why} had no answer"
            )
    return None


def _case(  # noqa: PLR0913, PLR0917 - the columns of the table below
    case_id: str, title: str, done: str, script: Script, judge: Judge, otherwise: str
) -> Case:
    return Case(case_id, title, done, always(script), by(judge), otherwise, PAGE)


SILENCE: Final = tuple(
    Rule(kind, Withhold()) for kind in (Kind.PINGRESP, Kind.PUBACK, Kind.SUBACK, Kind.UNSUBACK)
)
CASES: Final = (
    _case(
        "MQTT_Connect",
        "Device send CONNECT to AWS IoT Core (Happy case)",
        "Nothing: the server answers as AWS IoT Core does.",
        Script(),
        connects,
        "no CONNECT came",
    ),
    _case(
        "MQTT_Client_Puback_Qos1",
        "Device can return PUBACK to an arbitrary topic for QoS1",
        "Messages of 0, 1 and 131,072 bytes are published on what the client subscribed to.",
        Script(pushes=tuple(b"a" * size for size in _SIZES)),
        acknowledges,
        "the client did not acknowledge all of the messages",
    ),
    _case(
        "MQTT_Connect_Jitter_Backoff_Retries",
        "Device connect retries with jitter backoff - No CONNACK response",
        "Twice: five CONNECTs have no answer, the sixth has, and is then cut.",
        Script(
            (Rule(Kind.CONNACK, Withhold(), _Others()), Rule(Kind.CONNACK, Cut(), _EverySixth()))
        ),
        backs_off_with_jitter,
        "the client connected fewer than 12 times",
    ),
    _case(
        "MQTT_Connect_Exponential_Backoff_Retries",
        "Device connect retries with exponential backoff - No CONNACK response",
        "No CONNECT has an answer.",
        Script((Rule(Kind.CONNACK, Withhold()),)),
        backs_off_exponentially,
        "the client connected too rarely to see a back-off",
    ),
    _case(
        "MQTT_Reconnect_Backoff_Retries_On_Server_Disconnect",
        "Device re-connect with jitter backoff - After server disconnect",
        "The first connection is accepted and cut; each further one is cut at its CONNECT.",
        Script((Rule(Kind.CONNACK, Cut(), (1,)), Rule(Kind.CONNACK, Cut(0), range(2, 1_000)))),
        reconnects_with_jitter,
        "the client reconnected fewer than five times",
    ),
    _case(
        "MQTT_Reconnect_Backoff_Retries_On_Unstable_Connection",
        "Device re-connect with jitter backoff - On unstable connection",
        "Each connection is accepted, and cut after its CONNACK.",
        Script((Rule(Kind.CONNACK, Cut()),)),
        keeps_backing_off,
        "the client reconnected too rarely to see a back-off",
    ),
    _case(
        "MQTT_Publish",
        "Publish QoS0 (Happy Case)",
        "Nothing: the server answers as AWS IoT Core does.",
        Script(),
        publishes,
        "no PUBLISH came",
    ),
    _case(
        "MQTT_Publish_Retry_No_Puback",
        "QoS1 publish retry - No PUBACK",
        "No PUBLISH is acknowledged.",
        Script((Rule(Kind.PUBACK, Withhold()),)),
        publishes_again,
        "no PUBLISH came a second time",
    ),
    _case(
        "MQTT_Subscribe",
        "Can Subscribe (Happy Case)",
        "Nothing: the server answers as AWS IoT Core does.",
        Script(),
        subscribes,
        "no SUBSCRIBE came",
    ),
    _case(
        "MQTT_Subscribe_Retry_No_Suback",
        "Subscribe Retry - No SUBACK",
        "No SUBSCRIBE is acknowledged.",
        Script((Rule(Kind.SUBACK, Withhold()),)),
        subscribes_again,
        "no SUBSCRIBE came a second time",
    ),
    _case(
        "MQTT_No_Ack_PingResp",
        "Mqtt No Ack PingResp",
        "After CONNACK nothing is answered: no PINGRESP, PUBACK or SUBACK.",
        Script(SILENCE),
        hangs_up,
        "the client kept a connection on which nothing was answered",
    ),
)
