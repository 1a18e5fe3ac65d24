"""Provisioning templates: made, brought back when they have drifted, removed."""

import time
from dataclasses import dataclass
from typing import Final

from factory.account.changes import Change, Outcome
from factory.account.cloud import Cloud, Response, Value, items, text
from factory.account.documents import same_document
from factory.account.propagation import Sleep, with_new_role
from factory.account.tags import check_owned, station_tags, tags_of
from factory.errors import OTHER_TYPE, NotInCloudError

KIND: Final = "provisioning template"
_VERSIONS_AT_MOST: Final = 5
"""Versions that AWS keeps of one template (IoT Core quotas)."""
_HOOK_PAYLOAD: Final = "2020-04-01"
"""The only version of what a hook is sent (AWS IoT API reference, ProvisioningHook)."""


@dataclass(frozen=True)
class Template:
    """A template as it should be in the cloud."""

    name: str
    body: str
    role_arn: str
    type: str = "FLEET_PROVISIONING"
    """Or ``JITP``; AWS cannot change it afterwards."""
    description: str = "Claim to identity (Firstboot)"
    hook_arn: str | None = None
    """The pre-provisioning hook; None leaves one that someone put on the template in place."""

    @property
    def settings(self) -> dict[str, Value]:
        """What can be changed by UpdateProvisioningTemplate."""
        settings: dict[str, Value] = {"provisioningRoleArn": self.role_arn, "enabled": True}
        if self.hook_arn is not None:
            hook = {"payloadVersion": _HOOK_PAYLOAD, "targetArn": self.hook_arn}
            settings["preProvisioningHook"] = hook
        return settings


def ensure_template(cloud: Cloud, wanted: Template, sleep: Sleep = time.sleep) -> Change:
    """Make the template, or give it its body, role and hook, and enable it.

    Raises:
        NotMadeByStationError: someone else's template has this name.
        OtherTypeError: it is a template of the other type, which AWS cannot change.
        CloudError: AWS did not answer, or said no.
    """
    name = wanted.name
    template = _find(cloud, name, wanted.type)
    if template is None:
        with_new_role(lambda: _create(cloud, wanted), sleep)
        return Change(KIND, name, Outcome.CREATED)
    repairs = []
    if not same_document(text(template, "templateBody"), wanted.body):
        _make_room(cloud, name)
        cloud.call(
            "iot", "CreateProvisioningTemplateVersion",
            templateName=name, templateBody=wanted.body, setAsDefault=True,
        )  # fmt: skip
        repairs.append("the content differed; the old one is kept as a version")
    drifted = {key: value for key, value in wanted.settings.items() if template.get(key) != value}
    if drifted:
        cloud.call("iot", "UpdateProvisioningTemplate", templateName=name, **drifted)
        repairs.append(f"restored: {', '.join(sorted(drifted))}")
    outcome = Outcome.UPDATED if repairs else Outcome.UNCHANGED
    return Change(KIND, name, outcome, "; ".join(repairs))


def template_arn(cloud: Cloud, name: str) -> str:
    """Return the template's ARN, without asking."""
    return cloud.account.arn("iot", f"provisioningtemplate/{name}")


def remove_template(cloud: Cloud, name: str) -> Change:
    """Delete the template ``name`` with all its versions.

    Raises:
        NotMadeByStationError: someone else's template has this name.
        CloudError: AWS did not answer, or said no.
    """
    if _find(cloud, name) is None:
        return Change(KIND, name, Outcome.ABSENT)
    cloud.call("iot", "DeleteProvisioningTemplate", templateName=name)
    return Change(KIND, name, Outcome.REMOVED)


def _find(cloud: Cloud, name: str, kind: str | None = None) -> Response | None:
    try:
        template = cloud.call("iot", "DescribeProvisioningTemplate", templateName=name)
    except NotInCloudError:
        return None
    found = str(template.get("type") or "")
    if kind is not None and found not in {"", kind}:
        raise OTHER_TYPE.error(template=name, found=found, wanted=kind)
    check_owned(KIND, name, tags_of(cloud, text(template, "templateArn")))
    return template


def _create(cloud: Cloud, wanted: Template) -> Response:
    return cloud.call(
        "iot", "CreateProvisioningTemplate",
        templateName=wanted.name, templateBody=wanted.body, type=wanted.type,
        description=wanted.description, tags=station_tags(), **wanted.settings,
    )  # fmt: skip


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
