"""Who may invoke a Lambda: AWS IoT, on behalf of one rule or template of this account."""

from typing import Final

import msgspec

from factory.account.cloud import Cloud, text
from factory.errors import NotInCloudError

_STATEMENT: Final = "firstboot-iot"


class _Statement(msgspec.Struct):
    sid: str = msgspec.field(name="Sid", default="")
    condition: dict[str, dict[str, str]] = msgspec.field(name="Condition", default_factory=dict)


class _Policy(msgspec.Struct):
    statements: list[_Statement] = msgspec.field(name="Statement", default_factory=list)


def permit_iot(cloud: Cloud, function: str, source_arn: str) -> bool:
    """Let AWS IoT invoke ``function`` for ``source_arn`` only; tell whether that was new.

    Source account and ARN guard against the rules of others (AWS IoT developer guide,
    "Cross-service confused deputy prevention").

    Raises:
        CloudError: AWS did not answer, or said no.
    """
    found = _conditions(cloud, function)
    wanted = {source_arn, cloud.account.account_id}
    if found == wanted:
        return False
    if found is not None:
        cloud.call("lambda", "RemovePermission", FunctionName=function, StatementId=_STATEMENT)
    cloud.call(
        "lambda", "AddPermission", FunctionName=function, StatementId=_STATEMENT,
        Action="lambda:InvokeFunction", Principal="iot.amazonaws.com",
        SourceArn=source_arn, SourceAccount=cloud.account.account_id,
    )  # fmt: skip
    return True


def _conditions(cloud: Cloud, function: str) -> set[str] | None:
    """Return what the station's statement is restricted to; None if there is none."""
    try:
        policy = text(cloud.call("lambda", "GetPolicy", FunctionName=function), "Policy")
    except NotInCloudError:
        return None
    for statement in msgspec.json.decode(policy, type=_Policy).statements:
        if statement.sid == _STATEMENT:
            return {value for each in statement.condition.values() for value in each.values()}
    return None
