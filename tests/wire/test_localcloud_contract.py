"""The local AWS is one, as far as AWS's own SDK clients and boto3 can tell."""

import datetime as dt
import socket
import ssl
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from awscrt import mqtt5
from awscrt.exceptions import AwsCrtError
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.wire.conftest import LocalCloud
from tests.wire.localcloud_sdk import (
    Credential,
    Fleet,
    Identity,
    IdentityV1,
    IdentityV2,
    NotLetInError,
    RejectedError,
    add_certificate,
    mqtt5_client,
    mqtt311_connection,
    new_csr,
    policy,
    prepare_fleet,
    publish,
)

pytestmark = pytest.mark.wire

Connect = Callable[[LocalCloud, Credential, str], AbstractContextManager[Identity]]


@contextmanager
def v2_over_mqtt5(cloud: LocalCloud, claim: Credential, client_id: str) -> Iterator[Identity]:
    with mqtt5_client(cloud, claim, client_id) as client:
        yield IdentityV2(client)


@contextmanager
def v2_over_mqtt311(cloud: LocalCloud, claim: Credential, client_id: str) -> Iterator[Identity]:
    with mqtt311_connection(cloud, claim, client_id) as connection:
        yield IdentityV2(connection)


@contextmanager
def v1_over_mqtt311(cloud: LocalCloud, claim: Credential, client_id: str) -> Iterator[Identity]:
    with mqtt311_connection(cloud, claim, client_id) as connection:
        yield IdentityV1(connection)


@pytest.fixture(scope="module")
def fleet(local_cloud: LocalCloud) -> Fleet:
    return prepare_fleet(local_cloud)


@pytest.fixture
def serial() -> str:
    return f"SN-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def identity(local_cloud: LocalCloud, fleet: Fleet, serial: str) -> Iterator[Identity]:
    with v2_over_mqtt5(local_cloud, fleet.claim, f"claim-{serial}") as client:
        yield client


def certificate_status(cloud: LocalCloud, certificate_id: str) -> str:
    described = cloud.client("iot").describe_certificate(certificateId=certificate_id)
    status: str = described["certificateDescription"]["status"]
    return status


# --- both variants, by every client of AWS's -----------------------------------------


@pytest.mark.parametrize("connect", [v2_over_mqtt5, v2_over_mqtt311, v1_over_mqtt311])
@pytest.mark.parametrize("variant", ["csr", "aws-keys"])
def test_a_device_is_provisioned_and_then_connects_as_itself(
    local_cloud: LocalCloud, fleet: Fleet, serial: str, connect: Connect, variant: str
) -> None:
    csr, key = new_csr(serial)
    with connect(local_cloud, fleet.claim, f"claim-{serial}") as identity:
        made = identity.create_from_csr(csr) if variant == "csr" else identity.create_keys()
        assert certificate_status(local_cloud, made.certificate_id) == "PENDING_ACTIVATION"
        thing = identity.register(fleet.template, made.certificate_ownership_token, serial)
    assert thing.thing_name == serial
    assert thing.device_configuration == {"interval": "60"}

    private_key = key if variant == "csr" else made.private_key
    own = Credential(made.certificate_id, made.certificate_pem, private_key)
    with mqtt5_client(local_cloud, own, serial) as device:
        assert publish(device, f"dt/{serial}/telemetry") == 0
    principals = local_cloud.client("iot").list_thing_principals(thingName=serial)["principals"]
    assert [arn.rpartition("/")[2] for arn in principals] == [made.certificate_id]
    assert certificate_status(local_cloud, made.certificate_id) == "ACTIVE"


# --- what is made --------------------------------------------------------------------


def test_a_certificate_for_a_csr_keeps_its_subject_and_key(identity: Identity, serial: str) -> None:
    csr_pem, _key = new_csr(serial)
    certificate = x509.load_pem_x509_certificate(
        identity.create_from_csr(csr_pem).certificate_pem.encode()
    )
    csr = x509.load_pem_x509_csr(csr_pem.encode())
    assert certificate.subject == csr.subject
    assert certificate.public_key() == csr.public_key()


