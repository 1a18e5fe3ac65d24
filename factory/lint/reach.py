"""Does a policy let one device speak for another? What is allowed must end at the device itself.

A device is named by a variable that AWS IoT fills in from what it has proven: the thing that its
certificate is attached to, or the subject of its certificate. Its client id it chooses itself.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from factory.lint.context import Context
from factory.lint.document import Document, Kind, elements, member
from factory.lint.finding import Finding, Rule, error
from factory.lint.sources import CLAIMS, GUIDE, POLICIES, VARIABLES
from factory.lint.statement import Statement, iot_resource, resources_of, statements_of

CLAIM_TOPICS: Final = "$aws/provisioning-templates/"

WILDCARD_RESOURCE: Final = error(
    "wildcard-resource", "one stolen key can then act as every device", POLICIES,
    "Name the resource, or let a variable name it: ${iot:Connection.Thing.ThingName}.",
)  # fmt: skip
WILDCARD_TOPIC: Final = error(
    "wildcard-topic", "a wildcard before the device's own name reaches other devices' topics",
    POLICIES, "Write the topic out, or put ${iot:Connection.Thing.ThingName} before the wildcard.",
)  # fmt: skip
OPEN_END: Final = error(
    "open-end", "the name can continue after the variable: a rule for SN-1 also matches SN-10",
    POLICIES, "End the name before the wildcard: ${iot:Connection.Thing.ThingName}/*",
)  # fmt: skip
CLIENT_ID_ALONE: Final = error(
    "client-id-alone", "a device chooses its own client id, so this is allowed for every name",
    VARIABLES,
    "Use ${iot:Connection.Thing.ThingName}, or allow iot:Connect only if "
    '"Bool": {"iot:Connection.Thing.IsAttached": "true"}.',
)  # fmt: skip
NOT_ELEMENT: Final = error(
    "not-element", "NotAction and NotResource allow everything else, for every device, and "
    "whatever AWS adds later", f'{GUIDE}, "AWS IoT Core policies", and IAM user guide, '
    '"NotResource with Allow"', "Name what is allowed: Action and Resource.",
)  # fmt: skip
CLAIM_CLIENT: Final = error(
    "claim-client", "a claim that may connect under any name can disconnect every device", CLAIMS,
    "Let the claim connect under its own names only: client/claim-*",
)  # fmt: skip

_VARIABLE: Final = re.compile(r"\$\{([^}]*)\}")
_LITERAL: Final = re.compile(r"[*?$]", re.IGNORECASE)
"""``${*}``, ``${?}`` and ``${$}`` are these characters, and no wildcards."""
_OF_MANY: Final = re.compile(
    r"aws:SourceIp|iot:Connection\.Thing\.(ThingTypeName|IsAttached)|iot:Certificate\.Issuer\..*"
    r"|iot:Certificate\.AvailableKeys"
    r"|iot:Certificate\.Subject\.(Country|Organization|OrganizationalUnit|State)(\.\d+|\.List)?",
    re.IGNORECASE,
)
"""Variables that many devices have the same value for."""
_CLIENT_ID: Final = "iot:clientid"
_THING_NAME: Final = "${iot:connection.thing.thingname}"
_LISTS: Final = re.compile(r"iot:List\w+", re.IGNORECASE)
_IS_ATTACHED: Final = "iot:connection.thing.isattached"
_RESERVED: Final = re.compile(
    r"\$aws/certificates/create(-from-csr)?/|\$aws/provisioning-templates/[0-9A-Za-z_-]+/"
    r"|\$aws/rules/[A-Za-z0-9_]+/"
)
"""What a device may go on behind with a wildcard, since nothing there is another device's."""


def is_claim(document: Document) -> bool:
    """Tell whether a policy is that of a claim: it allows provisioning."""
    topics = [name for _, name in resources_of(document, "iot:Publish", "topic")]
    provisions = any(topic.startswith(CLAIM_TOPICS) for topic in topics)
    return provisions and not _is_of_a_thing(document, topics)


def _is_of_a_thing(document: Document, topics: Iterable[str]) -> bool:
    """Tell whether a policy is that of a device, which may ask for its next certificate.

    A device connects as the thing that it is attached to, and has topics of its own.
    """
    connects = [each for each in _allowing(document) if each.has("iot:Connect")]
    as_thing = all(_is_attached(each) for each in connects) and bool(connects)
    return as_thing and any(_THING_NAME in topic.lower() for topic in topics)


