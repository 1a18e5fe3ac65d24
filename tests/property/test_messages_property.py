"""Can any reply, of any bytes, raise? And does what the device sends survive the way there?"""

import json
from collections import Counter
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from device.provisioning import messages, topics
from device.provisioning.events import Event, MessageReceived, ReplyMalformed
from tests.support.effort import examples

REQUESTS: Final = (
    topics.CREATE_CERTIFICATE_FROM_CSR,
    topics.CREATE_KEYS_AND_CERTIFICATE,
    topics.register_thing("T"),
)
REPLIES: Final = [f"{each}/{answer}" for each in REQUESTS for answer in ("accepted", "rejected")]
reply_topics = st.sampled_from(REPLIES)
NEARLY: Final = {
    "certificateId": "id",
    "certificatePem": "pem",
    "certificateOwnershipToken": "token",
    "thingName": "SN-1",
    "statusCode": 400,
    "errorCode": "InvalidTemplate",
}
names = st.sampled_from([*NEARLY, "privateKey", "deviceConfiguration", "errorMessage", "other"])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def nearly_right(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a reply that would do for every request, with some fields gone or replaced."""
    document = {name: value for name, value in NEARLY.items() if draw(st.integers(0, 9))}
    return document | draw(st.dictionaries(names, values, max_size=2))


@given(reply_topics, st.binary(max_size=300))
def test_any_bytes_become_an_event(topic: str, payload: bytes) -> None:
    assert isinstance(messages.decode(MessageReceived(topic, payload)), Event)


@given(st.text() | st.sampled_from(REQUESTS), st.binary(max_size=50))
def test_no_topic_raises(topic: str, payload: bytes) -> None:
    assert messages.decode(MessageReceived(topic, payload)) is None


def test_replies_that_are_nearly_right() -> None:
    reached: Counter[str] = Counter()

    @settings(max_examples=examples(70))
    @given(document=nearly_right())
    def explore(topic: str, document: dict[str, Any]) -> None:
        payload = json.dumps(document).encode()
        event = messages.decode(MessageReceived(topic, payload))
        assert isinstance(event, Event)
        reached[type(event).__name__] += 1

    for each in REPLIES:  # by turns: what is drawn may leave one out
        explore(each)
    for kind in ("CertificateIssued", "ThingRegistered", "RequestRefused", "ReplyMalformed"):
        assert reached[kind] >= 5, reached


@given(reply_topics, nearly_right(), st.data())
def test_a_reply_cut_short_is_malformed(
    topic: str, document: dict[str, Any], data: st.DataObject
) -> None:
    payload = json.dumps(document).encode()
    cut = payload[: data.draw(st.integers(0, len(payload) - 1))]

    assert isinstance(messages.decode(MessageReceived(topic, cut)), ReplyMalformed)


@given(st.text(), st.dictionaries(st.text(), st.text()))
def test_the_parameters_arrive_as_they_are(token: str, parameters: dict[str, str]) -> None:
    """Text is text: no value can end the string it stands in."""
    sent = json.loads(messages.register_thing_request(token, parameters))

    assert sent == {"certificateOwnershipToken": token, "parameters": parameters}
