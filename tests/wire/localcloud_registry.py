"""What a station does in the cloud before a device connects: authorities, roles, templates.

Like `localcloud_sdk` it knows boto3 and cryptography only, nothing of the local AWS.
"""

import datetime as dt
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from awscrt.exceptions import AwsCrtError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.hang import SECONDS
from tests.wire.conftest import LocalCloud
from tests.wire.localcloud_sdk import Credential, mqtt311_connection, policy

THINGS_REGISTRATION = "arn:aws:iam::aws:policy/service-role/AWSIoTThingsRegistration"
THE_ID = "AWS::IoT::Certificate::Id"
DEVICE_POLICY = policy(
    ("Connect", ["client/${iot:Connection.Thing.ThingName}"]),
    ("Publish", ["topic/dt/${iot:Connection.Thing.ThingName}/telemetry"]),
)
Subject = Mapping[str, str]
"""Attribute names of X.500 (CN, O, OU, OU.1, C, ST, serialNumber, dnQualifier), their values."""
_OIDS = {
    "CN": NameOID.COMMON_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "OU.1": NameOID.ORGANIZATIONAL_UNIT_NAME,  # the second one
    "C": NameOID.COUNTRY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "serialNumber": NameOID.SERIAL_NUMBER,
    "dnQualifier": NameOID.DN_QUALIFIER,
}


def mark(prefix: str) -> str:
    """Return a name that no other test uses."""
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def until(answer: Callable[[], Any], wanted: Any = True, seconds: float = SECONDS) -> None:
    """Wait until ``answer`` returns ``wanted``."""
    deadline = time.monotonic() + seconds
    while (found := answer()) != wanted:
        assert time.monotonic() < deadline, f"still {found}, not {wanted}"
        time.sleep(0.02)


# --- the factory's authority ---------------------------------------------------------


@dataclass(frozen=True)
class Authority:
    """A CA of the factory's own."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def issue(self, subject: Subject, *, chain: bool = False, expired: bool = False) -> Credential:
        """Return a device's certificate and key; with ``chain``, the CA is presented, too."""
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = _certificate(subject, key, self, days=-1 if expired else 365)
        pem = leaf.public_bytes(serialization.Encoding.PEM).decode()
        key_pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()
        presented = pem + self.pem if chain else pem
        return Credential(leaf.fingerprint(hashes.SHA256()).hex(), presented, key_pem)


def new_authority() -> Authority:
    """Make a CA that nobody knows yet."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = {"CN": mark("factory-ca"), "O": "Example"}
    return Authority(_certificate(subject, key, None), key)


def _certificate(
    subject: Subject,
    key: ec.EllipticCurvePrivateKey,
    issuer: Authority | None,
    days: int = 3650,
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(_OIDS[part], value) for part, value in subject.items()])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.certificate.subject if issuer else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=2))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .sign(issuer.key if issuer else key, hashes.SHA256())
    )


def register_ca(iot: Any, authority: Authority, **options: Any) -> str:
    """Register a CA in DEFAULT mode, ACTIVE and auto-registering; return its id."""
    code = iot.get_registration_code()["registrationCode"]
    answer = iot.register_ca_certificate(
        caCertificate=authority.pem,
        verificationCertificate=authority.issue({"CN": code}).certificate_pem,
        **{"setAsActive": True, "allowAutoRegistration": True, **options},
    )
    ca_id: str = answer["certificateId"]
    return ca_id


# --- roles and templates -------------------------------------------------------------


def make_role(
    cloud: LocalCloud, *managed: str, inline: Any = None, service: str = "iot", client: Any = None
) -> str:
    """Make a role that a service of AWS may assume; return its ARN."""
    iam, name = client or cloud.client("iam"), mark("role")
    trust = {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}}
    document = {"Version": "2012-10-17", "Statement": [{**trust, "Action": "sts:AssumeRole"}]}
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(document))["Role"]
    for policy_arn in managed:
        iam.attach_role_policy(RoleName=name, PolicyArn=policy_arn)
    if inline:
        statement = {"Version": "2012-10-17", "Statement": inline}
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(statement))
    arn: str = role["Arn"]
    return arn


def template(
    thing: Mapping[str, Any],
    *policies: Mapping[str, Any],
    parameters: tuple[str, ...] = (),
    certificate: Mapping[str, Any] | None = None,
    overrides: Mapping[str, str] | None = None,
    **sections: Any,
) -> str:
    """Return a template's body: a thing, a certificate (by its id), any number of policies."""
    by_id = {"CertificateId": {"Ref": THE_ID}, "Status": "ACTIVE"}
    resources: dict[str, Any] = {
        "thing": {"Type": "AWS::IoT::Thing", "Properties": dict(thing)},
        "certificate": {"Type": "AWS::IoT::Certificate", "Properties": certificate or by_id},
    }
    if overrides is not None:
        resources["thing"]["OverrideSettings"] = overrides
    for number, properties in enumerate(policies):
        name = "policy" if number == 0 else f"policy{number}"
        resources[name] = {"Type": "AWS::IoT::Policy", "Properties": dict(properties)}
    declared = {name: {"Type": "String"} for name in parameters}
    declared |= sections.pop("Parameters", {})
    return json.dumps({"Parameters": declared, "Resources": resources, **sections})


# --- what is there afterwards --------------------------------------------------------


def status_of(iot: Any, certificate_id: str) -> str:
    """Return the certificate's status, or ``none``."""
    try:
        found = iot.describe_certificate(certificateId=certificate_id)
    except iot.exceptions.ResourceNotFoundException:
        return "none"
    status: str = found["certificateDescription"]["status"]
    return status


def policies_of(iot: Any, certificate_id: str) -> list[str]:
    """Return the names of the policies that are attached to a certificate."""
    arn = iot.describe_certificate(certificateId=certificate_id)["certificateDescription"]
    found = iot.list_attached_policies(target=arn["certificateArn"])["policies"]
    return sorted(policy["policyName"] for policy in found)


@contextmanager
def hung_up() -> Iterator[None]:
    """Expect the connection to be closed on CONNECT, as MQTT 3.1.1 has it on AWS."""
    with pytest.raises(AwsCrtError, match="UNEXPECTED_HANGUP"):
        yield


def knock(cloud: LocalCloud, credential: Credential, client_id: str) -> None:
    """Connect once and expect to be dropped."""
    with hung_up(), mqtt311_connection(cloud, credential, client_id):
        pass