def wildcard_resources(document: Document, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    """Nothing is allowed on every resource, and no device connects under another's name."""
    claim = is_claim(document)
    for each in _allowing(document):
        if document.kind is Kind.IAM_POLICY and _only_lists(each):
            continue
        for path, arn in each.resources:
            resource = iot_resource(arn)
            kind, _, name = resource.partition("/")
            kinds = _KINDS if document.kind is Kind.IOT_POLICY else _KINDS - {"thing"}
            if set(resource) <= {"*", "?"} or (kind in kinds and set(name) <= {"*", "?"}):
                rule = CLAIM_CLIENT if claim and kind == "client" else WILDCARD_RESOURCE
                yield _found(document, rule, path, f"{arn} is allowed")
            elif kind in kinds & {"client", "thing"} and not claim:
                yield from _ended(document, path, name, WILDCARD_RESOURCE)


def _only_lists(statement: Statement) -> bool:
    """Tell whether IAM takes no other resource than * (service authorization reference, IoT)."""
    actions = [action for _, action in statement.actions]
    return bool(actions) and all(_LISTS.fullmatch(action) for action in actions)


def topic_wildcards(document: Document, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    """A wildcard in a topic comes after what names the device, and after the end of that name."""
    for each in _allowing(document):
        for path, arn in each.resources:
            kind, _, topic = iot_resource(arn).partition("/")
            if kind not in {"topic", "topicfilter"} or set(topic) <= {"*", "?"}:
                continue
            if not _RESERVED.match(topic):
                yield from _ended(document, path, topic, WILDCARD_TOPIC)


def client_id_alone(document: Document, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    """A client id counts only where something else says whose it is."""
    unbound = [each for each in _allowing(document) if each.has("iot:Connect")]
    by_id = [
        (path, arn) for each in unbound if not _is_attached(each) for path, arn in each.resources
        if _goes_by_client_id(arn)
    ]  # fmt: skip
    connects = bool(unbound) and not by_id
    for path, arn in by_id:
        yield _found(document, CLIENT_ID_ALONE, path, f"{arn} is allowed for any client id")
    for each in _allowing(document):
        for path, arn in each.resources:
            is_topic = iot_resource(arn).partition("/")[0] in {"topic", "topicfilter"}
            if is_topic and _goes_by_client_id(arn) and not connects:
                what = (
                    f"{arn} depends on the client id, which no iot:Connect of this policy restricts"
                )
                yield _found(document, CLIENT_ID_ALONE, path, what)


def not_elements(document: Document, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    """What is allowed is named."""
    for each in _allowing(document):
        for name in ("NotAction", "NotResource", "NotPrincipal"):
            if member(each.content, name) is not None:
                yield _found(document, NOT_ELEMENT, f"{each.path}.{name}", f"Allow with {name}")


_KINDS: Final = frozenset({"client", "topic", "topicfilter", "thing"})


def _ended(document: Document, path: str, name: str, before: Rule) -> Iterator[Finding]:
    """Yield what is wrong with the wildcards in ``name``: ``before`` the device, or at its end."""
    plain = _VARIABLE.sub(_mark, name)
    for found in re.finditer(r"[*?]", plain):
        _, variable, between = plain[: found.start()].rpartition("\0")
        if not variable:
            what = f"{name} has a wildcard before anything that names the device"
            yield _found(document, before, path, what)
            return
        if "/" not in between:
            yield _found(document, OPEN_END, path, f"{name} has a wildcard right at the name")
            return


def _mark(found: re.Match[str]) -> str:
    """Return what stands for a variable while wildcards are looked for."""
    names_many = _LITERAL.fullmatch(found[1]) or _OF_MANY.fullmatch(found[1])
    return "x" if names_many else "\0"


def _goes_by_client_id(arn: str) -> bool:
    found = {name.lower() for name in _VARIABLE.findall(arn)}
    naming = {each for each in found if not (_LITERAL.fullmatch(each) or _OF_MANY.fullmatch(each))}
    return naming == {_CLIENT_ID}


def _is_attached(statement: Statement) -> bool:
    """Tell whether it applies only to a client whose id is the name of its own thing."""
    conditions = member(statement.content, "Condition")
    for operator, comparison in conditions.items() if isinstance(conditions, Mapping) else ():
        for key, value in comparison.items() if isinstance(comparison, Mapping) else ():
            values = [str(each).lower() for _, each in elements(value, "")]
            if operator.lower() == "bool" and key.lower() == _IS_ATTACHED and values == ["true"]:
                return True
    return False


def _allowing(document: Document) -> Iterator[Statement]:
    return (each for each in statements_of(document) if each.allows)


def _found(document: Document, rule: Rule, path: str, what: str) -> Finding:
    return Finding(rule, document.file, path, what)
