"""The claim's pre-provisioning hook: a Lambda that wants a proof from each device.

The station gives each device a key of its own, and the same key to the allow-list; the device
proves with it who it is, and ``lambdas/preprovisioning_hook.py`` checks. AWS IoT developer
guide, "Pre-provisioning hooks".
"""

from secrets import token_bytes
from typing import Final

from device.storage.device_storage import DeviceStorage
from device.storage.secure_storage import StorageFlag, Uid
from factory.account import allow_list
from factory.account.changes import Change
from factory.account.cloud import Cloud, structure
from factory.account.lambda_functions import (
    Function,
    ensure_function,
    function_arn,
    remove_function,
)
from factory.account.lambda_role import ensure_lambda_role, remove_lambda_role
from factory.account.log_groups import ensure_log_group, remove_log_group
from factory.account.provisioning_templates import template_arn
from factory.account.roles import role_arn
from factory.errors import NotInCloudError, StationNotPreparedError
from factory.making.new_device import DeviceOrder

FUNCTION: Final = "firstboot-claim-hook"
_USER: Final = "claim"
_PROOF_KEY_BYTES: Final = 32


def hook_arn(cloud: Cloud) -> str:
    """Return what a template names as its hook."""
    return function_arn(cloud, FUNCTION)


def is_hooked(cloud: Cloud, template: str) -> bool:
    """Tell whether the station's hook is on the template ``template``."""
    try:
        found = cloud.call("iot", "DescribeProvisioningTemplate", templateName=template)
    except NotInCloudError:
        return False
    return structure(found, "preProvisioningHook").get("targetArn") == hook_arn(cloud)


def ensure_hook(cloud: Cloud, template: str) -> list[Change]:
    """Make what the hook of ``template`` needs, before the template names it.

    Raises:
        NotMadeByStationError: something of the same name is someone else's.
        CloudError: AWS did not answer, or said no.
    """
    function = Function(
        name=FUNCTION,
        module="preprovisioning_hook",
        role_arn=role_arn(cloud, FUNCTION),
        environment={"ALLOW_LIST": allow_list.TABLE},
        invoked_by=template_arn(cloud, template),
    )
    return [
        allow_list.ensure_table(cloud, _USER),
        ensure_log_group(cloud, FUNCTION),
        ensure_lambda_role(cloud, FUNCTION),
        ensure_function(cloud, function),
    ]


def remove_hook(cloud: Cloud) -> list[Change]:
    """Remove what the hook needed; the template that names it still tells that there was one.

    Raises:
        NotMadeByStationError: something of the same name is someone else's.
        CloudError: AWS did not answer, or said no.
    """
    return [
        remove_function(cloud, FUNCTION),
        remove_lambda_role(cloud, FUNCTION),
        remove_log_group(cloud, FUNCTION),
        allow_list.remove_table(cloud, _USER),
    ]


def install_proof_key(cloud: Cloud, storage: DeviceStorage, order: DeviceOrder) -> None:
    """Give a device the key that it proves itself with, and the allow-list the same.

    The list comes first: a run that is cut between them is made again, with another key.

    Raises:
        StationNotPreparedError: there is no allow-list in this account and Region.
        CloudError: AWS did not answer, or said no.
    """
    key = token_bytes(_PROOF_KEY_BYTES)
    try:
        if order.is_allowed:
            allow_list.allow_with_proof(cloud, order.serial_number, key)
    except NotInCloudError as error:
        problem = f"there is no allow-list in {cloud.account}"
        raise StationNotPreparedError(problem) from error
    storage.its.set(Uid.PROOF_KEY, key, StorageFlag.WRITE_ONCE)
