"""What is looked for in the topics of an IoT policy."""

from collections.abc import Iterator
from typing import Final

from factory.lint import rules
from factory.lint.context import Context
from factory.lint.document import Document
from factory.lint.finding import Finding
from factory.lint.policy_rules import CLAIM_TOPICS, Check, is_claim
from factory.lint.statement import (
    Statement,
    covers,
    iot_resource,
    resources_of,
    statements_of,
)

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


def topic_wildcards(document: Document, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    """A wildcard comes after what names the device, and MQTT's wildcards are none here."""
    for path, resource in _topics(document):
        kind, _, topic = resource.partition("/")
        before, star, _ = topic.replace("?", "*").partition("*")
        if star and topic != "*" and "${" not in before and not topic.startswith("$aws/"):
            what = f"{topic} has a wildcard before anything that names the device"
            yield Finding(rules.WILDCARD_TOPIC, document.file, path, what)
        if topic.startswith(CLAIM_TOPICS + "*") or topic in {"$aws/*", "$aws/certificates/*"}:
            what = f"{topic} reaches reserved topics that are none of its business"
            yield Finding(rules.WILDCARD_TOPIC, document.file, path, what)
        if kind == "topic" and ("+" in topic or "#" in topic):
            yield Finding(rules.MQTT_WILDCARD, document.file, path, f"{topic} is taken literally")


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
                yield Finding(rules.RESOURCE_TYPE, document.file, path, what)


def subscriptions(document: Document, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    """What may be subscribed to may also be received."""
    received = [topic for _, topic in resources_of(document, "iot:Receive", "topic")]
    for path, topic in resources_of(document, "iot:Subscribe", "topicfilter"):
        if not any(covers(pattern, topic) for pattern in received):
            what = f"{topic} may be subscribed to, and not received"
            yield Finding(rules.SUBSCRIBE_WITHOUT_RECEIVE, document.file, path, what)


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
        yield Finding(rules.CREATE_STAR, document.file, stars[0], what)
    elif missing:
        what = f"it does not allow {', '.join(missing)}"
        yield Finding(rules.CSR_TOPICS_MISSING, document.file, document.path, what)


TOPIC_CHECKS: Final[tuple[Check, ...]] = (
    topic_wildcards, resource_types, subscriptions, csr_topics,
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
