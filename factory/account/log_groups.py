"""The log group of a Lambda: made before its first line, so that a teardown knows whose it is.

Lambda would make it by itself, without a tag, and it would outlive the function. AWS Lambda
developer guide, "Sending Lambda function logs to CloudWatch Logs".
"""

from typing import Final

from factory.account.changes import Change, Outcome
from factory.account.cloud import MADE_BY_STATION, Cloud, items, structure, text
from factory.account.tags import owned

KIND: Final = "log group"


def ensure_log_group(cloud: Cloud, function: str) -> Change:
    """Make the log group of ``function``; one that is there is used, whoever made it.

    Raises:
        CloudError: AWS did not answer, or said no.
    """
    name = _name(function)
    if _is_there(cloud, name):
        return Change(KIND, name, Outcome.UNCHANGED)
    cloud.call("logs", "CreateLogGroup", logGroupName=name, tags=dict(MADE_BY_STATION))
    return Change(KIND, name, Outcome.CREATED)


def remove_log_group(cloud: Cloud, function: str) -> Change:
    """Delete the log group of ``function`` with all that is in it, unless it is someone else's.

    Raises:
        CloudError: AWS did not answer, or said no.
    """
    name = _name(function)
    if not _is_there(cloud, name):
        return Change(KIND, name, Outcome.ABSENT)
    arn = cloud.account.arn("logs", f"log-group:{name}")
    found = cloud.call("logs", "ListTagsForResource", resourceArn=arn)
    if not owned(structure(found, "tags")):
        return Change(KIND, name, Outcome.KEPT, "the station did not create it")
    cloud.call("logs", "DeleteLogGroup", logGroupName=name)
    return Change(KIND, name, Outcome.REMOVED)


def _name(function: str) -> str:
    return f"/aws/lambda/{function}"


def _is_there(cloud: Cloud, name: str) -> bool:
    pages = cloud.pages("logs", "DescribeLogGroups", logGroupNamePrefix=name)
    groups = [group for page in pages for group in items(page, "logGroups")]
    return name in [text(group, "logGroupName") for group in groups]