@pytest.mark.parametrize("variant", ["csr", "aws-keys"])
def test_certificates_have_the_shape_of_aws_iot(
    local_cloud: LocalCloud, identity: Identity, serial: str, variant: str
) -> None:
    csr, _key = new_csr(serial)
    made = identity.create_from_csr(csr) if variant == "csr" else identity.create_keys()
    certificate = x509.load_pem_x509_certificate(made.certificate_pem.encode())
    assert certificate.issuer.rfc4514_string() == (
        "OU=Amazon Web Services O=Amazon.com Inc. L=Seattle ST=Washington C=US"
    )
    assert certificate.not_valid_after_utc == dt.datetime(2049, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
    with pytest.raises(x509.ExtensionNotFound):
        certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    root = x509.load_pem_x509_certificate(local_cloud.root_ca.read_bytes())
    assert certificate.issuer != root.subject, "on AWS it does not chain to the endpoint's root"
    assert len(made.certificate_ownership_token) > 450


def test_the_same_csr_twice_gives_two_certificates(identity: Identity, serial: str) -> None:
    csr, _key = new_csr(serial)
    assert identity.create_from_csr(csr).certificate_id != (
        identity.create_from_csr(csr).certificate_id
    )


def test_keys_made_by_aws_are_rsa_in_pkcs1(identity: Identity) -> None:
    made = identity.create_keys()
    assert made.private_key.startswith("-----BEGIN RSA PRIVATE KEY-----\n")
    key = serialization.load_pem_private_key(made.private_key.encode(), password=None)
    certificate = x509.load_pem_x509_certificate(made.certificate_pem.encode())
    assert certificate.public_key() == key.public_key()
    assert certificate.subject.rfc4514_string() == "CN=AWS IoT Certificate"


# --- what is rejected ----------------------------------------------------------------


@pytest.mark.parametrize("csr", ["garbage", "-----BEGIN CERTIFICATE REQUEST-----\nAA\n", ""])
def test_a_bad_csr_is_rejected_and_the_session_goes_on(identity: Identity, csr: str) -> None:
    with pytest.raises(RejectedError) as rejected:
        identity.create_from_csr(csr)
    assert rejected.value.status_code == 400
    assert rejected.value.error_code == "InvalidCsr"
    assert identity.create_keys().certificate_id


@pytest.mark.parametrize("token", ["garbage", None])
def test_a_token_that_is_none_is_rejected(
    identity: Identity, fleet: Fleet, serial: str, token: str | None
) -> None:
    with pytest.raises(RejectedError) as rejected:
        identity.register(fleet.template, token, serial)
    assert rejected.value.status_code == 400
    assert rejected.value.error_code == "InvalidCertificateOwnershipToken"


def test_an_unknown_template_is_rejected(
    local_cloud: LocalCloud, fleet: Fleet, serial: str
) -> None:
    csr, _key = new_csr(serial)
    anything = policy(("Connect Publish Subscribe Receive", ["*"]))
    claim = add_certificate(local_cloud, anything)
    with v2_over_mqtt5(local_cloud, claim, f"claim-{serial}") as identity:
        token = identity.create_from_csr(csr).certificate_ownership_token
        with pytest.raises(RejectedError) as rejected:
            identity.register(f"{fleet.template}-not", token, serial)
    assert rejected.value.error_code == "InvalidTemplate"


def test_an_expired_token_is_rejected_and_its_certificate_is_deleted(
    local_cloud: LocalCloud, identity: Identity, fleet: Fleet, serial: str
) -> None:
    csr, _key = new_csr(serial)
    made = identity.create_from_csr(csr)
    local_cloud.fault("expire-tokens")
    with pytest.raises(RejectedError) as rejected:
        identity.register(fleet.template, made.certificate_ownership_token, serial)
    assert rejected.value.error_code == "InvalidCertificateOwnershipToken"
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        certificate_status(local_cloud, made.certificate_id)


def test_a_registered_certificate_outlives_its_token(
    local_cloud: LocalCloud, identity: Identity, fleet: Fleet, serial: str
) -> None:
    csr, _key = new_csr(serial)
    made = identity.create_from_csr(csr)
    identity.register(fleet.template, made.certificate_ownership_token, serial)
    local_cloud.fault("expire-tokens")
    assert certificate_status(local_cloud, made.certificate_id) == "ACTIVE"


# --- who may do what -----------------------------------------------------------------


def test_a_claim_without_the_csr_topics_may_not_send_a_csr(
    local_cloud: LocalCloud, serial: str
) -> None:
    # ``create/*`` does not match ``create-from-csr/...``: the slip that the facts warn of.
    fleet = prepare_fleet(local_cloud, creates=("certificates/create/*",))
    with mqtt5_client(local_cloud, fleet.claim, f"claim-{serial}") as client:
        refused = publish(client, "$aws/certificates/create-from-csr/json")
    assert refused == mqtt5.PubackReasonCode.NOT_AUTHORIZED


def test_a_claim_is_let_in_under_its_client_ids_only(
    local_cloud: LocalCloud, fleet: Fleet, serial: str
) -> None:
    with (
        pytest.raises(NotLetInError) as refused,
        mqtt5_client(local_cloud, fleet.claim, serial),
    ):
        pass
    assert refused.value.reason == mqtt5.ConnectReasonCode.NOT_AUTHORIZED


def test_a_device_may_not_publish_for_another(
    local_cloud: LocalCloud, identity: Identity, fleet: Fleet, serial: str
) -> None:
    csr, key = new_csr(serial)
    made = identity.create_from_csr(csr)
    identity.register(fleet.template, made.certificate_ownership_token, serial)
    own = Credential(made.certificate_id, made.certificate_pem, key)
    with mqtt5_client(local_cloud, own, serial) as device:
        refused = publish(device, "dt/another/telemetry")
    assert refused == mqtt5.PubackReasonCode.NOT_AUTHORIZED


def test_a_certificate_that_is_not_registered_yet_is_not_let_in(
    local_cloud: LocalCloud, identity: Identity, serial: str
) -> None:
    csr, key = new_csr(serial)
    made = identity.create_from_csr(csr)
    own = Credential(made.certificate_id, made.certificate_pem, key)
    with (
        pytest.raises(AwsCrtError, match="UNEXPECTED_HANGUP"),
        mqtt311_connection(local_cloud, own, serial),
    ):
        pass


def test_a_claim_for_a_trusted_user_provisions(
    local_cloud: LocalCloud, fleet: Fleet, serial: str
) -> None:
    made = local_cloud.client("iot").create_provisioning_claim(templateName=fleet.template)
    claim = Credential(made["certificateId"], made["certificatePem"], made["keyPair"]["PrivateKey"])
    csr, _key = new_csr(serial)
    with v2_over_mqtt5(local_cloud, claim, f"claim-{serial}") as identity:
        token = identity.create_from_csr(csr).certificate_ownership_token
        assert identity.register(fleet.template, token, serial).thing_name == serial


def test_a_client_without_a_certificate_is_not_let_in(local_cloud: LocalCloud) -> None:
    context = ssl.create_default_context(cafile=local_cloud.root_ca)
    with (
        socket.create_connection((local_cloud.mqtt_host, local_cloud.mqtt_port), 5) as raw,
        context.wrap_socket(raw, server_hostname=local_cloud.mqtt_host) as connection,
    ):
        assert connection.recv(1) == b"", "closed before it said anything"


def test_boto3_with_an_unknown_key_is_refused(local_cloud: LocalCloud) -> None:
    stranger = local_cloud.client("iot", access_key="AKIAIOSFODNN7EXAMPLE")
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        stranger.list_things()
