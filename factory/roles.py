"""The IAM role under which AWS IoT runs a provisioning template."""

import json
from typing import Final

from factory.changes import Change, Outcome
from factory.cloud import Cloud, Response, Value, items, structure, text
from factory.documents import same_document
from factory.errors import NotInCloudError, NotMadeByStationError
from factory.tags import is_made_by_station, station_tags

KIND: Final = "provisioning role"
_USED_BY: Final = "used-by/"
_MANAGED_POLICY: Final = "service-role/AWSIoTThingsRegistration"


def ensure_role(cloud: Cloud, name: str, trust_policy: str, user: str) -> Change:
    """Make the role ``name``, or bring it back to ``trust_policy`` and the managed policy.

    A role serves all Regions of the account, so it is tagged with each ``user`` (a template).

    Raises:
        NotMadeByStationError: somebody else's role has this name.
        CloudError: AWS did not answer, or said no.
    """
    role = _find(cloud, name)
    if role is None:
        cloud.call(
            "iam", "CreateRole", RoleName=name, AssumeRolePolicyDocument=trust_policy,
            Description="AWS IoT registers devices under it (Firstboot)",
            Tags=[*station_tags(), _use(cloud, user)],
        )  # fmt: skip
        _attach_managed_policy(cloud, name)
        return Change(KIND, name, Outcome.CREATED)
    repairs = []
    if not same_document(json.dumps(role["AssumeRolePolicyDocument"]), trust_policy):
        cloud.call("iam", "UpdateAssumeRolePolicy", RoleName=name, PolicyDocument=trust_policy)
        repairs.append("trust policy restored")
    if _attach_managed_policy(cloud, name):
        repairs.append(f"{_MANAGED_POLICY} attached")
    if _use(cloud, user) not in items(role, "Tags"):
        cloud.call("iam", "TagRole", RoleName=name, Tags=[_use(cloud, user)])
        repairs.append(f"now for {user} in {cloud.account.region}, too")
    outcome = Outcome.UPDATED if repairs else Outcome.UNCHANGED
    return Change(KIND, name, outcome, ", ".join(repairs))


def remove_role(cloud: Cloud, name: str, user: str) -> Change:
    """Delete the role ``name``, if the station made it and ``user`` was the last to need it.

    Raises:
        NotMadeByStationError: somebody else's role has this name.
        CloudError: AWS did not answer, or said no.
    """
    role = _find(cloud, name)
    if role is None:
        return Change(KIND, name, Outcome.ABSENT)
    use = _use_key(cloud, user)
    others = {key for key in _tag_keys(role) if key.startswith(_USED_BY)} - {use}
    if others:
        cloud.call("iam", "UntagRole", RoleName=name, TagKeys=[use])
        return Change(KIND, name, Outcome.KEPT, f"still needed: {', '.join(sorted(others))}")
    if managed_policy_arn(cloud) in _attached(cloud, name):
        arn = managed_policy_arn(cloud)
        cloud.call("iam", "DetachRolePolicy", RoleName=name, PolicyArn=arn)
    cloud.call("iam", "DeleteRole", RoleName=name)
    return Change(KIND, name, Outcome.REMOVED)


def role_arn(cloud: Cloud, name: str) -> str:
    """Return the role's ARN, without asking."""
    return f"arn:{cloud.account.partition}:iam::{cloud.account.account_id}:role/{name}"


def managed_policy_arn(cloud: Cloud) -> str:
    """Return AWS's own policy with what a provisioning template may need."""
    return f"arn:{cloud.account.partition}:iam::aws:policy/{_MANAGED_POLICY}"


def _use(cloud: Cloud, user: str) -> dict[str, Value]:
    return {"Key": _use_key(cloud, user), "Value": "template"}


def _use_key(cloud: Cloud, user: str) -> str:
    return f"{_USED_BY}{cloud.account.region}/{user}"


def _tag_keys(role: Response) -> set[str]:
    return {text(tag, "Key") for tag in items(role, "Tags")}


def _find(cloud: Cloud, name: str) -> Response | None:
    try:
        role = structure(cloud.call("iam", "GetRole", RoleName=name), "Role")
    except NotInCloudError:
        return None
    if not is_made_by_station(items(role, "Tags")):
        raise NotMadeByStationError(f"the {KIND} {name} exists, and the station did not make it")
    return role


def _attach_managed_policy(cloud: Cloud, name: str) -> bool:
    arn = managed_policy_arn(cloud)
    if arn in _attached(cloud, name):
        return False
    cloud.call("iam", "AttachRolePolicy", RoleName=name, PolicyArn=arn)
    return True


def _attached(cloud: Cloud, name: str) -> set[str]:
    pages = cloud.pages("iam", "ListAttachedRolePolicies", RoleName=name)
    return {text(each, "PolicyArn") for page in pages for each in items(page, "AttachedPolicies")}
