"""IAM roles: what AWS services, or an app, may do in the station's name."""

import json
from dataclasses import dataclass
from typing import Final

from factory.account.changes import Change, Outcome
from factory.account.cloud import Cloud, Response, Value, items, names, structure, text
from factory.account.documents import same_document
from factory.account.tags import check_owned, station_tags
from factory.errors import NotInCloudError

_USED_BY: Final = "used-by/"
THINGS_REGISTRATION: Final = "service-role/AWSIoTThingsRegistration"
"""AWS's own policy with what a provisioning template may need."""


@dataclass(frozen=True)
class Role:
    """A role as it should be; ``user`` is who needs it, in this account and Region."""

    name: str
    trust_policy: str
    user: str
    kind: str = "provisioning role"
    description: str = "AWS IoT registers devices under it (Firstboot)"
    managed_policy: str | None = THINGS_REGISTRATION
    inline_policy: str | None = None
    """What the role may do for this user; each user of a role has a policy of its own in it."""


def ensure_role(cloud: Cloud, wanted: Role) -> Change:
    """Make the role, or bring it back to its trust policy and its policies.

    A role serves all Regions of the account, so it is tagged with each user of each Region.

    Raises:
        NotMadeByStationError: someone else's role has this name.
        CloudError: AWS did not answer, or said no.
    """
    role = _find(cloud, wanted.kind, wanted.name)
    if role is None:
        cloud.call(
            "iam", "CreateRole", RoleName=wanted.name,
            AssumeRolePolicyDocument=wanted.trust_policy, Description=wanted.description,
            Tags=[*station_tags(), _use(cloud, wanted.user)],
        )  # fmt: skip
        _give_policies(cloud, wanted)
        return Change(wanted.kind, wanted.name, Outcome.CREATED)
    repairs = _repair(cloud, wanted, role) + _give_policies(cloud, wanted)
    outcome = Outcome.UPDATED if repairs else Outcome.UNCHANGED
    return Change(wanted.kind, wanted.name, outcome, ", ".join(repairs))


def remove_role(cloud: Cloud, name: str, user: str, kind: str = "provisioning role") -> Change:
    """Delete the role ``name``, if the station made it and ``user`` was the last to need it.

    Raises:
        NotMadeByStationError: someone else's role has this name.
        CloudError: AWS did not answer, or said no.
    """
    role = _find(cloud, kind, name)
    if role is None:
        return Change(kind, name, Outcome.ABSENT)
    use = _use_key(cloud, user)
    others = {key for key in _tag_keys(role) if key.startswith(_USED_BY)} - {use}
    inline = _inline_policies(cloud, name)
    for policy in inline & {_inline_name(cloud, user)} if others else inline:
        cloud.call("iam", "DeleteRolePolicy", RoleName=name, PolicyName=policy)
    if others:
        cloud.call("iam", "UntagRole", RoleName=name, TagKeys=[use])
        note = f"still needed: {', '.join(sorted(map(_in_words, others)))}"
        return Change(kind, name, Outcome.KEPT, note)
    for arn in _attached(cloud, name):
        cloud.call("iam", "DetachRolePolicy", RoleName=name, PolicyArn=arn)
    cloud.call("iam", "DeleteRole", RoleName=name)
    return Change(kind, name, Outcome.REMOVED)


def role_arn(cloud: Cloud, name: str) -> str:
    """Return the role's ARN, without asking."""
    return cloud.account.arn("iam", f"role/{name}")


def _use(cloud: Cloud, user: str) -> dict[str, Value]:
    return {"Key": _use_key(cloud, user), "Value": "template"}


def _use_key(cloud: Cloud, user: str) -> str:
    return f"{_USED_BY}{cloud.account.region}/{user}"


def _in_words(use_key: str) -> str:
    region, _, user = use_key.removeprefix(_USED_BY).partition("/")
    return f"{user} in {region}"


def _tag_keys(role: Response) -> set[str]:
    return {text(tag, "Key") for tag in items(role, "Tags")}


def _find(cloud: Cloud, kind: str, name: str) -> Response | None:
    try:
        role = structure(cloud.call("iam", "GetRole", RoleName=name), "Role")
    except NotInCloudError:
        return None
    check_owned(kind, name, items(role, "Tags"))
    return role


def _repair(cloud: Cloud, wanted: Role, role: Response) -> list[str]:
    repairs = []
    name, trust_policy = wanted.name, wanted.trust_policy
    if not same_document(json.dumps(role["AssumeRolePolicyDocument"]), trust_policy):
        cloud.call("iam", "UpdateAssumeRolePolicy", RoleName=name, PolicyDocument=trust_policy)
        repairs.append("trust policy restored")
    if _use(cloud, wanted.user) not in items(role, "Tags"):
        cloud.call("iam", "TagRole", RoleName=name, Tags=[_use(cloud, wanted.user)])
        repairs.append(f"now for {wanted.user} in {cloud.account.region}, too")
    return repairs


def _give_policies(cloud: Cloud, wanted: Role) -> list[str]:
    given = []
    if wanted.managed_policy:
        arn = cloud.account.managed_policy_arn(wanted.managed_policy)
        if arn not in _attached(cloud, wanted.name):
            cloud.call("iam", "AttachRolePolicy", RoleName=wanted.name, PolicyArn=arn)
            given.append(f"{wanted.managed_policy} attached")
    if wanted.inline_policy:
        policy = _inline_name(cloud, wanted.user)
        if not _has_inline(cloud, wanted.name, policy, wanted.inline_policy):
            cloud.call(
                "iam", "PutRolePolicy",
                RoleName=wanted.name, PolicyName=policy, PolicyDocument=wanted.inline_policy,
            )  # fmt: skip
            given.append(f"policy {policy} put in")
    return given


def _inline_name(cloud: Cloud, user: str) -> str:
    return f"{cloud.account.region}.{user}"


def _has_inline(cloud: Cloud, role: str, policy: str, document: str) -> bool:
    if policy not in _inline_policies(cloud, role):
        return False
    found = cloud.call("iam", "GetRolePolicy", RoleName=role, PolicyName=policy)
    return same_document(json.dumps(found["PolicyDocument"]), document)


def _inline_policies(cloud: Cloud, name: str) -> set[str]:
    pages = cloud.pages("iam", "ListRolePolicies", RoleName=name)
    return {policy for page in pages for policy in names(page, "PolicyNames")}


def _attached(cloud: Cloud, name: str) -> set[str]:
    pages = cloud.pages("iam", "ListAttachedRolePolicies", RoleName=name)
    return {text(each, "PolicyArn") for page in pages for each in items(page, "AttachedPolicies")}
