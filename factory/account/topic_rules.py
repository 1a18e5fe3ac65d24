"""Topic rules: made, brought back when they have drifted, removed."""

from typing import Final

from factory.account.changes import Change, Outcome
from factory.account.cloud import MADE_BY_STATION, Cloud, Response, Value, items, structure, text
from factory.account.tags import check_owned, tags_of

KIND: Final = "topic rule"
_SQL_VERSION: Final = "2016-03-23"


def ensure_rule(cloud: Cloud, name: str, sql: str, function_arn: str) -> Change:
    """Make the rule ``name``, which hands what ``sql`` selects to a Lambda, and enable it.

    Raises:
        NotMadeByStationError: someone else's rule has this name.
        CloudError: AWS did not answer, or said no.
    """
    wanted: dict[str, Value] = {
        "sql": sql,
        "awsIotSqlVersion": _SQL_VERSION,
        "ruleDisabled": False,
        "actions": [{"lambda": {"functionArn": function_arn}}],
    }
    found = _find(cloud, name)
    if found is None:
        tags = "&".join(f"{key}={value}" for key, value in MADE_BY_STATION.items())
        cloud.call("iot", "CreateTopicRule", ruleName=name, topicRulePayload=wanted, tags=tags)
        return Change(KIND, name, Outcome.CREATED)
    drifted = sorted(key for key, value in wanted.items() if found.get(key) != value)
    if not drifted:
        return Change(KIND, name, Outcome.UNCHANGED)
    cloud.call("iot", "ReplaceTopicRule", ruleName=name, topicRulePayload=wanted)
    return Change(KIND, name, Outcome.UPDATED, f"restored: {', '.join(drifted)}")


def remove_rule(cloud: Cloud, name: str) -> Change:
    """Delete the rule ``name``.

    Raises:
        NotMadeByStationError: someone else's rule has this name.
        CloudError: AWS did not answer, or said no.
    """
    if _find(cloud, name) is None:
        return Change(KIND, name, Outcome.ABSENT)
    cloud.call("iot", "DeleteTopicRule", ruleName=name)
    return Change(KIND, name, Outcome.REMOVED)


def rule_arn(cloud: Cloud, name: str) -> str:
    """Return the rule's ARN, without asking."""
    return cloud.account.arn("iot", f"rule/{name}")


def _find(cloud: Cloud, name: str) -> Response | None:
    # GetTopicRule answers "denied" for a rule that does not exist; the list tells which it is.
    pages = cloud.pages("iot", "ListTopicRules")
    if name not in [text(rule, "ruleName") for page in pages for rule in items(page, "rules")]:
        return None
    check_owned(KIND, name, tags_of(cloud, rule_arn(cloud, name)))
    return structure(cloud.call("iot", "GetTopicRule", ruleName=name), "rule")
