"""What a template names and provisioning does not create: groups, thing types, billing groups.

Provisioning fails for every device if one of them is missing (AWS IoT developer guide,
"Provisioning templates"), so ``prepare`` makes them before the template is used.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from factory.account.changes import Change, Outcome
from factory.account.cloud import Cloud, Response, items, names, structure, text
from factory.account.tags import add_user, owned, remove_user, station_tags, tags_of
from factory.errors import STILL_IN_USE, CloudRejectedError, NotInCloudError


@dataclass(frozen=True)
class Kind:
    """A kind of resource: its name in AWS's API, and its members."""

    label: str
    noun: str
    """As in ``CreateThingGroup``, ``thingGroupName``, ``thingGroupArn``."""
    members: str
    """The operation that lists the things in it."""

    def named(self, name: str) -> Mapping[str, str]:
        """Return the parameter that names one resource of this kind."""
        return {f"{self._field}Name": name}

    def arn(self, described: Response) -> str:
        """Return the ARN in AWS's description."""
        return text(described, f"{self._field}Arn")

    @property
    def _field(self) -> str:
        return self.noun[0].lower() + self.noun[1:]


THING_TYPE: Final = Kind("thing type", "ThingType", "ListThings")
KINDS: Final[Mapping[str, Kind]] = {
    "ThingGroups": Kind("thing group", "ThingGroup", "ListThingsInThingGroup"),
    "ThingTypeName": THING_TYPE,
    "BillingGroup": Kind("billing group", "BillingGroup", "ListThingsInBillingGroup"),
}
"""By the property of a template's Thing resource that names it."""


def named_in(template_body: str) -> Iterator[tuple[Kind, str]]:
    """Yield each resource that the template's Thing names outright, and not by a parameter."""
    resources = json.loads(template_body).get("Resources", {})
    for resource in resources.values():
        properties = resource.get("Properties", {})
        for member, kind in KINDS.items():
            value = properties.get(member, [])
            for name in value if isinstance(value, list) else [value]:
                if isinstance(name, str):
                    yield kind, name


def ensure_named(cloud: Cloud, template_body: str, user: str) -> list[Change]:
    """Make what the template names and is not there; ``user`` is the method that needs it.

    Raises:
        CloudError: AWS did not answer, or said no.
    """
    return [_ensure(cloud, kind, name, user) for kind, name in named_in(template_body)]


def remove_named(cloud: Cloud, template_body: str, user: str) -> Iterable[Change]:
    """Delete what ``ensure_named`` made, unless a thing or another method needs it.

    Raises:
        StillInUseError: AWS deletes a thing type five minutes after it was deprecated.
        CloudError: AWS did not answer, or said no.
    """
    return [_remove(cloud, kind, name, user) for kind, name in named_in(template_body)]


def exists(cloud: Cloud, kind: Kind, name: str) -> bool:
    """Tell whether the resource is there, whoever made it."""
    return _describe(cloud, kind, name) is not None


def _ensure(cloud: Cloud, kind: Kind, name: str, user: str) -> Change:
    described = _describe(cloud, kind, name)
    if described is None:
        cloud.call("iot", f"Create{kind.noun}", **kind.named(name), tags=station_tags(user))
        return Change(kind.label, name, Outcome.CREATED)
    if structure(described, "thingTypeMetadata").get("deprecated"):
        cloud.call("iot", f"Deprecate{kind.noun}", **kind.named(name), undoDeprecate=True)
        return Change(kind.label, name, Outcome.UPDATED, "no longer deprecated")
    arn = kind.arn(described)
    if owned(tags_of(cloud, arn)) and add_user(cloud, arn, user):
        return Change(kind.label, name, Outcome.UPDATED, f"now for {user}, too")
    return Change(kind.label, name, Outcome.UNCHANGED)


def _remove(cloud: Cloud, kind: Kind, name: str, user: str) -> Change:
    described = _describe(cloud, kind, name)
    if described is None:
        return Change(kind.label, name, Outcome.ABSENT)
    arn = kind.arn(described)
    if not owned(tags_of(cloud, arn)):
        return Change(kind.label, name, Outcome.KEPT, "the station did not create it")
    if others := remove_user(cloud, arn, user):
        return Change(kind.label, name, Outcome.KEPT, f"still needed: {', '.join(sorted(others))}")
    if members := _members(cloud, kind, name):
        note = f"{members} device(s) in it; --devices removes them too"
        return Change(kind.label, name, Outcome.KEPT, note)
    if kind is THING_TYPE:
        _delete_type(cloud, name, described)
    else:
        cloud.call("iot", f"Delete{kind.noun}", **kind.named(name))
    return Change(kind.label, name, Outcome.REMOVED)


def _describe(cloud: Cloud, kind: Kind, name: str) -> Response | None:
    try:
        return cloud.call("iot", f"Describe{kind.noun}", **kind.named(name))
    except NotInCloudError:
        return None


def _members(cloud: Cloud, kind: Kind, name: str) -> int:
    pages = cloud.pages("iot", kind.members, **kind.named(name))
    return sum(len(items(page, "things") or names(page, "things")) for page in pages)


def _delete_type(cloud: Cloud, name: str, described: Response) -> None:
    if not structure(described, "thingTypeMetadata").get("deprecated"):
        cloud.call("iot", "DeprecateThingType", thingTypeName=name)
    try:
        cloud.call("iot", "DeleteThingType", thingTypeName=name)
    except CloudRejectedError as error:
        # AWS IoT API reference, DeleteThingType: "wait 5 minutes" after it was deprecated.
        raise CloudRejectedError(
            error.action, error.error_code, str(error), row=STILL_IN_USE
        ) from error
