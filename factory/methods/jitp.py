"""Just-in-time provisioning: the station's own CA, and a template that AWS applies by itself.

A device shows a certificate that AWS IoT has never seen. AWS registers it, drops the
connection, applies the template of the CA that signed it, and lets the device in seconds
later. AWS IoT developer guide, "Just-in-time provisioning".
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from device.storage.device_storage import DeviceStorage
from factory.account.ca_certificates import (
    Registration,
    ensure_ca_certificate,
    remove_ca_certificates,
)
from factory.account.changes import Change, Report
from factory.account.choices import DEFAULT_CHOICES, Choices
from factory.account.cloud import Cloud
from factory.account.documents import load_policy, load_template
from factory.account.provisioning_templates import Template, ensure_template, remove_template
from factory.account.registered_devices import (
    certificates_of_method,
    remove_devices,
    remove_never_let_in,
)
from factory.account.roles import Role, ensure_role, remove_role, role_arn
from factory.account.template_resources import ensure_named, remove_named
from factory.account.thing_policy import ensure_thing_policy, remove_thing_policy
from factory.making.device_leaf import install_leaf
from factory.making.manufacture import DeviceOrder
from factory.station.station import Station
from factory.station.template_subject import wanted_subject_fields

METHOD: Final = "jitp"
ROLE: Final = "firstboot-provisioning"
TEMPLATE: Final = "firstboot-jitp"


def prepare(cloud: Cloud, station: Station, choices: Choices = DEFAULT_CHOICES) -> Report:
    """Make CA, role, policy, groups and template, or complete and repair them.

    Raises:
        StationError: the cloud or the station is not as it must be; nothing is lost, and the
            next run goes on from there.
    """
    station.check_account(cloud.account)
    now = datetime.now(UTC)
    body = load_template(TEMPLATE)
    changes = station.authorities.ensure(now, [METHOD])
    trust = load_policy(ROLE, cloud.account.placeholders)
    changes.append(ensure_role(cloud, Role(ROLE, trust, TEMPLATE)))
    changes.append(ensure_thing_policy(cloud, METHOD))
    changes += ensure_named(cloud, body, METHOD)
    if not choices.inline_template:
        changes.append(_ensure_template(cloud, body))
    registration = Registration(METHOD, choices.certificate_mode, _config(cloud, body, choices))
    authority = station.authorities.open(METHOD)
    changes.append(ensure_ca_certificate(cloud, authority, registration, now))
    station.authorities.want_fields(METHOD, wanted_subject_fields(body, TEMPLATE))
    return Report(tuple(changes))


def install(
    cloud: Cloud,  # noqa: ARG001 - AWS learns of the device from its first connection
    station: Station,
    storage: DeviceStorage,
    order: DeviceOrder,
) -> None:
    """Make the device's key in the device, and give it a leaf that the issuing CA signs.

    Raises:
        StationNotPreparedError: ``prepare`` has not been run to its end.
        LeafSubjectError: the leaf would lack a subject field that the template wants.
    """
    install_leaf(station.authorities, METHOD, storage, order)


def teardown(cloud: Cloud, station: Station | None, *, devices: bool) -> Report:
    """Remove what ``prepare`` made, in the order in which it can be found again.

    Raises:
        StationError: as for ``prepare``; a second run goes on where this one stopped.
    """
    if station is not None:
        station.check_account(cloud.account)
    changes: list[Change] = []
    if devices:
        changes += remove_devices(cloud, TEMPLATE, certificates_of_method(cloud, METHOD, TEMPLATE))
    changes += remove_never_let_in(cloud, METHOD)
    changes += remove_ca_certificates(cloud, METHOD)
    changes.append(remove_template(cloud, TEMPLATE))
    changes.append(remove_role(cloud, ROLE, TEMPLATE))
    changes += remove_named(cloud, load_template(TEMPLATE), METHOD)
    changes.append(remove_thing_policy(cloud, METHOD))
    return Report(tuple(changes))


def _ensure_template(cloud: Cloud, body: str) -> Change:
    arn = role_arn(cloud, ROLE)
    wanted = Template(TEMPLATE, body, arn, "JITP", "Certificate to identity (Firstboot)")
    return ensure_template(cloud, wanted)


def _config(cloud: Cloud, body: str, choices: Choices) -> Mapping[str, str]:
    if choices.inline_template:
        return {"templateBody": body, "roleArn": role_arn(cloud, ROLE)}
    return {"templateName": TEMPLATE}
