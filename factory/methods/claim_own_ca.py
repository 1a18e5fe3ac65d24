"""By claim, with certificates of the station's own CA instead of AWS IoT's.

As claim, but AWS IoT hands each device's request to a Lambda of the account, its certificate
provider, and registers what that signs: certificates for hours or days. The CA's key is made in
AWS KMS and stays there; the station's root signs the CA's certificate, and each device is told
to accept a certificate of this CA alone. AWS IoT developer guide, "Self-managed certificate
signing using AWS IoT Core certificate provider".
"""

import base64
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from device.storage.device_storage import DeviceStorage
from device.storage.entries import Uid
from factory.account import policies, provisioning_templates, roles
from factory.account.certificate_providers import (
    certificate_provider_arn,
    ensure_certificate_provider,
    is_certificate_provider,
    remove_certificate_provider,
)
from factory.account.certificates import attached_certificates
from factory.account.changes import Change, Report
from factory.account.cloud import Cloud
from factory.account.documents import load_policy, load_template
from factory.account.lambda_functions import (
    Function,
    ensure_function,
    environment_of,
    function_arn,
    remove_function,
)
from factory.account.lambda_role import ensure_lambda_role, remove_lambda_role
from factory.account.log_groups import ensure_log_group, remove_log_group
from factory.account.provisioning_templates import Template
from factory.account.roles import Role
from factory.account.signing_keys import SigningKey, ensure_signing_key, remove_signing_key
from factory.account.thing_policy import ensure_thing_policy, remove_thing_policy
from factory.making.new_device import DeviceOrder
from factory.methods import claim_certificate
from factory.methods.claim import ROLE, install_claim, notes_on_claims
from factory.methods.method import DEFAULT_CHOICES, DEVICE, PROVISIONING, Choices, Method
from factory.station.station import Station

METHOD: Final = "claim-own-ca"
CLAIM_POLICY: Final = "firstboot-claim-own-ca"
TEMPLATE: Final = "firstboot-claim-own-ca"
PROVIDER: Final = "firstboot-own-ca"
"""The name of the provider, its function, and the alias of its key."""
DEFAULT_HOURS: Final = 7 * 24


_WHO_ELSE: Final = (
    "Every CreateCertificateFromCsr over MQTT in {} goes to " + PROVIDER + " from now on. It signs "
    "for this station's claims and devices alone, so trusted users and other fleets there are "
    "refused. AWS takes some minutes until a new provider acts."
)


class ClaimOwnCa(Method):
    """Makes what claim needs, and the CA, Lambda and certificate provider that sign."""

    name = METHOD
    mark = TEMPLATE
    documents = (
        "templates/firstboot-claim-own-ca",
        "policies/firstboot-claim-own-ca",
        DEVICE,
        PROVISIONING,
        "policies/firstboot-own-ca",
        "policies/firstboot-lambda",
    )
    options = frozenset({"--certificate-hours"})

    def prepare(
        self, cloud: Cloud, station: Station, choices: Choices = DEFAULT_CHOICES, /
    ) -> Report:
        """Make or repair all of it; the provider comes last, since then AWS IoT calls the Lambda.

        Raises:
            CertificateProviderTakenError: the account has someone else's; nothing was changed.
        """
        station.check_account(cloud.account)
        is_certificate_provider(cloud, PROVIDER)
        now = datetime.now(UTC)
        key_change, key = ensure_signing_key(cloud, PROVIDER)
        changes = [
            key_change,
            *station.authorities.certify(METHOD, key.public_key, now),
            *_ensure_claim(cloud, station),
            ensure_log_group(cloud, PROVIDER),
            ensure_lambda_role(cloud, PROVIDER, {"key": key.key_id}),
            ensure_function(cloud, _function(cloud, station, key, choices.certificate_hours)),
            ensure_certificate_provider(cloud, PROVIDER, function_arn(cloud, PROVIDER)),
        ]
        notes = notes_on_claims(cloud, CLAIM_POLICY, station)
        return Report(tuple(changes), (_WHO_ELSE.format(cloud.account), *notes))

    def install(
        self, _: Cloud, station: Station, storage: DeviceStorage, order: DeviceOrder, /
    ) -> None:
        """Copy the claim into a device, and the CA whose certificates it may accept.

        Raises:
            StationNotPreparedError: ``prepare`` has not been run to its end.
            AuthorityMissingError: the same.
        """
        install_claim(station, storage, order)
        storage.ps.set(Uid.ISSUER_CA, station.authorities.certificate_pem(METHOD))

    def teardown(self, cloud: Cloud, station: Station | None, /, *, devices: bool) -> Report:
        """Remove what ``prepare`` made, the provider first: AWS IoT signs again by itself."""
        changes: list[Change] = [remove_certificate_provider(cloud, PROVIDER)]
        changes += claim_certificate.remove_claim_certificates(cloud, CLAIM_POLICY, station)
        changes.append(remove_function(cloud, PROVIDER))
        changes.append(remove_lambda_role(cloud, PROVIDER))
        changes.append(remove_log_group(cloud, PROVIDER))
        changes += remove_signing_key(cloud, PROVIDER)
        changes.append(provisioning_templates.remove_template(cloud, TEMPLATE))
        changes.append(roles.remove_role(cloud, ROLE, TEMPLATE))
        changes += self.remove_devices(cloud) if devices else []
        changes.append(policies.remove_policy(cloud, "claim policy", CLAIM_POLICY))
        changes.append(remove_thing_policy(cloud, METHOD))
        return Report(tuple(changes))


def _ensure_claim(cloud: Cloud, station: Station) -> list[Change]:
    values = cloud.account.placeholders
    template = Template(TEMPLATE, load_template(TEMPLATE), roles.role_arn(cloud, ROLE))
    return [
        roles.ensure_role(cloud, Role(ROLE, load_policy(ROLE, values), TEMPLATE)),
        ensure_thing_policy(cloud, METHOD),
        policies.ensure_policy(
            cloud, "claim policy", CLAIM_POLICY, load_policy(CLAIM_POLICY, values)
        ),
        provisioning_templates.ensure_template(cloud, template),
        claim_certificate.ensure_claim_certificate(cloud, station, CLAIM_POLICY, _now),
    ]


def _now() -> datetime:
    return datetime.now(UTC)


def _function(cloud: Cloud, station: Station, key: SigningKey, hours: int | None) -> Function:
    known = environment_of(cloud, PROVIDER).get("LIFE_HOURS", str(DEFAULT_HOURS))
    pem = station.authorities.certificate_pem(METHOD)
    certificate = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    return Function(
        name=PROVIDER,
        module="certificate_provider",
        role_arn=roles.role_arn(cloud, PROVIDER),
        environment={
            "KMS_KEY": key.arn,
            "CA_CERTIFICATE": base64.b64encode(certificate).decode(),
            "LIFE_HOURS": str(hours or known),
            "CLAIMS": ",".join(sorted(attached_certificates(cloud, CLAIM_POLICY))),
        },
        invoked_by=certificate_provider_arn(cloud, PROVIDER),
    )
