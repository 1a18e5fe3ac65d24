"""What is looked for in the topics of an IoT policy."""

from collections.abc import Iterator
from typing import Final

from factory.lint.context import Context
from factory.lint.document import Document
from factory.lint.finding import Finding, error
from factory.lint.policy_rules import Check
from factory.lint.reach import is_claim
from factory.lint.sources import CLAIMS, GUIDE, POLICIES
from factory.lint.statement import (
    Statement,
    covers,
    iot_resource,
    meets,
    resources_of,
    statements_of,
)

MQTT_WILDCARD: Final = error(
    "mqtt-wildcard", "+ and # are ordinary characters in a policy: it allows a topic of that name",
    POLICIES, "Use * in a topic; in a topicfilter + and # only fit the very same filter.",
)  # fmt: skip
RESOURCE_TYPE: Final = error(
    "resource-type", "the statement never applies: Connect goes with client/, Publish and Receive "
    "with topic/, Subscribe with topicfilter/", f'{GUIDE}, "AWS IoT Core policy actions"',
    "Give each action a statement with resources of its own type.",
)  # fmt: skip
SUBSCRIBE_WITHOUT_RECEIVE: Final = error(
    "subscribe-without-receive", "the subscription is granted but no message arrives: Receive is "
    "checked at each delivery", f'{GUIDE}, "AWS IoT Core policy actions"',
    "Allow iot:Receive on topic/ of the same name.",
)  # fmt: skip
CSR_TOPICS_MISSING: Final = error(
    "csr-topics-missing", "a device that makes its own key uses create-from-csr, and would be "
    "disconnected", CLAIMS,
    "Allow Publish on $aws/certificates/create-from-csr/json, Subscribe and Receive on its "
    "accepted and rejected.",
)  # fmt: skip
CREATE_STAR: Final = error(
    "create-star", "create/* does not cover create-from-csr/, because of the slash",
    "aws/aws-iot-device-sdk-python-v2, fleet provisioning sample policy",
    "Allow $aws/certificates/create-from-csr/json as well, or instead.",
)  # fmt: skip

_RESOURCE_OF: Final = {
    "iot:connect": "client",
    "iot:publish": "topic",
    "iot:retainpublish": "topic",
    "iot:receive": "topic",
    "iot:subscribe": "topicfilter",
}
_CREATE_FROM_CSR: Final = "$aws/certificates/create-from-csr/json"
_CREATE_STAR: Final = "$aws/certificates/create/*"
_ANSWERS: Final = ("accepted", "rejected")


def mqtt_wildcards(document: Document, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    """MQTT's wildcards are none in a policy."""
    for path, resource in _topics(document):
        kind, _, topic = resource.partition("/")
        if kind == "topic" and ("+" in topic or "#" in topic):
            yield Finding(MQTT_WILDCARD, document.file, path, f"{topic} is taken literally")


def resource_types(document: Document, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    """Each action has a resource that it goes with."""
    for each in statements_of(document):
        wanted = {_RESOURCE_OF.get(action.lower()) for _, action in each.actions}
        if None in wanted:
            continue
        for path, arn in each.resources:
            kind = iot_resource(arn).partition("/")[0]
            if kind != "*" and kind not in wanted:
                what = f"{_names(each)} never goes with {kind}/"
                yield Finding(RESOURCE_TYPE, document.file, path, what)


def subscriptions(document: Document, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    """What may be subscribed to may also be received."""
    received = [topic for _, topic in resources_of(document, "iot:Receive", "topic")]
    for path, topic in resources_of(document, "iot:Subscribe", "topicfilter"):
        if not any(meets(pattern, topic) for pattern in received):
            what = f"{topic} may be subscribed to, but not received"
            yield Finding(SUBSCRIBE_WITHOUT_RECEIVE, document.file, path, what)


def csr_topics(document: Document, context: Context) -> Iterator[Finding]:
    """A claim may ask for a certificate by CSR, and get the answer."""
    if not is_claim(document) or not context.makes_csr:
        return
    published = list(resources_of(document, "iot:Publish", "topic"))
    missing = [
        f"{action} on {topic}"
        for action, kind, topic in _csr_exchange()
        if not any(covers(pattern, topic) for _, pattern in resources_of(document, action, kind))
    ]
    stars = [path for path, topic in published if topic == _CREATE_STAR]
    if missing and stars:
        what = f"{_CREATE_STAR} does not allow {missing[0]}"
        yield Finding(CREATE_STAR, document.file, stars[0], what)
    elif missing:
        what = f"it does not allow {', '.join(missing)}"
        yield Finding(CSR_TOPICS_MISSING, document.file, document.path, what)


TOPIC_CHECKS: Final[tuple[Check, ...]] = (
    mqtt_wildcards, resource_types, subscriptions, csr_topics,
)  # fmt: skip


def _csr_exchange() -> Iterator[tuple[str, str, str]]:
    yield "iot:Publish", "topic", _CREATE_FROM_CSR
    for answer in _ANSWERS:
        yield "iot:Receive", "topic", f"{_CREATE_FROM_CSR}/{answer}"
        yield "iot:Subscribe", "topicfilter", f"{_CREATE_FROM_CSR}/{answer}"


def _topics(document: Document) -> Iterator[tuple[str, str]]:
    for each in statements_of(document):
        for path, arn in each.resources:
            resource = iot_resource(arn)
            if each.allows and resource.partition("/")[0] in {"topic", "topicfilter"}:
                yield path, resource


def _names(statement: Statement) -> str:
    return ", ".join(action for _, action in statement.actions)
