"""What lets a device come back whose certificate is dead, for the devices of every method.

A template that registers another certificate for the same thing, with a hook that decides; and
the policy of the birth certificates, which allows to ask for this, and nothing else. A birth
certificate is of one device, and the device keeps it for life.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from device.identity.certificates import certificate_id
from device.identity.csr import build_csr
from device.identity.public_key import spki
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.keys import BIRTH_KEY
from device.storage.manufacturing_data import made_at
from device.storage.secure_storage import Uid
from factory.account import policies, provisioning_templates, roles
from factory.account.birth_certificates import (
    KIND,
    POLICY,
    POLICY_KIND,
    remove_birth_certificates,
)
from factory.account.certificates import (
    certificates_since,
    describe_certificate,
    policies_of,
    set_certificate_status,
)
from factory.account.changes import Change, Outcome, Report
from factory.account.cloud import Cloud, Response, text
from factory.account.documents import CONFIG, load_policy, load_template
from factory.account.lambda_functions import (
    Function,
    ensure_function,
    function_arn,
    remove_function,
)
from factory.account.lambda_role import ensure_lambda_role, remove_lambda_role
from factory.account.log_groups import ensure_log_group, remove_log_group
from factory.account.provisioning_templates import Template, template_arn
from factory.account.roles import Role, role_arn
from factory.errors import StationNotPreparedError
from factory.methods.claim import ROLE
from factory.methods.renewal import TEMPLATE as SAME_THING

TEMPLATE: Final = "firstboot-recovery"
HOOK: Final = "firstboot-recovery-hook"
_CLOCKS_APART: Final = timedelta(minutes=10)
"""AWS's clock and the station's differ by less."""


def files(folder: Path = CONFIG) -> list[Path]:
    """Return the files in ``folder`` that `prepare` sends to AWS."""
    names = (f"templates/{SAME_THING}", f"policies/{POLICY}", f"policies/{HOOK}")
    return [folder / f"{name}.json" for name in names]


def prepare(cloud: Cloud, window_days: int) -> Report:
    """Make what a recovery needs, or complete and repair it; devices may come back so long.

    The template comes last: before there is one, no device can come back.

    Raises:
        NotMadeByStationError: something of the same name is someone else's.
        CloudError: AWS did not answer, or said no.
    """
    values = cloud.account.placeholders
    environment = {"WINDOW_DAYS": str(window_days)}
    function = Function(
        HOOK, "recovery_hook", role_arn(cloud, HOOK), environment, template_arn(cloud, TEMPLATE)
    )
    template = Template(
        TEMPLATE,
        load_template(SAME_THING),
        role_arn(cloud, ROLE),
        description="Another certificate for a thing whose own is dead (Firstboot)",
        hook_arn=function_arn(cloud, HOOK),
    )
    changes = (
        roles.ensure_role(cloud, Role(ROLE, load_policy(ROLE, values), TEMPLATE)),
        policies.ensure_policy(cloud, POLICY_KIND, POLICY, load_policy(POLICY, values)),
        ensure_log_group(cloud, HOOK),
        ensure_lambda_role(cloud, HOOK),
        ensure_function(cloud, function),
        provisioning_templates.ensure_template(cloud, template),
    )
    return Report(changes)


def teardown(cloud: Cloud) -> Report:
    """Remove what `prepare` made, and every birth certificate: they are of no use without it.

    Raises:
        NotMadeByStationError: something of the same name is someone else's.
        CloudError: AWS did not answer, or said no.
    """
    changes = [
        provisioning_templates.remove_template(cloud, TEMPLATE),
        remove_function(cloud, HOOK),
        remove_lambda_role(cloud, HOOK),
        remove_log_group(cloud, HOOK),
        roles.remove_role(cloud, ROLE, TEMPLATE),
        *remove_birth_certificates(cloud),
        policies.remove_policy(cloud, POLICY_KIND, POLICY),
    ]
    return Report(tuple(changes))


def give_birth_certificate(cloud: Cloud, state: Path, thing: str) -> Report:
    """Give the finished device in ``state`` its birth certificate; a second time changes nothing.

    The key is stored first: a run that is cut continues with it, and finds the certificate that
    AWS issued for it. It is ACTIVE last, when the device holds it.

    Raises:
        StationNotPreparedError: `prepare` has not been run.
        StorageError: the disk refused, or the device runs.
        CloudError: AWS did not answer, or said no.
    """
    if policies.policy_arn(cloud, POLICY_KIND, POLICY) is None:
        raise StationNotPreparedError(f"recovery is not prepared in {cloud.account}")
    with open_device_storage(state) as storage:
        certificate = _certificate(cloud, storage, thing)
        identifier = text(certificate, "certificateId")
        arn = text(certificate, "certificateArn")
        if POLICY not in policies_of(cloud, arn):
            cloud.call("iot", "AttachPolicy", policyName=POLICY, target=arn)
        storage.ps.set(Uid.BIRTH_CERTIFICATE, text(certificate, "certificatePem").encode())
    is_active = describe_certificate(cloud, identifier)["status"] == "ACTIVE"
    if not is_active:
        set_certificate_status(cloud, identifier, "ACTIVE")
    outcome = Outcome.UNCHANGED if is_active else Outcome.CREATED
    return Report((Change(KIND, identifier, outcome),))


def _certificate(cloud: Cloud, storage: DeviceStorage, thing: str) -> Response:
    """Return the device's birth certificate, as AWS describes it; have it issued if need be."""
    if Uid.BIRTH_CERTIFICATE in storage.ps.uids():
        held = storage.ps.get(Uid.BIRTH_CERTIFICATE)
        return describe_certificate(cloud, certificate_id(held))
    if BIRTH_KEY in storage.keys.keys():  # noqa: SIM118 - a KeyStore is no dict
        for known in _issued_before(cloud, storage):
            return known
    else:
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        storage.keys.import_key(BIRTH_KEY, pem)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, thing)])
    csr = build_csr(storage.keys.private_key(BIRTH_KEY), subject)
    return cloud.call(
        "iot", "CreateCertificateFromCsr", certificateSigningRequest=csr, setAsActive=False
    )


def _issued_before(cloud: Cloud, storage: DeviceStorage) -> Iterator[Response]:
    """Yield the certificate that AWS issued for a run which never saw the answer."""
    made = made_at(storage) or 0.0
    key = spki(storage.keys.export_public_key(BIRTH_KEY))
    for identifier in certificates_since(cloud, datetime.fromtimestamp(made, UTC) - _CLOCKS_APART):
        certificate = describe_certificate(cloud, identifier)
        if spki(_parsed(certificate).public_key()) == key:
            yield certificate


def _parsed(certificate: Response) -> x509.Certificate:
    return x509.load_pem_x509_certificate(text(certificate, "certificatePem").encode())
