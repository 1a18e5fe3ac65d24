"""Just-in-time registration: the station's own CA, and a Lambda that decides on each device.

As just-in-time provisioning, but AWS IoT only registers the certificate and tells; a topic rule
calls ``lambdas/jitr_activate.py``, which looks into the allow-list and activates, or refuses.
AWS IoT developer guide, "Just-in-time registration".
"""

from datetime import UTC, datetime
from typing import Final

from device.identity.certificates import certificate_id
from device.storage.device_storage import DeviceStorage
from factory.account import allow_list
from factory.account.ca_certificates import (
    Registration,
    ensure_ca_certificate,
    remove_ca_certificates,
)
from factory.account.changes import Change, Report
from factory.account.choices import DEFAULT_CHOICES, Choices
from factory.account.cloud import Cloud
from factory.account.lambda_functions import (
    Function,
    ensure_function,
    function_arn,
    remove_function,
)
from factory.account.lambda_role import ensure_lambda_role, remove_lambda_role
from factory.account.log_groups import ensure_log_group, remove_log_group
from factory.account.registered_devices import (
    certificates_of_method,
    remove_devices,
    remove_never_let_in,
)
from factory.account.roles import role_arn
from factory.account.thing_policy import THING_POLICY, ensure_thing_policy, remove_thing_policy
from factory.account.topic_rules import ensure_rule, remove_rule, rule_arn
from factory.errors import NotInCloudError, StationNotPreparedError
from factory.making.device_leaf import install_leaf, installed_leaf
from factory.making.manufacture import DeviceOrder
from factory.station.station import Station

METHOD: Final = "jitr"
MARK: Final = "firstboot-jitr"
FUNCTION: Final = "firstboot-jitr-activate"
RULE: Final = "firstboot_jitr"
_SQL: Final = "SELECT *, clientid() AS clientid FROM '$aws/events/certificates/registered/{ca}'"


def prepare(cloud: Cloud, station: Station, choices: Choices = DEFAULT_CHOICES) -> Report:
    """Make CA, policy, allow-list, Lambda and rule, or complete and repair them.

    The CA comes last: from then on AWS IoT registers devices, and somebody must decide.

    Raises:
        StationError: the cloud or the station is not as it must be; nothing is lost, and the
            next run goes on from there.
    """
    station.check_account(cloud.account)
    now = datetime.now(UTC)
    changes = station.authorities.ensure(now, [METHOD])
    authority = station.authorities.open(METHOD)
    changes.append(ensure_thing_policy(cloud, METHOD))
    changes.append(allow_list.ensure_table(cloud, METHOD))
    changes.append(ensure_log_group(cloud, FUNCTION))
    changes.append(ensure_lambda_role(cloud, FUNCTION))
    changes.append(ensure_function(cloud, _function(cloud)))
    sql = _SQL.format(ca=authority.certificate_id)
    changes.append(ensure_rule(cloud, RULE, sql, function_arn(cloud, FUNCTION)))
    registration = Registration(METHOD, choices.certificate_mode)
    changes.append(ensure_ca_certificate(cloud, authority, registration, now))
    station.authorities.want_fields(METHOD, frozenset({"CommonName"}))
    return Report(tuple(changes))


def install(
    cloud: Cloud,  # noqa: ARG001 - the allow-list learns of the device when it is finished
    station: Station,
    storage: DeviceStorage,
    order: DeviceOrder,
) -> None:
    """Make the device's key in the device, and give it a leaf that the issuing CA signs.

    Raises:
        StationNotPreparedError: ``prepare`` has not been run to its end.
        LeafSubjectError: the leaf would have no common name, which the Lambda looks up.
    """
    install_leaf(station.authorities, METHOD, storage, order)


def register(cloud: Cloud, storage: DeviceStorage, order: DeviceOrder) -> Report:
    """Put a finished device on the allow-list.

    Raises:
        StationNotPreparedError: there is no allow-list in this account and Region.
        OtherMethodError: the device was made for another method.
        SerialNumberTakenError: another device has its serial number.
        CloudError: AWS did not answer, or said no.
    """
    leaf = certificate_id(installed_leaf(storage))
    try:
        return Report((allow_list.allow(cloud, order.serial_number, leaf),))
    except NotInCloudError as error:
        problem = f"there is no allow-list in {cloud.account}"
        raise StationNotPreparedError(problem) from error


def teardown(cloud: Cloud, station: Station | None, *, devices: bool) -> Report:
    """Remove what ``prepare`` made, in the order in which it can be found again.

    Raises:
        StationError: as for ``prepare``; a second run goes on where this one stopped.
    """
    if station is not None:
        station.check_account(cloud.account)
    changes: list[Change] = []
    if devices:
        changes += remove_devices(cloud, MARK, certificates_of_method(cloud, METHOD, MARK))
    changes += remove_never_let_in(cloud, METHOD)
    changes += remove_ca_certificates(cloud, METHOD)
    changes.append(remove_rule(cloud, RULE))
    changes.append(remove_function(cloud, FUNCTION))
    changes.append(remove_lambda_role(cloud, FUNCTION))
    changes.append(remove_log_group(cloud, FUNCTION))
    changes.append(allow_list.remove_table(cloud, METHOD))
    changes.append(remove_thing_policy(cloud, METHOD))
    return Report(tuple(changes))


def _function(cloud: Cloud) -> Function:
    return Function(
        name=FUNCTION,
        module="jitr_activate",
        role_arn=role_arn(cloud, FUNCTION),
        environment={
            "ALLOW_LIST": allow_list.TABLE, "THING_POLICY": THING_POLICY, "MADE_BY": MARK,
        },
        invoked_by=rule_arn(cloud, RULE),
    )  # fmt: skip
