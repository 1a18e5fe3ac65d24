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
from factory.account.changes import Report
from factory.account.cloud import Cloud
from factory.account.lambda_functions import (
    Function,
    ensure_function,
    function_arn,
    remove_function,
)
from factory.account.lambda_role import ensure_lambda_role, remove_lambda_role
from factory.account.log_groups import ensure_log_group, remove_log_group
from factory.account.registered_devices import remove_never_let_in
from factory.account.roles import role_arn
from factory.account.thing_policy import THING_POLICY, ensure_thing_policy, remove_thing_policy
from factory.account.topic_rules import ensure_rule, remove_rule, rule_arn
from factory.errors import NotInCloudError, StationNotPreparedError
from factory.making.device_leaf import installed_leaf
from factory.making.new_device import DeviceOrder
from factory.methods.leaf_method import LeafMethod
from factory.methods.method import DEFAULT_CHOICES, DEVICE, Choices
from factory.station.station import Station

METHOD: Final = "jitr"
MARK: Final = "firstboot-jitr"
FUNCTION: Final = "firstboot-jitr-activate"
RULE: Final = "firstboot_jitr"
_SQL: Final = "SELECT *, clientid() AS clientid FROM '$aws/events/certificates/registered/{ca}'"


class JustInTimeRegistration(LeafMethod):
    """Registers the CA without a template, and a Lambda that decides on each device."""

    name = METHOD
    mark = MARK
    documents = ("policies/firstboot-jitr-activate", "policies/firstboot-lambda", DEVICE)
    options = frozenset({"--certificate-mode"})
    is_registering = True

    def prepare(
        self, cloud: Cloud, station: Station, choices: Choices = DEFAULT_CHOICES, /
    ) -> Report:
        """Make CA, policy, allow-list, Lambda and rule, or complete and repair them.

        The CA comes last: from then on AWS IoT registers devices, and someone must decide.
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

    def register(self, cloud: Cloud, storage: DeviceStorage, order: DeviceOrder, /) -> Report:
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

    def teardown(self, cloud: Cloud, station: Station | None, /, *, devices: bool) -> Report:
        """Remove what ``prepare`` made, in the order in which it can be found again."""
        if station is not None:
            station.check_account(cloud.account)
        changes = self.remove_devices(cloud) if devices else []
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
