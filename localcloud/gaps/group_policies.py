"""A policy that is attached to a thing group counts for the things in it.

MiniStack notes the attachment with the policy only. Here the group's record names its policies, as
a certificate's does, and they are gone with the group. Which groups count for a device that is
connected is in `localcloud.broker.policies`.
"""

from collections.abc import Callable
from typing import Any

from localcloud.gaps._support.rest import Response
from localcloud.seam import Seam


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still does not note in a group what is attached to it."""
    return "_thing_groups" not in iot["_change_policy_target"].__code__.co_names


def close(iot: Seam) -> None:
    """Note it."""
    change: Callable[..., Response] = iot["_change_policy_target"]

    def change_policy_target(
        name: str, target: str | None, *, attach: bool, principal: bool = False
    ) -> Response:
        response = change(name, target, attach=attach, principal=principal)
        group = _group(iot, target)
        if response[0] == 200 and group:
            others = [policy for policy in group.get("attachedPolicies", []) if policy != name]
            group["attachedPolicies"] = [*others, name] if attach else others
            iot["_thing_groups"][group["thingGroupName"]] = group
        return response

    iot["_change_policy_target"] = change_policy_target


def _group(iot: Seam, target: str | None) -> dict[str, Any] | None:
    name = (target or "").rpartition(":thinggroup/")[2]
    group: dict[str, Any] | None = iot["_thing_groups"].get(name)
    return group if group and group["thingGroupArn"] == target else None
