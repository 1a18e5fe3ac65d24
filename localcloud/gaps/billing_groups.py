"""Billing groups: eight operations, and what a thing and a template know of them.

A thing is in one billing group at most; templates name one in the Thing resource, and it must
exist (developer guide, "Billing groups" and "Provisioning templates"; botocore model;
docs/aws-iot-facts.md, 1.1 and 3.2). Not published, and chosen here: a thing that is in a
group is refused by another one; deleting a group lets its things go.
"""

import time
from collections.abc import Mapping
from typing import Any

from ministack.core import iam_actions

from localcloud.gaps._support.billing_group_members import (
    BillingGroup,
    group_name,
    iam_resource,
    know_groups,
    members,
)
from localcloud.gaps._support.rest import (
    Answer,
    RefusedError,
    Request,
    arn_of,
    is_unserved,
    page,
    serve,
)
from localcloud.gaps._support.stores import Store, add_store
from localcloud.seam import Seam

_PATH = "/billing-groups/{billingGroupName}"


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still does not know the path."""
    return is_unserved(iot, "GET", "/billing-groups")


def close(iot: Seam) -> None:
    """Serve the operations, and let things and templates name a group."""
    groups = BillingGroups(iot, add_store(iot, "localcloud_billing_groups"))
    iot["_TAGGABLE_RESOURCES"]["billinggroup"] = (groups.store, "Billing Group {name} not found")
    iam_resource(Seam(iam_actions))
    know_groups(iot, groups.store)
    serve(
        iot,
        {
            "GET /billing-groups": groups.list,
            "PUT /billing-groups/addThingToBillingGroup": groups.add_thing,
            "PUT /billing-groups/removeThingFromBillingGroup": groups.remove_thing,
            f"GET {_PATH}/things": groups.list_things,
            f"POST {_PATH}": groups.create,
            f"GET {_PATH}": groups.describe,
            f"PATCH {_PATH}": groups.update,
            f"DELETE {_PATH}": groups.delete,
        },
    )


class BillingGroups:
    """The operations, on a ``store`` of groups and MiniStack's things."""

    def __init__(self, iot: Seam, store: Store) -> None:
        """Keep the groups in ``store``."""
        self._iot = iot
        self.store = store

    async def create(self, request: Request) -> Answer:
        """CreateBillingGroup; the same group again is not an error."""
        name = request.parts["billingGroupName"]
        tags = request.body.get("tags")
        refused = self._iot["_tags_error"](tags, required=False)
        if refused:
            raise RefusedError("InvalidRequestException", "Invalid tags")
        group = self.store.get(name)
        if group is None:
            group = self._new(name, request.body)
            self.store[name] = group
            self._iot["_set_created_tags"](group["billingGroupArn"], tags)
        elif group["billingGroupProperties"] != _properties(request.body):
            raise RefusedError(
                "ResourceAlreadyExistsException",
                f"Billing Group {name} already exists in current account with different properties",
                409,
                resourceId=name,
                resourceArn=group["billingGroupArn"],
            )
        return {
            key: group[key] for key in ("billingGroupName", "billingGroupArn", "billingGroupId")
        }

    def _new(self, name: str, body: Mapping[str, Any]) -> BillingGroup:
        return {
            "billingGroupName": name,
            "billingGroupArn": arn_of(self._iot, f"billinggroup/{name}"),
            "billingGroupId": self._iot["new_uuid"](),
            "version": 1,
            "billingGroupProperties": _properties(body),
            "billingGroupMetadata": {"creationDate": time.time()},
        }

    async def describe(self, request: Request) -> Answer:
        """DescribeBillingGroup."""
        return dict(self._found(request.parts["billingGroupName"]))

    async def list(self, request: Request) -> Answer:
        """ListBillingGroups, by name."""
        prefix = request.query.get("namePrefixFilter", "")
        names = [name for name in sorted(self.store.keys()) if name.startswith(prefix)]
        shown, token = page(request, names)
        pairs = [(name, self.store[name]["billingGroupArn"]) for name in shown]
        found = [{"groupName": name, "groupArn": arn} for name, arn in pairs]
        return {"billingGroups": found, "nextToken": token}

    async def update(self, request: Request) -> Answer:
        """UpdateBillingGroup."""
        group = self._found(request.parts["billingGroupName"])
        _check_version(group, request.body.get("expectedVersion"))
        changed = {"billingGroupProperties": _properties(request.body)}
        version = group["version"] + 1
        self.store[group["billingGroupName"]] = {**group, **changed, "version": version}
        return {"version": version}

    async def delete(self, request: Request) -> Answer:
        """DeleteBillingGroup; one that is not there is no error."""
        name = request.parts["billingGroupName"]
        group = self.store.get(name)
        if group is not None:
            _check_version(group, request.query.get("expectedVersion"))
            for thing in members(self._iot, name):
                self._put(thing, None)
            self._iot["_tags"].pop(group["billingGroupArn"], None)
            del self.store[name]
        return {}

    async def list_things(self, request: Request) -> Answer:
        """ListThingsInBillingGroup."""
        name = request.parts["billingGroupName"]
        self._found(name)
        shown, token = page(request, members(self._iot, name))
        return {"things": list(shown), "nextToken": token}

    async def add_thing(self, request: Request) -> Answer:
        """AddThingToBillingGroup."""
        group = group_name(request.body, "billingGroup")
        thing = self._thing(request)
        self._found(group)
        current = thing.get("billingGroupName")
        if current not in {None, group}:
            message = f"Thing {thing['thingName']} is in billing group {current}"
            raise RefusedError("InvalidRequestException", message)
        self._put(thing["thingName"], group)
        return {}

    async def remove_thing(self, request: Request) -> Answer:
        """RemoveThingFromBillingGroup; a thing that is not in it is not an error."""
        group = group_name(request.body, "billingGroup")
        thing = self._thing(request)
        self._found(group)
        if thing.get("billingGroupName") == group:
            self._put(thing["thingName"], None)
        return {}

    def _found(self, name: str) -> BillingGroup:
        group: BillingGroup | None = self.store.get(name)
        if group is None:
            message = f"Billing Group {name} not found."
            raise RefusedError("ResourceNotFoundException", message, 404)
        return group

    def _thing(self, request: Request) -> Mapping[str, Any]:
        name = group_name(request.body, "thing")
        thing: Mapping[str, Any] | None = self._iot["_things"].get(name)
        if thing is None:
            raise RefusedError("ResourceNotFoundException", f"Thing {name} not found.", 404)
        return thing

    def _put(self, thing: str, group: str | None) -> None:
        things = self._iot["_things"]
        things[thing] = {**things[thing], "billingGroupName": group}


def _properties(body: Mapping[str, Any]) -> Mapping[str, Any]:
    return body.get("billingGroupProperties") or {}


def _check_version(group: BillingGroup, expected: object) -> None:
    if expected is not None and str(expected) != str(group["version"]):
        name = group["billingGroupName"]
        message = f"The version for billing group {name} does not match the expected version."
        raise RefusedError("VersionConflictException", message, 409)
