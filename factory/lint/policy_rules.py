"""What is looked for in policies, whatever they are about."""

import re
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from factory.lint import rules
from factory.lint.context import Context
from factory.lint.document import Document, elements, length, member, members, strings
from factory.lint.finding import Finding, Rule
from factory.lint.statement import iot_resource, resources_of, statements_of

Check: TypeAlias = Callable[[Document, Context], Iterator[Finding]]

CLAIM_TOPICS: Final = "$aws/provisioning-templates/"
_LONGEST: Final = 2048
"""Characters of a policy document, white space not counted (AWS IoT Core quotas)."""
_VARIABLE: Final = re.compile(r"\$\{([^}]*)\}")
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


def is_claim(document: Document) -> bool:
    """Tell whether a policy is that of a claim: it allows provisioning."""
    topics = [name for _, name in resources_of(document, "iot:Publish", "topic")]
    return any(topic.startswith(CLAIM_TOPICS) for topic in topics)


def statements(document: Document, context: Context) -> Iterator[Finding]:  # noqa: ARG001 - a Check
    """A policy has statements, and each an Effect, an Action and a Resource or Principal."""
    if not list(statements_of(document)):
        yield _found(document, rules.MALFORMED, document.path, "there is no statement")
    for each in statements_of(document):
        if not each.actions:
            yield _found(document, rules.MALFORMED, each.path, "there is no Action")
        if member(each.content, "Effect") not in {"Allow", "Deny"}:
            yield _found(document, rules.MALFORMED, each.path, "the Effect is not Allow or Deny")


def wildcard_actions(document: Document, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    """No action is allowed by a wildcard."""
    for each in statements_of(document):
        for path, action in each.actions:
            if each.allows and ("*" in action or "?" in action):
                yield _found(document, rules.WILDCARD_ACTION, path, f"{action} is allowed")


def wildcard_resources(document: Document, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    """Nothing is allowed on every resource, and no device connects under another's name."""
    claim = is_claim(document)
    for each in statements_of(document):
        for path, arn in each.resources:
            resource = iot_resource(arn)
            # Claim sessions need client ids of their own, and a claim has no name to go by.
            many = resource.startswith("client/") and "*" in resource and "${" not in resource
            if each.allows and (_is_everything(resource) or (many and not claim)):
                yield _found(document, rules.WILDCARD_RESOURCE, path, f"{arn} is allowed")


def too_long(document: Document, context: Context) -> Iterator[Finding]:  # noqa: ARG001 - a Check
    """The document is not longer than AWS takes."""
    if (size := length(document.content)) > _LONGEST:
        yield _found(document, rules.POLICY_TOO_LONG, document.path, f"it has {size} characters")


def variables(document: Document, context: Context) -> Iterator[Finding]:
    """Every variable will be filled in, for this client id and this certificate."""
    claim = is_claim(document)
    subject = frozenset({"CommonName"}) if claim else context.device_subject
    for path, name in _variables(document):
        field = _SUBJECT.fullmatch(name)
        if not _KNOWN.fullmatch(name):
            yield _found(document, rules.UNKNOWN_VARIABLE, path, f"there is no variable {name}")
        elif claim and name.lower().startswith("iot:connection.thing."):
            yield _found(
                document, rules.THING_VARIABLE_IN_CLAIM, path, f"{name} in a claim's policy"
            )
        elif field and subject is not None and field[1] not in subject:
            what = f"the certificate's subject has no {field[1]}"
            yield _found(document, rules.VARIABLE_WITHOUT_FIELD, path, what)


def trust(document: Document, context: Context) -> Iterator[Finding]:  # noqa: ARG001 - a Check
    """A role is assumed by those who should, on behalf of this account."""
    for each in statements_of(document):
        principal, path = member(each.content, "Principal"), f"{each.path}.Principal"
        if each.allows and any(text == "*" for _, text in strings(principal, path)):
            yield _found(document, rules.TRUST_OPEN, path, "the principal is *")
        services = [text for _, text in elements(member(principal, "Service"), path)]
        condition = str(member(each.content, "Condition"))
        if "iot.amazonaws.com" in services and "aws:Source" not in condition:
            what = "AWS IoT may assume the role for any account"
            yield _found(document, rules.TRUST_WITHOUT_ACCOUNT, each.path, what)


FOR_EVERY_POLICY: Final[tuple[Check, ...]] = (statements, wildcard_actions)
FOR_IAM: Final[tuple[Check, ...]] = (*FOR_EVERY_POLICY, wildcard_resources)
FOR_TRUST: Final[tuple[Check, ...]] = (*FOR_EVERY_POLICY, trust)
FOR_IOT: Final[tuple[Check, ...]] = (
    *FOR_EVERY_POLICY, wildcard_resources, too_long, variables,
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


def _is_everything(resource: str) -> bool:
    return resource in {"*", "client/*", "topic/*", "topicfilter/*"}


def _found(document: Document, rule: Rule, path: str, what: str) -> Finding:
    return Finding(rule, document.file, path, what)
