"""What is looked for in policies, whatever they are about."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias

from factory.lint.context import Context
from factory.lint.document import Document, Kind, elements, length, member, members, strings
from factory.lint.finding import MALFORMED, Finding, Rule, error
from factory.lint.reach import (
    client_id_alone,
    is_claim,
    not_elements,
    topic_wildcards,
    wildcard_resources,
)
from factory.lint.sources import GUIDE, IAM, POLICIES, QUOTAS, VARIABLES
from factory.lint.statement import Statement, statements_of

WILDCARD_ACTION: Final = error(
    "wildcard-action", "it allows more actions than intended, and those AWS adds later",
    IAM, "Name the actions that are needed, one by one.",
)  # fmt: skip
UNKNOWN_VARIABLE: Final = error(
    "unknown-variable", "it is never filled in, so that the statement never applies", VARIABLES,
    "Use a variable that AWS knows; thing variables begin with iot:Connection.Thing.",
)  # fmt: skip
THING_VARIABLE_IN_CLAIM: Final = error(
    "thing-variable-in-claim", "thing variables are filled in only if the client id is the name "
    "of a thing that the certificate is attached to; a claim is not attached to a thing",
    f'{GUIDE}, "Thing policy variables"',
    "Let the claim connect as client/claim-*, and name its topics outright.",
)  # fmt: skip
VARIABLE_WITHOUT_FIELD: Final = error(
    "variable-without-field", "the certificate lacks the field, so that the statement never "
    "applies", f'{GUIDE}, "X.509 Certificate AWS IoT Core policy variables"',
    "Add the field under subject: in the device's settings, or remove the variable.",
)  # fmt: skip
POLICY_TOO_LONG: Final = error(
    "policy-too-long", "AWS takes 2048 characters, white space not counted", QUOTAS,
    "Split it: a certificate can have ten policies.",
)  # fmt: skip
TRUST_OPEN: Final = error(
    "trust-open", "anybody in AWS may assume the role", IAM,
    "Name the service or the account that may.",
)  # fmt: skip
TRUST_WITHOUT_ACCOUNT: Final = error(
    "trust-without-account", "another account could have AWS IoT assume this role (the confused "
    "deputy)", f'{GUIDE}, "Cross-service confused deputy prevention"',
    'Add "Condition": {"StringEquals": {"aws:SourceAccount": "@account"}}.',
)  # fmt: skip

POLICY_VERSION: Final = error(
    "policy-version", "without Version 2012-10-17 AWS reads a variable as ordinary text, so it "
    "names no device; if Version is missing, AWS uses 2008-10-17", VARIABLES,
    'Write "Version": "2012-10-17".',
)  # fmt: skip
POLICY_MEMBER: Final = error(
    "policy-member", "AWS does not know it: a Condition that is misspelled restricts nothing", IAM,
    "Write it as AWS spells it: Version, Statement; Sid, Effect, Action, Resource, Condition.",
)  # fmt: skip
ACTION_UNKNOWN: Final = error(
    "action-unknown", "AWS IoT never asks about it, so that nothing is allowed by it",
    f'{GUIDE}, "AWS IoT Core policy actions"',
    "Write the action as AWS spells it; what another service is to allow goes into IAM.",
)  # fmt: skip
ARN: Final = error(
    "arn", "AWS IoT compares ARNs whole, with Region and account: the statement never applies",
    POLICIES, "Write arn:@partition:iot:@region:@account:KIND/NAME, which prepare fills in.",
)  # fmt: skip

_VERSION: Final = "2012-10-17"
IOT_ARN: Final = re.compile(
    r"arn:aws[a-z-]*:iot:(?P<region>[a-z]{2}(-[a-z]+)+-[0-9]|\*):(?P<account>[0-9]{12}|\*):.+",
    re.DOTALL,
)
Check: TypeAlias = Callable[[Document, Context], Iterator[Finding]]

_POLICY_MEMBERS: Final = frozenset({"Version", "Id", "Statement"})
_STATEMENT_MEMBERS: Final = frozenset(
    {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource",
     "Condition"}
)  # fmt: skip
"""IAM user guide, "IAM JSON policy elements reference"."""
_OPERATOR: Final = re.compile(
    r"(ForAllValues:|ForAnyValue:)?(Null|(String(Equals|Like)|StringNotEquals|StringNotLike"
    r"|String(Not)?EqualsIgnoreCase|(Numeric|Date)(Not)?Equals|(Numeric|Date)(Less|Greater)Than"
    r"(Equals)?|Bool|BinaryEquals|(Not)?IpAddress|Arn(Not)?(Equals|Like))(IfExists)?)",
    re.IGNORECASE,
)
"""IAM user guide, "IAM JSON policy elements: Condition operators"."""
_ACTION: Final = re.compile(
    r"iot:(Connect|Publish|RetainPublish|Receive|Subscribe|GetRetainedMessage|ListRetainedMessages"
    r"|(Delete|Get|Update)ThingShadow|ListNamedShadowsForThing|AssumeRoleWithCertificate)"
    r"|(iot|iotjobsdata):(DescribeJobExecution|GetPendingJobExecutions|StartCommandExecution"
    r"|StartNextPendingJobExecution|UpdateJobExecution)"
    r"|greengrass:\w+",
    re.IGNORECASE,
)
"""AWS IoT developer guide, "AWS IoT Core policy actions"; Greengrass developer guide, V2, "Device
authentication and authorization"."""
_LONGEST: Final = 2048
"""Characters of a policy document, white space not counted (AWS IoT Core quotas)."""
_VARIABLE: Final = re.compile(r"\$\{([^}]*)\}")
_OPEN_VARIABLE: Final = re.compile(r"\$\{[^}]*\Z")
_SUBJECT: Final = re.compile(r"iot:Certificate\.Subject\.(\w+?)(\.\d+|\.List)?", re.IGNORECASE)
_NAMES: Final = (
    "DistinguishedNameQualifier|Country|Organization|OrganizationalUnit|State|CommonName|"
    "SerialNumber|Title|Surname|GivenName|Initials|Pseudonym|GenerationQualifier|"
    r"AlternativeName\.(RFC822Name|DNSName|DirectoryName|UniformResourceIdentifier|IPAddress)"
)
_KNOWN: Final = re.compile(
    r"iot:ClientId|aws:SourceIp|[*?$]"
    r"|iot:Connection\.Thing\.(ThingName|ThingTypeName|IsAttached|Attributes\[[^\]]+\])"
    rf"|iot:Certificate\.(Subject|Issuer)\.({_NAMES})(\.\d+|\.List)?"
    r"|iot:Certificate\.(SerialNumber|AvailableKeys)",
    re.IGNORECASE,
)
"""AWS IoT developer guide, "AWS IoT Core policy variables"."""


