"""What makes a policy document one.

The grammar is that of the AWS IoT developer guide, "AWS IoT Core policies", and of the IAM user
guide, "Grammar of the IAM JSON policy language"; the words are ours. Names of actions are not
looked at: AWS takes those it does not know.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

_VERSIONS: Final = ("2008-10-17", "2012-10-17")
_MEMBERS: Final = frozenset({"Version", "Id", "Statement"})
_STATEMENT_MEMBERS: Final = frozenset(
    {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"}
)
_LONGEST: Final = 2048  # characters without white space: AWS IoT Core quotas

Payload = Mapping[str, Any]


def policy_error(document: str) -> str | None:
    """Say why ``document`` is no policy, if it is none."""
    try:
        policy = json.loads(document)
    except (TypeError, ValueError, RecursionError):
        return "The policy document is not valid JSON."
    if not isinstance(policy, dict):
        return "The policy document must be an object."
    if len("".join(document.split())) > _LONGEST:
        return f"The policy document has more than {_LONGEST} characters."
    return next(_errors(policy), None)


def _errors(policy: Payload) -> Iterator[str]:
    if unknown := policy.keys() - _MEMBERS:
        yield f"The policy has an unknown element {min(unknown)}."
    if policy.get("Version", _VERSIONS[0]) not in _VERSIONS:
        yield f"The Version must be one of {', '.join(_VERSIONS)}."
    given = policy.get("Statement")
    statements = given if isinstance(given, list) else [given]
    if not statements:
        yield "The policy must have a Statement."
    for statement in statements:
        if not isinstance(statement, dict):
            yield "A Statement must be an object."
            return
        yield from _statement_errors(statement)


def _statement_errors(statement: Payload) -> Iterator[str]:
    if unknown := statement.keys() - _STATEMENT_MEMBERS:
        yield f"A statement has an unknown element {min(unknown)}."
    if statement.get("Effect") not in ("Allow", "Deny"):
        yield "The Effect of a statement must be Allow or Deny."
    for name in ("Action", "Resource"):
        given = statement.get(name, statement.get(f"Not{name}"))
        texts = given if isinstance(given, list) else [given]
        if not texts or not all(isinstance(text, str) and text for text in texts):
            yield f"The {name} of a statement must be a string, or a list of strings."
    condition = statement.get("Condition", {})
    if not isinstance(condition, dict) or not all(isinstance(c, dict) for c in condition.values()):
        yield "The Condition of a statement must be an object of objects."
