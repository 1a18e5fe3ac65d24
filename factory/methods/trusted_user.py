"""Fleet provisioning by trusted user: an app hands a waiting device a claim for five minutes.

The device is made without any credential. AWS IoT developer guide, "Provisioning devices that
don't have device certificates using fleet provisioning", "Provisioning by trusted user".
"""

from typing import Final

from factory.account.changes import Change, Report
from factory.account.cloud import Cloud
from factory.account.documents import load_policy, load_template
from factory.account.provisioning_templates import Template, ensure_template, remove_template
from factory.account.roles import Role, ensure_role, remove_role, role_arn
from factory.account.template_resources import ensure_named, remove_named
from factory.account.thing_policy import ensure_thing_policy, remove_thing_policy
from factory.methods.method import DEFAULT_CHOICES, DEVICE, PROVISIONING, Choices, Method
from factory.station.station import Station

METHOD: Final = "trusted-user"
ROLE: Final = "firstboot-provisioning"
TEMPLATE: Final = "firstboot-trusted-user"
APP: Final = "firstboot-app"
"""The role of the app in the hands of the trusted user; it may do one thing."""
_APP_KIND: Final = "app role"
_APP_TRUST: Final = "firstboot-app-trust"


class TrustedUser(Method):
    """Makes a device without any credential, and what an app needs that hands over a claim."""

    name = METHOD
    mark = TEMPLATE
    documents = (
        "templates/firstboot-trusted-user",
        DEVICE,
        PROVISIONING,
        "policies/firstboot-app",
        "policies/firstboot-app-trust",
    )

    def prepare(self, cloud: Cloud, station: Station, _: Choices = DEFAULT_CHOICES, /) -> Report:
        """Make roles, thing policy and template, or complete and repair them."""
        station.check_account(cloud.account)
        values = cloud.account.placeholders
        body = load_template(TEMPLATE)
        template = Template(
            TEMPLATE, body, role_arn(cloud, ROLE), description="Firstboot: by an app"
        )
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

    def teardown(self, cloud: Cloud, _: Station | None, /, *, devices: bool) -> Report:
        """Remove what ``prepare`` made, and with ``devices`` what was provisioned."""
        changes: list[Change] = [
            remove_role(cloud, APP, METHOD, _APP_KIND),
            remove_template(cloud, TEMPLATE),
            remove_role(cloud, ROLE, TEMPLATE),
        ]
        changes += self.remove_devices(cloud) if devices else []
        changes += remove_named(cloud, load_template(TEMPLATE), METHOD)
        changes.append(remove_thing_policy(cloud, METHOD))
        return Report(tuple(changes))
