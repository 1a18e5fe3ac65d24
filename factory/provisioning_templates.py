"""Fleet provisioning templates: made, brought back when they have drifted, removed."""

import time
from collections.abc import Callable
from typing import Final

from factory.changes import Change, Outcome
from factory.cloud import Cloud, Response, Value, items, text
from factory.documents import same_document
from factory.errors import CloudRejectedError, NotInCloudError
from factory.tags import check_made_by_station, station_tags

KIND: Final = "provisioning template"
_VERSIONS_AT_MOST: Final = 5
"""Versions that AWS keeps of one template (IoT Core quotas)."""
_ROLE_PROPAGATION: Final = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds between tries while IAM makes a new role known to AWS IoT."""
_ROLE_NOT_KNOWN_YET: Final = "cannot be assumed"
"""From AWS's "The provisioning role cannot be assumed by AWS IoT"."""

Sleep = Callable[[float], None]


def ensure_template(
    cloud: Cloud, name: str, body: str, role_arn: str, sleep: Sleep = time.sleep
) -> Change:
    """Make the template ``name``, or give it ``body``, the role, and enable it.

    A pre-provisioning hook that somebody put on the template is left in place.

    Raises:
        NotMadeByStationError: somebody else's template has this name.
        CloudError: AWS did not answer, or said no.
    """
    template = _find(cloud, name)
    if template is None:
        _create(cloud, name, body, role_arn, sleep)
        return Change(KIND, name, Outcome.CREATED)
    repairs = []
    if not same_document(text(template, "templateBody"), body):
        _make_room(cloud, name)
        cloud.call(
            "iot", "CreateProvisioningTemplateVersion",
            templateName=name, templateBody=body, setAsDefault=True,
        )  # fmt: skip
        repairs.append("it had another content; the old one is kept as a version")
    settings: dict[str, Value] = {"provisioningRoleArn": role_arn, "enabled": True}
    drifted = {key: value for key, value in settings.items() if template.get(key) != value}
    if drifted:
        cloud.call("iot", "UpdateProvisioningTemplate", templateName=name, **drifted)
        repairs.append(f"restored: {', '.join(sorted(drifted))}")
    outcome = Outcome.UPDATED if repairs else Outcome.UNCHANGED
    return Change(KIND, name, outcome, "; ".join(repairs))


def remove_template(cloud: Cloud, name: str) -> Change:
    """Delete the template ``name`` with all its versions.

    Raises:
        NotMadeByStationError: somebody else's template has this name.
        CloudError: AWS did not answer, or said no.
    """
    if _find(cloud, name) is None:
        return Change(KIND, name, Outcome.ABSENT)
    cloud.call("iot", "DeleteProvisioningTemplate", templateName=name)
    return Change(KIND, name, Outcome.REMOVED)


def _find(cloud: Cloud, name: str) -> Response | None:
    try:
        template = cloud.call("iot", "DescribeProvisioningTemplate", templateName=name)
    except NotInCloudError:
        return None
    check_made_by_station(cloud, KIND, name, text(template, "templateArn"))
    return template


def _create(cloud: Cloud, name: str, body: str, role_arn: str, sleep: Sleep) -> None:
    def create() -> None:
        cloud.call(
            "iot", "CreateProvisioningTemplate",
            templateName=name, templateBody=body, provisioningRoleArn=role_arn, enabled=True,
            type="FLEET_PROVISIONING", description="Claim to identity (Firstboot)",
            tags=station_tags(),
        )  # fmt: skip

    for delay in _ROLE_PROPAGATION:
        try:
            return create()
        except CloudRejectedError as error:
            if _ROLE_NOT_KNOWN_YET not in str(error):
                raise
            sleep(delay)
    return create()


def _make_room(cloud: Cloud, name: str) -> None:
    pages = cloud.pages("iot", "ListProvisioningTemplateVersions", templateName=name)
    versions = [version for page in pages for version in items(page, "versions")]
    spare = sorted(_id(version) for version in versions if not version["isDefaultVersion"])
    if len(spare) >= _VERSIONS_AT_MOST - 1:
        cloud.call(
            "iot", "DeleteProvisioningTemplateVersion", templateName=name, versionId=spare[0]
        )


def _id(version: Response) -> int:
    return int(str(version["versionId"]))
