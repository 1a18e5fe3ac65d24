"""Which statement of the policies decides: AWS IoT tells the policy, and not the statement.

AWS IoT Core developer guide, "AWS IoT Core policies", "Thing policy variables", "X.509 Certificate
AWS IoT Core policy variables" (docs/aws-iot-facts.md, 6). AWS's own answer counts where it differs.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from factory.lint.document import Document, Kind, elements, member
from factory.lint.statement import Statement, covers, iot_resource, statements_of

_VARIABLE: Final = re.compile(r"\$\{([^}]*)\}")
_THING: Final = "iot:connection.thing."

Variables = Mapping[str, str]
"""What AWS IoT fills in for one client; by names in lower case."""


@dataclass(frozen=True)
class Policy:
    """A policy that counts for a client."""

    name: str
    document: str


class Verdict(StrEnum):
    """What policies say, in the words of TestAuthorization."""

    ALLOWED = "ALLOWED"
    IMPLICIT_DENY = "IMPLICIT_DENY"
    EXPLICIT_DENY = "EXPLICIT_DENY"


@dataclass(frozen=True)
class Decision:
    """What the policies say of one action on one resource."""

    verdict: Verdict
    words: str
    """The statement that decides, or why the nearest one does not allow it."""


@dataclass(frozen=True)
class _Placed:
    policy: Policy
    number: int
    statement: Statement

    @property
    def words(self) -> str:
        return f"policy {self.policy.name}, statement {self.number}"


def decide(
    policies: Sequence[Policy], action: str, resource: str, variables: Variables
) -> Decision:
    """Return what ``policies`` say of ``action`` on ``resource``, such as ``client/SN-1``."""
    about = [each for each in _placed(policies) if each.statement.has(action)]
    for each in about:
        if not each.statement.allows and _mismatch(each.statement, resource, variables) is None:
            return Decision(Verdict.EXPLICIT_DENY, f"{each.words} denies {action} on {resource}")
    allowing = [each for each in about if each.statement.allows]
    why = [(each, _mismatch(each.statement, resource, variables)) for each in allowing]
    for each, mismatch in why:
        if mismatch is None:
            return Decision(Verdict.ALLOWED, f"{each.words} allows {action} on {resource}")
    if not why:
        return Decision(Verdict.IMPLICIT_DENY, f"no statement allows {action} at all")
    nearest = sorted(why, key=lambda pair: _distance(pair[0].statement, resource))
    said = "; ".join(f"{each.words} {mismatch}" for each, mismatch in nearest[:2])
    return Decision(Verdict.IMPLICIT_DENY, f"{action} on {resource}: {said}")


def _placed(policies: Sequence[Policy]) -> Iterator[_Placed]:
    for policy in policies:
        try:
            content = json.loads(policy.document)
        except ValueError:
            continue
        document = Document(policy.name, content, Kind.IOT_POLICY)
        for number, statement in enumerate(statements_of(document), 1):
            yield _Placed(policy, number, statement)


def _distance(statement: Statement, resource: str) -> int:
    kind = resource.partition("/")[0]
    kinds = [iot_resource(arn).partition("/")[0] for _, arn in statement.resources]
    return 0 if kind in kinds else 1


def _mismatch(statement: Statement, resource: str, variables: Variables) -> str | None:
    """Return why a statement is not about ``resource`` for this client; None if it is."""
    filled = [_filled(iot_resource(arn), variables) for _, arn in statement.resources]
    if any(not missing and covers(pattern, resource) for pattern, missing in filled):
        return _unmet(statement, variables)
    if unfilled := set().union(*(missing for _, missing in filled)):
        return _without_value(unfilled, statement)
    named = ", ".join(pattern for pattern, _ in filled)
    return f"is for {named or 'no resource'} only"


def _without_value(names: set[str], statement: Statement) -> str:
    listed = ", ".join(f"${{{each}}}" for each in sorted(names))
    on = ", ".join(iot_resource(arn) for _, arn in statement.resources)
    thing = any(each.lower().startswith(_THING) for each in names)
    why = (
        "the certificate is not attached to a thing of this client id, nor exclusively to another"
        if thing
        else "the certificate or the client does not have it"
    )
    return f"is for {on}, in which {listed} has no value: {why}"


def _filled(resource: str, variables: Variables) -> tuple[str, set[str]]:
    """Return a resource with its variables filled in, and those that have no value."""
    missing = set()

    def value(found: re.Match[str]) -> str:
        name = found[1]
        if name in {"*", "?", "$"}:
            return name
        if name.lower() not in variables:
            missing.add(name)
            return ""
        return variables[name.lower()]

    return _VARIABLE.sub(value, resource), missing


def _unmet(statement: Statement, variables: Variables) -> str | None:
    """Return the first condition that is not met, as far as it can be judged from here."""
    conditions = member(statement.content, "Condition")
    for operator, comparison in conditions.items() if isinstance(conditions, Mapping) else ():
        for key, wanted in comparison.items() if isinstance(comparison, Mapping) else ():
            values = [str(each) for _, each in elements(wanted, "")]
            if not _is_met(operator, variables.get(key.lower()), values):
                has = variables.get(key.lower(), "no value")
                return f"wants {operator} {key} to be {' or '.join(values)}, which is {has}"
    return None


def _is_met(operator: str, has: str | None, wanted: Sequence[str]) -> bool:
    name = operator.lower().removesuffix("ifexists")
    if name == "bool":
        return (has or "false").lower() in {each.lower() for each in wanted}
    if name in {"stringequals", "stringlike", "arnlike", "arnequals"}:
        return has is not None and any(covers(each, has) for each in wanted)
    return True  # AWS's own answer decides about the others
