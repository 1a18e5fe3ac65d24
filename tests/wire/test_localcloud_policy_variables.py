"""What the policies of certificates and thing groups allow a device that publishes."""

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.wire.conftest import LocalCloud
from tests.wire.localcloud_registry import mark
from tests.wire.localcloud_sdk import Credential, add_certificate, policy
from tests.wire.raw_mqtt import connected

pytestmark = pytest.mark.wire
NUMBER = 4660
NAMES = [x509.DNSName("one.example"), x509.DNSName("two.example"), x509.RFC822Name("a@b.example")]
KNOWN = ("DNSName", "DNSName.1", "RFC822Name")
NOT_AUTHORIZED = 0x87
ARN = "arn:aws:iot:us-east-1:000000000000"


def self_signed() -> Credential:
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, mark("named"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(NUMBER)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(NAMES), critical=False)
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Credential(
        certificate.fingerprint(hashes.SHA256()).hex(),
        certificate.public_bytes(serialization.Encoding.PEM).decode(),
        key_pem.decode(),
    )


@pytest.fixture(scope="module")
def device(local_cloud: LocalCloud) -> Credential:
    """A device whose certificate has alternative names, with a policy that uses them."""
    iot, credential, name = local_cloud.client("iot"), self_signed(), mark("named")
    variables = [f"Subject.AlternativeName.{one}" for one in KNOWN]
    topics = [f"topic/{{${{iot:Certificate.{one}}}}}" for one in (*variables, "SerialNumber")]
    document = policy(("Connect", ["client/*"]), ("Publish", topics))
    pem = credential.certificate_pem
    made = iot.register_certificate_without_ca(certificatePem=pem, status="ACTIVE")
    iot.create_policy(policyName=name, policyDocument=document)
    iot.attach_policy(policyName=name, target=made["certificateArn"])
    return credential


@pytest.mark.parametrize("known", ["one.example", "two.example", "a@b.example", str(NUMBER)])
def test_alternative_names_and_the_number_are_known(
    local_cloud: LocalCloud, device: Credential, known: str
) -> None:
    with connected(local_cloud, device, mark("named"), 5) as client:
        assert client.published(f"{{{known}}}") == 0


@pytest.mark.parametrize("other", ["three.example", f"{NUMBER:x}", ""])
def test_anything_else_is_refused(local_cloud: LocalCloud, device: Credential, other: str) -> None:
    with connected(local_cloud, device, mark("named"), 5) as client:
        assert client.published(f"{{{other}}}") == NOT_AUTHORIZED


def test_a_policy_that_changes_counts_at_once(local_cloud: LocalCloud) -> None:
    """Also for what was judged before on the same connection."""
    iot, credential, name = local_cloud.client("iot"), self_signed(), mark("changing")
    nothing = policy(("Connect", ["client/*"]))
    pem = credential.certificate_pem
    made = iot.register_certificate_without_ca(certificatePem=pem, status="ACTIVE")
    iot.create_policy(policyName=name, policyDocument=nothing)
    iot.attach_policy(policyName=name, target=made["certificateArn"])
    with connected(local_cloud, credential, name, 5) as client:
        assert client.published("dt/a") == NOT_AUTHORIZED
        allowing = policy(("Connect", ["client/*"]), ("Publish", ["topic/dt/a"]))
        iot.create_policy_version(policyName=name, policyDocument=allowing, setAsDefault=True)
        assert client.published("dt/a") == 0
        iot.detach_policy(policyName=name, target=made["certificateArn"])
        assert client.published("dt/a") == NOT_AUTHORIZED


def test_a_policy_of_a_group_above_counts_for_a_device_of_the_group(
    local_cloud: LocalCloud,
) -> None:
    iot, thing, group, above = local_cloud.client("iot"), *(mark(name) for name in ("t", "g", "a"))
    credential = add_certificate(local_cloud, policy(("Connect", ["client/*"])))
    arn = iot.describe_certificate(certificateId=credential.certificate_id)[
        "certificateDescription"
    ]["certificateArn"]
    iot.create_thing(thingName=thing)
    iot.attach_thing_principal(thingName=thing, principal=arn)
    iot.create_policy(policyName=above, policyDocument=policy(("Publish", ["topic/dt/*"])))
    target = iot.create_thing_group(thingGroupName=above)["thingGroupArn"]
    iot.create_thing_group(thingGroupName=group, parentGroupName=above)
    iot.attach_policy(policyName=above, target=target)
    asked = [{"actionType": "PUBLISH", "resources": [f"{ARN}:topic/dt/a"]}]
    with connected(local_cloud, credential, thing, 5) as client:
        assert client.published("dt/a") == NOT_AUTHORIZED
        iot.add_thing_to_thing_group(thingName=thing, thingGroupName=group)
        assert client.published("dt/a") == 0
        found = iot.get_effective_policies(principal=arn, thingName=thing)["effectivePolicies"]
        assert above in [each["policyName"] for each in found]
        explained = iot.test_authorization(principal=arn, clientId=thing, authInfos=asked)
        assert explained["authResults"][0]["authDecision"] == "ALLOWED"
        iot.detach_policy(policyName=above, target=target)
        assert client.published("dt/a") == NOT_AUTHORIZED
    with connected(local_cloud, credential, mark("other"), 5) as client:
        iot.attach_policy(policyName=above, target=target)
        assert client.published("dt/a") == NOT_AUTHORIZED
