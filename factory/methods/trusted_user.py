"""Fleet provisioning by trusted user: an app hands a waiting device a claim for five minutes.

The device is made without any credential. AWS IoT developer guide, "Provisioning devices that
don't have device certificates using fleet provisioning", "Provisioning by trusted user".
"""

from typing import Final

from device.storage.device_storage import DeviceStorage
from factory.account.changes import Change, Report
from factory.account.choices import DEFAULT_CHOICES, Choices
from factory.account.cloud import Cloud
from factory.account.documents import load_policy, load_template
from factory.account.provisioning_templates import Template, ensure_template, remove_template
from factory.account.registered_devices import certificates_issued_by_aws, remove_devices
from factory.account.roles import Role, ensure_role, remove_role, role_arn
from factory.account.template_resources import ensure_named, remove_named
from factory.account.thing_policy import THING_POLICY, ensure_thing_policy, remove_thing_policy
from factory.making.manufacture import DeviceOrder
from factory.station.station import Station

METHOD: Final = "trusted-user"
ROLE: Final = "firstboot-provisioning"
TEMPLATE: Final = "firstboot-trusted-user"
APP: Final = "firstboot-app"
"""The role of the app in the hands of the trusted user; it may do one thing."""
_APP_KIND: Final = "app role"
_APP_TRUST: Final = "firstboot-app-trust"


def prepare(
    cloud: Cloud,
    station: Station,
    choices: Choices = DEFAULT_CHOICES,  # noqa: ARG001 - nothing to choose here
) -> Report:
    """Make roles, thing policy and template, or complete and repair them.

    Raises:
        StationError: the cloud or the station is not as it must be; nothing is lost, and the
            next run goes on from there.
    """
    station.check_account(cloud.account)
    values = cloud.account.placeholders
    body = load_template(TEMPLATE)
    template = Template(TEMPLATE, body, role_arn(cloud, ROLE), description="Firstboot: by an app")
    app = Role(
        APP, load_policy(_APP_TRUST, values), METHOD, _APP_KIND,
        "Gets a claim for five minutes (Firstboot)", managed_policy=None,
        inline_policy=load_policy(APP, values),
    )  # fmt: skip
    changes = [
        ensure_role(cloud, Role(ROLE, load_policy(ROLE, values), TEMPLATE)),
        ensure_thing_policy(cloud, METHOD),
        *ensure_named(cloud, body, METHOD),
        ensure_template(cloud, template),
        ensure_role(cloud, app),
    ]
    return Report(tuple(changes))


def install(
    cloud: Cloud,
    station: Station,
    storage: DeviceStorage,
    order: DeviceOrder,
) -> None:
    """Put nothing in: the device waits for its claim where it is used."""


def teardown(
    cloud: Cloud,
    station: Station | None,  # noqa: ARG001 - it keeps nothing of this method
    *,
    devices: bool,
) -> Report:
    """Remove what ``prepare`` made, and with ``devices`` what was provisioned.

    Raises:
        StationError: as for ``prepare``; a second run goes on where this one stopped.
    """
    changes: list[Change] = [
        remove_role(cloud, APP, METHOD, _APP_KIND),
        remove_template(cloud, TEMPLATE),
        remove_role(cloud, ROLE, TEMPLATE),
    ]
    if devices:
        certificates = certificates_issued_by_aws(cloud, THING_POLICY, TEMPLATE)
        changes += remove_devices(cloud, TEMPLATE, certificates)
    changes += remove_named(cloud, load_template(TEMPLATE), METHOD)
    changes.append(remove_thing_policy(cloud, METHOD))
    return Report(tuple(changes))
