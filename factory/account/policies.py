"""AWS IoT policies: made, brought back when they have drifted, removed."""

from typing import Final

from factory.account.changes import Change, Outcome
from factory.account.cloud import Cloud, Response, items, names, text
from factory.account.documents import same_document
from factory.account.tags import add_user, check_owned, station_tags, tags_of
from factory.errors import NotInCloudError

_VERSIONS_AT_MOST: Final = 5
"""Versions that AWS keeps of one policy (IoT Core quotas)."""


def ensure_policy(
    cloud: Cloud, kind: str, name: str, document: str, user: str | None = None
) -> Change:
    """Make the policy ``name``, or give it ``document`` as its default version.

    A policy that several methods share is tagged with each ``user``.

    Raises:
        NotMadeByStationError: someone else's policy has this name.
        CloudError: AWS did not answer, or said no.
    """
    policy = _find(cloud, kind, name)
    if policy is None:
        tags = station_tags(user) if user else station_tags()
        cloud.call("iot", "CreatePolicy", policyName=name, policyDocument=document, tags=tags)
        return Change(kind, name, Outcome.CREATED)
    repairs = []
    if not same_document(text(policy, "policyDocument"), document):
        _restore(cloud, name, document)
        repairs.append(
            "the content differed; the old one is kept as a version (AWS takes 6-8 min to apply)"
        )
    if user and add_user(cloud, text(policy, "policyArn"), user):
        repairs.append(f"now for {user}, too")
    outcome = Outcome.UPDATED if repairs else Outcome.UNCHANGED
    return Change(kind, name, outcome, "; ".join(repairs))


def remove_policy(cloud: Cloud, kind: str, name: str) -> Change:
    """Delete the policy ``name`` with all its versions; it must not be attached any more.

    Raises:
        NotMadeByStationError: someone else's policy has this name.
        CloudError: AWS did not answer, or said no; ``StillInUseError`` if it is attached.
    """
    if _find(cloud, kind, name) is None:
        return Change(kind, name, Outcome.ABSENT)
    for version in _spare_versions(cloud, name):
        cloud.call("iot", "DeletePolicyVersion", policyName=name, policyVersionId=version)
    cloud.call("iot", "DeletePolicy", policyName=name)
    return Change(kind, name, Outcome.REMOVED)


def policy_arn(cloud: Cloud, kind: str, name: str) -> str | None:
    """Return the ARN of the station's policy ``name``; None if it does not exist.

    Raises:
        NotMadeByStationError: someone else's policy has this name.
    """
    policy = _find(cloud, kind, name)
    return text(policy, "policyArn") if policy else None


def policy_targets(cloud: Cloud, name: str) -> list[str]:
    """Return the ARNs that the policy ``name`` is attached to; none if it does not exist."""
    try:
        pages = list(cloud.pages("iot", "ListTargetsForPolicy", policyName=name))
    except NotInCloudError:
        return []
    return [target for page in pages for target in names(page, "targets")]


def _find(cloud: Cloud, kind: str, name: str) -> Response | None:
    try:
        policy = cloud.call("iot", "GetPolicy", policyName=name)
    except NotInCloudError:
        return None
    check_owned(kind, name, tags_of(cloud, text(policy, "policyArn")))
    return policy


def _restore(cloud: Cloud, name: str, document: str) -> None:
    _make_room(cloud, name)
    cloud.call(
        "iot", "CreatePolicyVersion", policyName=name, policyDocument=document, setAsDefault=True
    )


def _make_room(cloud: Cloud, name: str) -> None:
    spare = _spare_versions(cloud, name)
    if len(spare) >= _VERSIONS_AT_MOST - 1:
        cloud.call("iot", "DeletePolicyVersion", policyName=name, policyVersionId=spare[0])


def _spare_versions(cloud: Cloud, name: str) -> list[str]:
    """Return the versions that are not the default, oldest first."""
    versions = items(cloud.call("iot", "ListPolicyVersions", policyName=name), "policyVersions")
    spare = [version for version in versions if not version["isDefaultVersion"]]
    return [text(version, "versionId") for version in sorted(spare, key=_number)]


def _number(version: Response) -> int:
    return int(text(version, "versionId"))
