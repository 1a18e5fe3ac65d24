"""Whose is it, and who needs it? The station touches only what carries its tag."""

from collections.abc import Mapping
from typing import Final

from factory.account.cloud import MADE_BY_STATION, Cloud, Value, items, text
from factory.errors import NotMadeByStationError

USED_BY: Final = "used-by/"
"""Begins the tag that names who needs a shared resource, such as a method."""


def station_tags(*users: str) -> list[Value]:
    """Return the station's tag, and one for each of ``users``, as IoT and IAM take them."""
    tags = dict(MADE_BY_STATION) | {f"{USED_BY}{user}": "method" for user in users}
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def is_made_by_station(tags: list[Mapping[str, Value]]) -> bool:
    """Tell whether the station's tag is among ``tags``."""
    present = {tag.get("Key"): tag.get("Value") for tag in tags}
    return all(present.get(key) == value for key, value in MADE_BY_STATION.items())


def check_made_by_station(cloud: Cloud, kind: str, name: str, arn: str) -> None:
    """Refuse to go on with an IoT resource that somebody else made.

    Raises:
        NotMadeByStationError: the resource at ``arn`` lacks the station's tag.
    """
    if not is_made_by_station(tags_of(cloud, arn)):
        raise NotMadeByStationError(f"the {kind} {name} exists, but the station did not create it")


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
