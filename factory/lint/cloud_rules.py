"""What can only be seen in the account: is there what a template names, and is it on?"""

from collections.abc import Iterator
from typing import Final

from device.config.template import THING
from factory.account.cloud import Account, Cloud
from factory.account.template_resources import KINDS, exists
from factory.errors import NotInCloudError
from factory.lint.document import Document, Kind, elements, member
from factory.lint.finding import Finding, error
from factory.lint.policy_rules import ARN, IOT_ARN
from factory.lint.sources import TEMPLATES
from factory.lint.statement import statements_of
from factory.lint.template import read_template
from factory.lint.template_rules import HOOK_ON_JITP

NAMED_MISSING: Final = error(
    "named-missing", "provisioning makes no groups, thing types or billing groups, and fails for "
    "every device where one is missing", TEMPLATES,
    "factory prepare makes what the station's own templates name; others: aws iot create-*",
)  # fmt: skip
TEMPLATE_DISABLED: Final = error(
    "template-disabled", "AWS IoT does not provision devices with it", TEMPLATES,
    "Enable it: factory prepare, or aws iot update-provisioning-template --enabled",
)  # fmt: skip


def lint_in_cloud(document: Document, cloud: Cloud) -> list[Finding]:
    """Return what is wrong with a template, or with the ARNs of a policy, in this account.

    Raises:
        CloudError: AWS did not answer, or said no.
    """
    match document.kind:
        case Kind.TEMPLATE:
            return list(_named(document, cloud))
        case Kind.IOT_POLICY:
            return list(arns_elsewhere(document, cloud.account))
        case _:
            return []


def arns_elsewhere(document: Document, account: Account) -> Iterator[Finding]:
    """Yield the resources of a policy that are of another account or Region."""
    here = ({"*", account.region}, {"*", account.account_id})
    for each in statements_of(document):
        for path, arn in each.resources:
            found = IOT_ARN.fullmatch(arn)
            if found and not (found["region"] in here[0] and found["account"] in here[1]):
                yield Finding(ARN, document.file, path, f"{arn} is not of {account}")


def lint_stored_template(name: str, file: str, cloud: Cloud) -> Iterator[Finding]:
    """Yield what is wrong with the provisioning template ``name`` as AWS has it now."""
    try:
        stored = cloud.call("iot", "DescribeProvisioningTemplate", templateName=name)
    except NotInCloudError:
        return  # it is still to be made, or is one that AWS never keeps
    if stored.get("enabled") is False:
        yield Finding(TEMPLATE_DISABLED, file, "$", f"{name} is disabled in {cloud.account}")
    if stored.get("type") == "JITP" and stored.get("preProvisioningHook"):
        yield Finding(HOOK_ON_JITP, file, "$", f"{name} has a hook in {cloud.account}")


def _named(document: Document, cloud: Cloud) -> Iterator[Finding]:
    for path, resource in read_template(document).resources(THING):
        properties = member(resource, "Properties")
        for name, kind in KINDS.items():
            inner = f"{path}.Properties.{name}"
            for where, value in elements(member(properties, name), inner):
                if isinstance(value, str) and not exists(cloud, kind, value):
                    what = f"{kind.label} {value} is not in {cloud.account}"
                    yield Finding(NAMED_MISSING, document.file, where, what)