def statements(document: Document, context: Context) -> Iterator[Finding]:  # noqa: ARG001 - a Check
    """A policy has statements; each has an Effect, and an Action and a Resource, as texts."""
    found = list(statements_of(document))
    if not found:
        yield _found(document, MALFORMED, document.path, "it has no statement")
    for each in found:
        if not isinstance(each.content, Mapping):
            yield _found(document, MALFORMED, each.path, "a statement is not an object")
            continue
        if member(each.content, "Effect") not in ("Allow", "Deny"):  # whatever kind it is
            yield _found(document, MALFORMED, each.path, "the Effect is not Allow or Deny")
        yield from _condition(document, each)
        wanted = ["Action"] if document.kind is Kind.TRUST_POLICY else ["Action", "Resource"]
        for name in wanted:
            yield from _element(document, each, name)


def unknown_members(document: Document, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    """Nobody reads a member that AWS does not know, such as a Condition that is misspelled."""
    for name, path, _ in members(document.content, document.path):
        if name not in _POLICY_MEMBERS:
            yield _found(document, POLICY_MEMBER, path, f"{name} is no element of a policy")
    for each in statements_of(document):
        for name, path, _ in members(each.content, each.path):
            if name not in _STATEMENT_MEMBERS:
                yield _found(document, POLICY_MEMBER, path, f"{name} is no element of a statement")


def actions(document: Document, context: Context) -> Iterator[Finding]:  # noqa: ARG001 - a Check
    """Every action is one that AWS IoT asks about."""
    for each in statements_of(document):
        for path, action in each.actions:
            if "*" not in action and "?" not in action and not _ACTION.fullmatch(action):
                yield _found(document, ACTION_UNKNOWN, path, f"AWS IoT has no action {action}")


def _condition(document: Document, statement: Statement) -> Iterator[Finding]:
    """Say what is wrong with a Condition: {"OPERATOR": {"KEY": "VALUE"}}."""
    if not isinstance(statement.content, Mapping) or "Condition" not in statement.content:
        return
    condition, path = member(statement.content, "Condition"), f"{statement.path}.Condition"
    if not isinstance(condition, Mapping):
        yield _found(document, MALFORMED, path, "the Condition is not an object")
    for operator, inner, comparison in members(condition, path):
        if not _OPERATOR.fullmatch(operator):
            yield _found(document, MALFORMED, inner, f"there is no operator {operator}")
        elif not isinstance(comparison, Mapping) or not comparison:
            yield _found(document, MALFORMED, inner, f"{operator} compares nothing")


def _element(document: Document, statement: Statement, name: str) -> Iterator[Finding]:
    """Say what is wrong with an Action or a Resource; ``Not...`` stands for it."""
    given = member(statement.content, name)
    if given is None and member(statement.content, f"Not{name}") is not None:
        return
    path = f"{statement.path}.{name}"
    if given is None or given == []:
        yield _found(document, MALFORMED, statement.path, f"there is no {name}")
    for inner, each in elements(given, path):
        if not isinstance(each, str) or not each:
            yield _found(document, MALFORMED, inner, f"the {name} is not text")


def version(document: Document, context: Context) -> Iterator[Finding]:  # noqa: ARG001 - a Check
    """The policy is in the language that knows variables."""
    given = member(document.content, "Version")
    if given != _VERSION:
        what = "there is no Version" if given is None else f"the Version is {given}"
        yield _found(document, POLICY_VERSION, f"{document.path}.Version", what)


def arns(document: Document, context: Context) -> Iterator[Finding]:  # noqa: ARG001 - a Check
    """Resources are ARNs of AWS IoT, and all of one account and Region."""
    places: set[tuple[str, str]] = set()
    for each in statements_of(document):
        for path, arn in each.resources:
            found = IOT_ARN.fullmatch(arn)
            if arn == "*":
                continue
            if found is None:
                yield _found(document, ARN, path, f"{arn} is not an ARN of AWS IoT")
                continue
            places |= {(found["region"], found["account"])} - {("*", "*")}
            if len(places) > 1:
                yield _found(document, ARN, path, f"{arn} is of another account or Region")
                places = {min(places)}


def wildcard_actions(document: Document, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    """No action is allowed by a wildcard."""
    for each in statements_of(document):
        for path, action in each.actions:
            if each.allows and ("*" in action or "?" in action):
                yield _found(document, WILDCARD_ACTION, path, f"{action} is allowed")


def too_long(document: Document, context: Context) -> Iterator[Finding]:  # noqa: ARG001 - a Check
    """The document is not longer than AWS takes."""
    if (size := length(document.content)) > _LONGEST:
        yield _found(document, POLICY_TOO_LONG, document.path, f"it has {size} characters")


def variables(document: Document, context: Context) -> Iterator[Finding]:
    """Every variable will be filled in, for this client id and this certificate."""
    for path, text in strings(document.content, document.path):
        if _OPEN_VARIABLE.search(text):
            yield _found(document, UNKNOWN_VARIABLE, path, f"{text} has a ${{ that no }} closes")
    claim = is_claim(document)
    subject = frozenset({"CommonName"}) if claim else context.device_subject
    for path, name in _variables(document):
        field = _SUBJECT.fullmatch(name)
        if not _KNOWN.fullmatch(name):
            yield _found(document, UNKNOWN_VARIABLE, path, f"there is no variable {name}")
        elif claim and name.lower().startswith("iot:connection.thing."):
            yield _found(document, THING_VARIABLE_IN_CLAIM, path, f"{name} in a claim's policy")
        elif field and subject is not None and field[1] not in subject:
            what = f"the certificate's subject has no {field[1]}"
            yield _found(document, VARIABLE_WITHOUT_FIELD, path, what)


def trust(document: Document, context: Context) -> Iterator[Finding]:  # noqa: ARG001 - a Check
    """A role is assumed by those who should, on behalf of this account."""
    for each in statements_of(document):
        principal, path = member(each.content, "Principal"), f"{each.path}.Principal"
        if each.allows and any(text == "*" for _, text in strings(principal, path)):
            yield _found(document, TRUST_OPEN, path, "the principal is *")
        services = [text for _, text in elements(member(principal, "Service"), path)]
        condition = str(member(each.content, "Condition"))
        if "iot.amazonaws.com" in services and "aws:Source" not in condition:
            what = "AWS IoT may assume the role for any account"
            yield _found(document, TRUST_WITHOUT_ACCOUNT, each.path, what)


FOR_EVERY_POLICY: Final[tuple[Check, ...]] = (
    statements, unknown_members, version, not_elements, wildcard_actions,
)  # fmt: skip
FOR_IAM: Final[tuple[Check, ...]] = (*FOR_EVERY_POLICY, wildcard_resources)
FOR_TRUST: Final[tuple[Check, ...]] = (*FOR_EVERY_POLICY, trust)
FOR_IOT: Final[tuple[Check, ...]] = (
    *FOR_EVERY_POLICY, wildcard_resources, topic_wildcards, client_id_alone, actions, arns,
    too_long, variables,
)  # fmt: skip


def _variables(document: Document) -> Iterator[tuple[str, str]]:
    """Yield path and name of each variable: in texts, and as condition keys."""
    for path, text in strings(document.content, document.path):
        for found in _VARIABLE.finditer(text):
            yield path, found[1]
    for each in statements_of(document):
        conditions = member(each.content, "Condition")
        for _, path, comparison in members(conditions, f"{each.path}.Condition"):
            for key, inner, _ in members(comparison, path):
                if key.lower().startswith(("iot:connection.thing.", "iot:certificate.")):
                    yield inner, key


def _found(document: Document, rule: Rule, path: str, what: str) -> Finding:
    return Finding(rule, document.file, path, what)
