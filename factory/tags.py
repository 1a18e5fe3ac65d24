"""Whose is it? The station touches only what carries its tag."""

from collections.abc import Mapping

from factory.cloud import MADE_BY_STATION, Cloud, Value, items
from factory.errors import NotMadeByStationError


def station_tags() -> list[Value]:
    """Return the station's tag as IoT and IAM take it."""
    return [{"Key": key, "Value": value} for key, value in MADE_BY_STATION.items()]


def is_made_by_station(tags: list[Mapping[str, Value]]) -> bool:
    """Tell whether the station's tag is among ``tags``."""
    present = {tag.get("Key"): tag.get("Value") for tag in tags}
    return all(present.get(key) == value for key, value in MADE_BY_STATION.items())


def check_made_by_station(cloud: Cloud, kind: str, name: str, arn: str) -> None:
    """Refuse to go on with an IoT resource that somebody else made.

    Raises:
        NotMadeByStationError: the resource at ``arn`` lacks the station's tag.
    """
    tags = [
        tag
        for page in cloud.pages("iot", "ListTagsForResource", resourceArn=arn)
        for tag in items(page, "tags")
    ]
    if not is_made_by_station(tags):
        raise NotMadeByStationError(f"the {kind} {name} exists, and the station did not make it")
