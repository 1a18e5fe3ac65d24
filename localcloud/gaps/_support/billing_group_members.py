"""What a thing, a template and IAM know of billing groups; part of the gap `billing_groups`."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from localcloud.gaps._support.registered_certificate import WORKFLOW
from localcloud.gaps._support.rest import RefusedError, Response, arn_of, body_of
from localcloud.gaps._support.stores import Store
from localcloud.gaps._support.template import Plan, thing_properties
from localcloud.seam import Seam

BillingGroup = Mapping[str, Any]
"""The fields of DescribeBillingGroup."""
_MEMBERSHIPS: Final = ("addThingToBillingGroup", "removeThingFromBillingGroup")


def members(iot: Seam, group: str) -> list[str]:
    """Return the names of the things in ``group``."""
    things = iot["_things"].items()
    return sorted(name for name, thing in things if thing.get("billingGroupName") == group)


def group_name(body: Mapping[str, Any], kind: str) -> str:
    """Return what ``body`` names by ``<kind>Name`` or ``<kind>Arn``.

    Raises:
        RefusedError: neither is given.
    """
    name = body.get(f"{kind}Name") or str(body.get(f"{kind}Arn") or "").rpartition("/")[2]
    if not isinstance(name, str) or not name:
        message = f"Both {kind}Arn and {kind}Name are empty. Need to specify at least one of them"
        raise RefusedError("InvalidRequestException", message)
    return name


def know_groups(iot: Seam, groups: Store) -> None:
    """Let CreateThing and templates put a thing into a group, and DescribeThing tell it."""
    iot["_create_thing"] = _create_thing(iot, groups)
    iot["_describe_thing"] = _describe_thing(iot)
    iot["_apply_provisioning_plan"] = _apply_plan(iot, groups)


def _create_thing(iot: Seam, groups: Store) -> Callable[[str, dict[str, Any]], Response]:
    create: Callable[[str, dict[str, Any]], Response] = iot["_create_thing"]

    def create_thing(name: str, payload: dict[str, Any]) -> Response:
        group = payload.get("billingGroupName")
        if group and group not in groups:
            message = f"Billing Group {group} not found."
            return _error(iot, "ResourceNotFoundException", message, 404)
        existing = iot["_things"].get(name)
        if existing and existing.get("billingGroupName") != group:
            message = f"Thing {name!r} already exists with different configuration"
            return _error(iot, "ResourceAlreadyExistsException", message, 409)
        response = create(name, payload)
        if group and response[0] == 200:
            iot["_things"][name] = {**iot["_things"][name], "billingGroupName": group}
        return response

    return create_thing


def _describe_thing(iot: Seam) -> Callable[[str], Response]:
    describe: Callable[[str], Response] = iot["_describe_thing"]

    def describe_thing(name: str) -> Response:
        status, headers, body = describe(name)
        group = (iot["_things"].get(name) or {}).get("billingGroupName")
        if group:
            body = json.dumps({**json.loads(body), "billingGroupName": group}).encode()
        return status, headers, body

    return describe_thing


def _apply_plan(iot: Seam, groups: Store) -> Callable[..., Awaitable[str | None]]:
    apply: Callable[..., Awaitable[str | None]] = iot["_apply_provisioning_plan"]

    async def apply_plan(plan: Plan, certificate: Any, role_arn: str) -> str | None:
        properties = thing_properties(plan)
        group = properties.get("BillingGroup")
        if not group:
            return await apply(plan, certificate, role_arn)
        _check(iot, groups, role_arn, properties["ThingName"], group)
        name = await apply(plan, certificate, role_arn)
        iot["_things"][name] = {**iot["_things"][name], "billingGroupName": group}
        return name

    return apply_plan


def _check(iot: Seam, groups: Store, role_arn: str, thing: str, group: str) -> None:
    """Raise MiniStack's rejection if the thing may not be put into the group."""
    if group not in groups:
        account = iot["get_account_id"]()
        reason = f"{WORKFLOW}Billing Group {account}:{group} not found."
        raise iot["_provisioning_failed"](reason)
    current = (iot["_things"].get(thing) or {}).get("billingGroupName")
    if current not in {None, group}:
        reason = (
            f"Existing BillingGroup: {current} conflicts with BillingGroup: {group} in Template."
        )
        raise iot["_provisioning_failed"](reason)
    arns = (groups[group]["billingGroupArn"], arn_of(iot, f"thing/{thing}"))
    requests = [("iot:AddThingToBillingGroup", arn) for arn in arns]
    if not iot["_provisioning_role_allows"](role_arn, requests):
        raise iot["_ProvisioningRejected"]("AccessDenied", "Access Denied", 403)


def iam_resource(iam_actions: Seam) -> None:
    """Let IAM policies name a billing group: ``arn:aws:iot:REGION:ACCOUNT:billinggroup/NAME``."""
    extract: Callable[..., str] = iam_actions["extract_resource_arn"]

    def extract_resource_arn(service: str, method: str, path: str, *rest: Any) -> str:
        root, _, tail = path.lstrip("/").partition("/")
        if service != "iot" or root != "billing-groups" or not tail:
            return extract(service, method, path, *rest)
        _headers, body, _query, region, account = rest
        name = tail.partition("/")[0]
        if name in _MEMBERSHIPS:
            name = _named_in(body)
        return f"arn:aws:iot:{region}:{account}:billinggroup/{name}"

    iam_actions["extract_resource_arn"] = extract_resource_arn


def _named_in(body: bytes) -> str:
    try:
        return group_name(body_of(body), "billingGroup")
    except RefusedError:
        return "*"  # the operation itself refuses it


def _error(iot: Seam, code: str, message: str, status: int) -> Response:
    response: Response = iot["error_response_json"](code, message, status)
    return response
