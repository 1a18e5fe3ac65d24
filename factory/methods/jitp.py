"""Just-in-time provisioning: the station's own CA, and a template that AWS applies by itself.

A device shows a certificate that AWS IoT has never seen. AWS registers it, drops the
connection, applies the template of the CA that signed it, and accepts the device seconds later.
AWS IoT developer guide, "Just-in-time provisioning".
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from device.config.template import required_subject_fields
from factory.account.ca_certificates import (
    Registration,
    ensure_ca_certificate,
    remove_ca_certificates,
)
from factory.account.changes import Change, Report
from factory.account.cloud import Cloud
from factory.account.documents import load_policy, load_template
from factory.account.provisioning_templates import Template, ensure_template, remove_template
from factory.account.registered_devices import remove_never_let_in
from factory.account.roles import Role, ensure_role, remove_role, role_arn
from factory.account.template_resources import ensure_named, remove_named
from factory.account.thing_policy import ensure_thing_policy, remove_thing_policy
from factory.methods.leaf_method import LeafMethod
from factory.methods.method import DEFAULT_CHOICES, DEVICE, PROVISIONING, Choices
from factory.station.station import Station

METHOD: Final = "jitp"
ROLE: Final = "firstboot-provisioning"
TEMPLATE: Final = "firstboot-jitp"


class JustInTimeProvisioning(LeafMethod):
    """Registers the CA with a template that AWS applies by itself."""

    name = METHOD
    mark = TEMPLATE
    documents = ("templates/firstboot-jitp", DEVICE, PROVISIONING)
    options = frozenset({"--certificate-mode", "--inline-template"})

    def prepare(
        self, cloud: Cloud, station: Station, choices: Choices = DEFAULT_CHOICES, /
    ) -> Report:
        """Make CA, role, policy, groups and template, or complete and repair them."""
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
        station.authorities.want_fields(METHOD, required_subject_fields(body.encode(), TEMPLATE))
        return Report(tuple(changes))

    def teardown(self, cloud: Cloud, station: Station | None, /, *, devices: bool) -> Report:
        """Remove what ``prepare`` made, in the order in which it can be found again."""
        if station is not None:
            station.check_account(cloud.account)
        changes = self.remove_devices(cloud) if devices else []
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
