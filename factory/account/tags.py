"""Tags say who made a resource and who needs it. The station touches only what has its tag."""

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from factory.account.cloud import MADE_BY_STATION, Cloud, Value, items, text
from factory.errors import NOT_MADE_BY_STATION

Tags: TypeAlias = Mapping[str, Value] | Sequence[Mapping[str, Value]]
"""By key, as Lambda and CloudWatch Logs answer, or as pairs of Key and Value, as the others do."""
USED_BY: Final = "used-by/"
"""Begins the tag that names who needs a shared resource, such as a method."""


def station_tags(*users: str) -> list[Value]:
    """Return the station's tag, and one for each of ``users``, as IoT and IAM take them."""
    tags = dict(MADE_BY_STATION) | {f"{USED_BY}{user}": "method" for user in users}
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def owned(tags: Tags) -> bool:
    """Tell whether the station made the resource that has ``tags``."""
    present = tags if isinstance(tags, Mapping) else {tag["Key"]: tag["Value"] for tag in tags}
    return all(present.get(key) == value for key, value in MADE_BY_STATION.items())


def check_owned(kind: str, name: str, tags: Tags) -> None:
    """Refuse to use a resource that the station did not create.

    Raises:
        NotMadeByStationError: the station's tag is not among ``tags``.
    """
    if not owned(tags):
        raise NOT_MADE_BY_STATION.error(
            f"the {kind} {name} exists, but the station did not create it"
        )


def tags_of(cloud: Cloud, arn: str) -> list[Mapping[str, Value]]:
    """Return the tags of an IoT resource."""
    pages = cloud.pages("iot", "ListTagsForResource", resourceArn=arn)
    return [tag for page in pages for tag in items(page, "tags")]


def users_in(tags: list[Mapping[str, Value]]) -> set[str]:
    """Return who needs the resource that has ``tags``."""
    keys = [text(tag, "Key") for tag in tags]
    return {key.removeprefix(USED_BY) for key in keys if key.startswith(USED_BY)}


def add_user(cloud: Cloud, arn: str, user: str) -> bool:
    """Note that ``user`` needs an IoT resource; tell whether that was new."""
    if user in users_in(tags_of(cloud, arn)):
        return False
    tag: Value = {"Key": f"{USED_BY}{user}", "Value": "method"}
    cloud.call("iot", "TagResource", resourceArn=arn, tags=[tag])
    return True


def remove_user(cloud: Cloud, arn: str, user: str) -> set[str]:
    """Note that ``user`` no longer needs an IoT resource; return who still does."""
    users = users_in(tags_of(cloud, arn))
    others = users - {user}
    if others != users and others:
        cloud.call("iot", "UntagResource", resourceArn=arn, tagKeys=[f"{USED_BY}{user}"])
    return others
