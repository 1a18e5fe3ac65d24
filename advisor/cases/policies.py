"""Permissions and policies: what Device Advisor looks at in the account, from files."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from advisor.case import Case, Finding, Given, Judge, Verdict, always, failed, passed
from advisor.journal import Entry
from advisor.script import Script

_PAGE: Final = (
    "https://docs.aws.amazon.com/iot/latest/developerguide/"
    "device-advisor-tests-permissions-policies.html"
)


def wildcards_in(policy: Any) -> Iterator[str]:
    """Yield what a policy document allows by a wildcard alone; a part of a name is no wildcard."""
    statements = policy.get("Statement", []) if isinstance(policy, Mapping) else []
    for statement in [statements] if isinstance(statements, Mapping) else statements:
        if statement.get("Effect") != "Allow":
            continue
        for field in ("Action", "Resource"):
            for value in _texts(statement.get(field, [])):
                if value in {"*", "iot:*"} or (
                    value.rpartition("/")[2] == "*" and value.count("/") == 1
                ):
                    yield f"{field} {value}"


def _texts(value: Any) -> Sequence[str]:
    return [value] if isinstance(value, str) else value


def has_no_wildcards(given: Given) -> Judge:
    """Return a judge of the policies that were given."""

    def judge(_entries: Sequence[Entry]) -> Finding | None:
        if not given.policies:
            said = "give the policies of the client's certificate with --policy"
            return Finding(Verdict.NOT_RUN, said)
        found = [each for policy in given.policies for each in wildcards_in(policy)]
        if found:
            return failed(f"wildcards: {', '.join(found)}")
        return passed(f"{len(given.policies)} policies without a wildcard in place of a name")

    return judge


CASES: Final = (
    Case(
        "Security_Device_Policies",
        "Device certificate attached policies don't contain wildcards",
        "The policy documents that were given are read.",
        always(Script()),
        has_no_wildcards,
        "",
        _PAGE,
        needs_client=False,
    ),
)
