"""Fleet provisioning by claim: a shared certificate that may do one thing, ask for another.

AWS IoT developer guide, "Provisioning devices that don't have device certificates using
fleet provisioning", "Provisioning by claim".
"""

from datetime import UTC, datetime
from typing import Final

from device.identity.certificates import Expectation, check_chain
from device.storage.device_storage import DeviceStorage
from device.storage.keys import CLAIM_KEY
from device.storage.secure_storage import Uid
from factory.account import policies, provisioning_templates, roles
from factory.account.changes import Report
from factory.account.cloud import Cloud
from factory.account.documents import load_policy, load_template
from factory.account.provisioning_templates import Template
from factory.account.roles import Role
from factory.account.thing_policy import ensure_thing_policy, remove_thing_policy
from factory.making.new_device import DeviceOrder
from factory.methods import claim_certificate, claim_hook
from factory.methods.method import DEFAULT_CHOICES, DEVICE, PROVISIONING, Choices, Method
from factory.station.station import Station

ROLE: Final = "firstboot-provisioning"
METHOD: Final = "claim"
CLAIM_POLICY: Final = "firstboot-claim"
TEMPLATE: Final = "firstboot-claim"


class Claim(Method):
    """Makes the claim that a batch shares, and what it needs in the cloud."""

    name = METHOD
    mark = TEMPLATE
    documents = (
        "templates/firstboot-claim",
        "policies/firstboot-claim",
        DEVICE,
        PROVISIONING,
        "policies/firstboot-claim-hook",
        "policies/firstboot-lambda",
    )
    options = frozenset({"--hook"})

    def prepare(
        self, cloud: Cloud, station: Station, choices: Choices = DEFAULT_CHOICES, /
    ) -> Report:
        """Make role, policies, template and claim certificate, or complete and repair them.

        With a hook, its Lambda and allow-list too; a hook that is there is kept right as well.
        """
        station.check_account(cloud.account)
        values = cloud.account.placeholders
        hooked = choices.hook or claim_hook.is_hooked(cloud, TEMPLATE)
        if hooked and station.record:
            station.note_hook(is_hooked=True)  # no device without a key, should this run be cut
        changes = (
            roles.ensure_role(cloud, Role(ROLE, load_policy(ROLE, values), TEMPLATE)),
            ensure_thing_policy(cloud, METHOD),
            policies.ensure_policy(
                cloud, "claim policy", CLAIM_POLICY, load_policy(CLAIM_POLICY, values)
            ),
            *(claim_hook.ensure_hook(cloud, TEMPLATE) if hooked else ()),
            provisioning_templates.ensure_template(cloud, _template(cloud, hooked=hooked)),
            claim_certificate.ensure_claim_certificate(cloud, station, CLAIM_POLICY, _now),
        )
        station.note_hook(is_hooked=hooked)
        return Report(changes, notes_on_claims(cloud, CLAIM_POLICY, station))

    def install(
        self, cloud: Cloud, station: Station, storage: DeviceStorage, order: DeviceOrder, /
    ) -> None:
        """Copy the station's claim into a device; with a hook, a key to prove itself too.

        Raises:
            StationNotPreparedError: ``prepare`` has not been run to its end.
        """
        install_claim(station, storage, order)
        if station.asks_for_proof:
            claim_hook.install_proof_key(cloud, storage, order)

    def teardown(self, cloud: Cloud, station: Station | None, /, *, devices: bool) -> Report:
        """Remove what ``prepare`` made, in the order in which it can be found again."""
        changes = claim_certificate.remove_claim_certificates(cloud, CLAIM_POLICY, station)
        if claim_hook.is_hooked(cloud, TEMPLATE):
            changes += claim_hook.remove_hook(cloud)
        changes.append(provisioning_templates.remove_template(cloud, TEMPLATE))
        changes.append(roles.remove_role(cloud, ROLE, TEMPLATE))
        changes += self.remove_devices(cloud) if devices else []
        # Policies last: AWS takes its time to notice that nothing is attached to them any more.
        changes.append(policies.remove_policy(cloud, "claim policy", CLAIM_POLICY))
        changes.append(remove_thing_policy(cloud, METHOD))
        return Report(tuple(changes))


def _now() -> datetime:
    return datetime.now(UTC)


def _template(cloud: Cloud, *, hooked: bool) -> Template:
    hook_arn = claim_hook.hook_arn(cloud) if hooked else None
    role_arn = roles.role_arn(cloud, ROLE)
    return Template(TEMPLATE, load_template(TEMPLATE), role_arn, hook_arn=hook_arn)


def install_claim(station: Station, storage: DeviceStorage, order: DeviceOrder) -> None:
    """Copy key and certificate of the claim that was ordered into a device that is being made.

    Raises:
        StationNotPreparedError: ``prepare`` has not been run to its end.
        ClaimNameError: the claim that was ordered is not there, or not usable any more.
    """
    claim = station.claim_named(order.claim, _now())
    storage.keys.import_key(CLAIM_KEY, claim.private_key_pem)
    expected = Expectation(storage.keys.export_public_key(CLAIM_KEY))
    storage.ps.set(Uid.CLAIM_CERTIFICATE, check_chain(claim.certificate_pem, expected).pem)


def notes_on_claims(cloud: Cloud, policy: str, station: Station) -> tuple[str, ...]:
    """Return what to do about older claims that can still provision under ``policy``."""
    named = {each.certificate_id for each in station.named_claims}
    older = claim_certificate.older_claims_still_active(cloud, policy, station.certificate_id)
    return tuple(
        "An older claim certificate is still ACTIVE, and devices that hold it can still "
        "provision. To turn it off: aws iot update-certificate --new-status INACTIVE "
        f"--certificate-id {certificate_id}"
        for certificate_id in older
        if certificate_id not in named
    )
