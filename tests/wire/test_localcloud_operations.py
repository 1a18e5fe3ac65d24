"""Operations that explain a refusal, see and end connections; versions, keys and kinds."""

import datetime as dt
import json
import urllib.error
import urllib.request
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.support.hang import SECONDS
from tests.wire.conftest import LocalCloud
from tests.wire.localcloud_registry import (
    THINGS_REGISTRATION,
    knock,
    make_role,
    mark,
    new_authority,
    register_ca,
    status_of,
)
from tests.wire.localcloud_sdk import Credential, add_certificate, policy
from tests.wire.raw_mqtt import DISCONNECT, RawMqtt, Will, connected

pytestmark = pytest.mark.wire
ANYTHING = policy(
    ("Connect", ["client/*"]), ("Publish Receive", ["topic/*"]), ("Subscribe", ["topicfilter/*"])
)
ARN = "arn:aws:iot:us-east-1:000000000000"


@pytest.fixture(scope="module")
def iot(local_cloud: LocalCloud) -> Any:
    return local_cloud.client("iot")


@pytest.fixture(scope="module")
def device(local_cloud: LocalCloud) -> Credential:
    return add_certificate(local_cloud, ANYTHING)


def cert_arn(credential: Credential) -> str:
    return f"{ARN}:cert/{credential.certificate_id}"


# --- authorization -------------------------------------------------------------------


def test_authorization_is_explained(local_cloud: LocalCloud, iot: Any) -> None:
    document = json.loads(policy(("Publish", ["topic/yes/${iot:ClientId}", "topic/no/*"])))
    document["Statement"].append(
        {"Effect": "Deny", "Action": "iot:Publish", "Resource": f"{ARN}:topic/no/*"}
    )
    credential = add_certificate(local_cloud, json.dumps(document))
    asked = [
        {"actionType": action, "resources": [f"{ARN}:{resource}"]}
        for action, resource in (
            ("PUBLISH", "topic/yes/me"),
            ("PUBLISH", "topic/yes/you"),
            ("PUBLISH", "topic/no/me"),
            ("CONNECT", "client/me"),
        )
    ]
    answer = iot.test_authorization(principal=cert_arn(credential), clientId="me", authInfos=asked)[
        "authResults"
    ]
    assert [one["authDecision"] for one in answer] == [
        "ALLOWED",
        "IMPLICIT_DENY",
        "EXPLICIT_DENY",
        "IMPLICIT_DENY",
    ]
    name = answer[0]["allowed"]["policies"][0]["policyName"]
    assert answer[2]["denied"]["explicitDeny"]["policies"][0]["policyName"] == name
    skipped = iot.test_authorization(
        principal=cert_arn(credential), clientId="me", authInfos=asked[:1],
        policyNamesToSkip=[name],
    )  # fmt: skip
    assert skipped["authResults"][0]["authDecision"] == "IMPLICIT_DENY"
    effective = iot.get_effective_policies(principal=cert_arn(credential))["effectivePolicies"]
    assert [one["policyName"] for one in effective] == [name]


def test_who_does_not_exist_has_no_policies(iot: Any) -> None:
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.get_effective_policies(principal=f"{ARN}:cert/{'0' * 64}")


def test_the_certificate_id_is_a_policy_variable(local_cloud: LocalCloud) -> None:
    document = policy(("Connect", ["client/*"]), ("Publish", ["topic/c/${iot:CertificateId}"]))
    credential = add_certificate(local_cloud, document)
    with connected(local_cloud, credential, "variable", 5) as client:
        assert client.published(f"c/{credential.certificate_id}") == 0
        assert client.published("c/other") == 0x87


# --- connections ---------------------------------------------------------------------


def test_a_connection_is_seen_and_deleted(
    local_cloud: LocalCloud, iot: Any, device: Credential
) -> None:
    data, name = local_cloud.client("iot-data"), mark("seen")
    iot.create_thing(thingName=name)
    assert not iot.get_thing_connectivity_data(thingName=name)["connected"]
    with connected(local_cloud, device, name, 5, will=Will("seen/will")) as client:
        seen = data.get_connection(clientId=name)
        assert (seen["connected"], seen["keepAliveDuration"]) == (True, 60)
        assert iot.get_thing_connectivity_data(thingName=name)["connected"]
        with connected(local_cloud, device, "seer") as seer:
            seer.subscribe(f"$aws/events/presence/disconnected/{name}", "seen/will")
            data.delete_connection(clientId=name, preventWillMessage=True)
            event = json.loads(seer.receive().payload)
            assert event["disconnectReason"] == "API_INITIATED_DISCONNECT"
            assert seer.nothing_comes()
        assert client.expect(DISCONNECT).body[0] == 0x98
        assert client.is_closed()
    assert data.get_connection(clientId=name)["disconnectReason"] == "API_INITIATED_DISCONNECT"
    with pytest.raises(data.exceptions.ResourceNotFoundException):
        data.delete_connection(clientId=name)


def test_deleting_a_connection_may_end_its_session(
    local_cloud: LocalCloud, device: Credential
) -> None:
    data = local_cloud.client("iot-data")
    with connected(local_cloud, device, "ended", clean=False) as client:
        data.delete_connection(clientId="ended", cleanSession=True)
        assert client.is_closed()
    with RawMqtt(local_cloud, device) as client:
        assert client.connect("ended", clean=False).body[0] == 0


def test_named_shadows_are_listed(local_cloud: LocalCloud) -> None:
    data, thing = local_cloud.client("iot-data"), mark("shadowed")
    for name in ("b", "a", "c"):
        data.update_thing_shadow(thingName=thing, shadowName=name, payload='{"state": {}}')
    data.delete_thing_shadow(thingName=thing, shadowName="c")
    data.update_thing_shadow(thingName=thing, payload='{"state": {}}')
    assert data.list_named_shadows_for_thing(thingName=thing)["results"] == ["a", "b"]
    first = data.list_named_shadows_for_thing(thingName=thing, pageSize=1)
    rest = data.list_named_shadows_for_thing(thingName=thing, nextToken=first["nextToken"])
    assert first["results"] + rest["results"] == ["a", "b"]


# --- versions ------------------------------------------------------------------------


def test_a_things_version_must_be_the_expected_one(iot: Any) -> None:
    name = mark("versioned")
    iot.create_thing(thingName=name)
    with pytest.raises(iot.exceptions.VersionConflictException):
        iot.update_thing(thingName=name, expectedVersion=99)
    iot.update_thing(thingName=name, expectedVersion=1)
    assert iot.describe_thing(thingName=name)["version"] == 2


def test_a_thing_groups_version_must_be_the_expected_one(iot: Any) -> None:
    name = mark("versioned")
    iot.create_thing_group(thingGroupName=name)
    with pytest.raises(iot.exceptions.VersionConflictException):
        iot.update_thing_group(thingGroupName=name, thingGroupProperties={}, expectedVersion=99)
    with pytest.raises(iot.exceptions.VersionConflictException):
        iot.delete_thing_group(thingGroupName=name, expectedVersion=99)
    iot.delete_thing_group(thingGroupName=name, expectedVersion=1)
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.describe_thing_group(thingGroupName=name)


def test_a_policy_has_five_versions(iot: Any) -> None:
    name = mark("policy")
    iot.create_policy(policyName=name, policyDocument=ANYTHING)
    for _ in range(4):
        iot.create_policy_version(policyName=name, policyDocument=ANYTHING)
    with pytest.raises(iot.exceptions.VersionsLimitExceededException):
        iot.create_policy_version(policyName=name, policyDocument=ANYTHING)
    iot.delete_policy_version(policyName=name, policyVersionId="2")
    iot.create_policy_version(policyName=name, policyDocument=ANYTHING)


# --- certificates --------------------------------------------------------------------


def test_a_description_tells_validity_and_when_the_status_changed(
    local_cloud: LocalCloud, iot: Any
) -> None:
    device = add_certificate(local_cloud, ANYTHING)
    described = iot.describe_certificate(certificateId=device.certificate_id)
    before = described["certificateDescription"]
    iot.update_certificate(certificateId=device.certificate_id, newStatus="INACTIVE")
    described = iot.describe_certificate(certificateId=device.certificate_id)
    after = described["certificateDescription"]
    assert before["validity"]["notBefore"] < before["validity"]["notAfter"]
    assert before["validity"] == after["validity"]
    assert before["creationDate"] <= before["lastModifiedDate"] < after["lastModifiedDate"]


KEYS: dict[str, Any] = {
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
    "rsa-1024": lambda: rsa.generate_private_key(65537, 1024),  # noqa: S505
}


def self_signed(key: Any, days: int = 30) -> str:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, mark("odd"))])
    end = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - dt.timedelta(days=100))
        .not_valid_after(end)
        .sign(key, algorithm)
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize("kind", KEYS)
def test_a_key_that_aws_does_not_take_is_refused(iot: Any, kind: str) -> None:
    pem = self_signed(KEYS[kind]())
    refused = iot.exceptions.CertificateValidationException
    with pytest.raises(refused):
        iot.register_certificate_without_ca(certificatePem=pem)
    with pytest.raises(refused):
        iot.register_ca_certificate(caCertificate=pem, certificateMode="SNI_ONLY")


def test_an_expired_certificate_is_refused(iot: Any) -> None:
    pem = self_signed(ec.generate_private_key(ec.SECP256R1()), days=-1)
    with pytest.raises(iot.exceptions.CertificateValidationException, match="expired"):
        iot.register_certificate_without_ca(certificatePem=pem)


def test_two_authorities_of_one_subject_are_told_apart_by_signature(iot: Any) -> None:
    one = new_authority()
    again = renewed(one, ec.generate_private_key(ec.SECP256R1()))
    ids = [register_ca(iot, authority) for authority in (one, again)]
    assert len(set(ids)) == 2
    for authority, ca_id in zip((one, again), ids, strict=True):
        leaf = authority.issue({"CN": mark("leaf")})
        made = iot.register_certificate(certificatePem=leaf.certificate_pem)
        listed = iot.list_certificates_by_ca(caCertificateId=ca_id)["certificates"]
        assert [found["certificateId"] for found in listed] == [made["certificateId"]]


def test_the_eleventh_authority_of_one_subject_is_refused(iot: Any) -> None:
    one = new_authority()
    others = [renewed(one, ec.generate_private_key(ec.SECP256R1())) for _ in range(10)]
    for authority in (one, *others[:-1]):
        register_ca(iot, authority)
    with pytest.raises(iot.exceptions.ClientError, match="LimitExceeded"):
        register_ca(iot, others[-1])
    with pytest.raises(iot.exceptions.ResourceAlreadyExistsException):
        register_ca(iot, one)
    register_ca(iot, new_authority())


@pytest.mark.parametrize("chain", [False, True], ids=["leaf-alone", "with-its-ca"])
def test_devices_of_two_authorities_of_one_subject_are_registered_just_in_time(
    local_cloud: LocalCloud, iot: Any, chain: bool
) -> None:
    one = new_authority()
    for authority in (one, renewed(one, ec.generate_private_key(ec.SECP256R1()))):
        register_ca(iot, authority)
        leaf = authority.issue({"CN": mark("leaf")}, chain=chain)
        knock(local_cloud, leaf, "any")
        assert status_of(iot, leaf.certificate_id) == "PENDING_ACTIVATION"


def renewed(one: Any, key: Any) -> Any:
    """Return an authority of the same subject with another key."""
    old = one.certificate
    certificate = (
        x509.CertificateBuilder()
        .subject_name(old.subject)
        .issuer_name(old.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(old.not_valid_before_utc)
        .not_valid_after(old.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return type(one)(certificate, key)


# --- kinds ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/things/kinds", {"attributePayload": "text"}),
        ("POST", "/things/kinds", {"attributePayload": {"attributes": {"a": 5}}}),
        ("POST", "/policies/kinds", {"policyDocument": {"Version": "2012-10-17"}}),
        ("PUT", "/jobs/kinds", {"targets": "text", "document": "{}"}),
        ("POST", "/provisioning-templates", {"templateName": 5}),
        ("POST", "/test-authorization", {"authInfos": ["text"]}),
        ("POST", "/cacertificate", {"caCertificate": []}),
        ("POST", "/certificates", {"certificateSigningRequest": 5}),
        ("POST", "/rules/kinds", {"sql": 5, "actions": []}),
        ("GET", "/things?maxResults=abc", None),
        ("GET", "/things?maxResults=0", None),
        ("GET", "/policies?isAscendingOrder=5", None),
        ("GET", "/jobs?status=BOGUS", None),
        ("DELETE", "/thing-groups/none?expectedVersion=abc", None),
    ],
    ids=str,
)
def test_a_value_of_the_wrong_kind_is_refused_with_the_reason(
    local_cloud: LocalCloud, method: str, path: str, body: Any
) -> None:
    status, answer = call(local_cloud, method, path, body)
    assert (status, "must be" in answer["message"]) == (400, True)


@pytest.mark.parametrize(
    ("service", "method", "path", "body"),
    [
        ("iotdata", "POST", "/topics/a/b?qos=one", None),
        ("iotdata", "DELETE", "/connections/none?cleanSession=5", None),
        ("iot-jobs-data", "POST", "/things/none/jobs/none", {"status": ["a"]}),
        ("iot-jobs-data", "PUT", "/things/none/jobs/$next", {"stepTimeoutInMinutes": {}}),
        ("iot-jobs-data", "POST", "/command-executions", {"commandArn": 5}),
    ],
    ids=str,
)
def test_the_data_planes_refuse_the_wrong_kind_as_well(
    local_cloud: LocalCloud, service: str, method: str, path: str, body: Any
) -> None:
    status, answer = call(local_cloud, method, path, body, service)
    assert (status, "must be" in answer["message"]) == (400, True)


@pytest.mark.parametrize(
    ("service", "method", "path"),
    [
        ("iot", "PUT", "/target-policies/none"),
        ("iot", "PUT", "/billing-groups/addThingToBillingGroup"),
        ("iot", "PUT", "/thing-groups/addThingToThingGroup"),
        ("iot-jobs-data", "POST", "/things/none/jobs/none"),
    ],
)
def test_a_body_that_nests_too_deep_is_refused(
    local_cloud: LocalCloud, service: str, method: str, path: str
) -> None:
    status, answer = call(local_cloud, method, path, b"[" * 5000, service)
    assert (status, answer["message"]) == (400, "the body is not JSON")


def test_a_document_in_a_body_that_nests_too_deep_is_refused(local_cloud: LocalCloud) -> None:
    deep = '{"a":' * 5000
    template = {"templateName": "deep", "templateBody": deep, "provisioningRoleArn": ARN}
    for path, body in (
        ("/provisioning-templates", template),
        ("/policies/deep", {"policyDocument": deep}),
        ("/things", {"templateBody": deep}),
    ):
        status, answer = call(local_cloud, "POST", path, body)
        assert (status, bool(answer["message"])) == (400, True), path


def call(
    cloud: LocalCloud, method: str, path: str, body: Any, service: str = "iot"
) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode() if body else b""
    key = cloud.environment["AWS_ACCESS_KEY_ID"], cloud.environment["AWS_SECRET_ACCESS_KEY"]
    request = AWSRequest(method, cloud.api_url + path, data=data)
    SigV4Auth(Credentials(*key), service, "us-east-1").add_auth(request)
    raw = urllib.request.Request(  # noqa: S310  (http, on loopback)
        request.url, data, dict(request.headers), method=method
    )
    try:
        with urllib.request.urlopen(raw, timeout=SECONDS) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.mark.parametrize(
    ("request_body", "code"),
    [
        ({"certificateOwnershipToken": ["a"]}, "InvalidPayload"),
        ({"certificateOwnershipToken": "t", "parameters": "text"}, "InvalidParameters"),
        ({"certificateOwnershipToken": "t", "parameters": {"a": 5}}, "InvalidParameters"),
        ([], "InvalidPayload"),
    ],
    ids=str,
)
def test_a_provisioning_request_of_the_wrong_kind_is_rejected(
    local_cloud: LocalCloud, device: Credential, request_body: Any, code: str
) -> None:
    with connected(local_cloud, device, "kinds") as client:
        client.publish(
            "$aws/provisioning-templates/none/provision/json", json.dumps(request_body).encode()
        )
        assert json.loads(client.receive().payload)["errorCode"] == code


def test_a_device_cannot_use_a_template_of_type_jitp(
    local_cloud: LocalCloud, iot: Any, device: Credential
) -> None:
    name = mark("template")
    body = {
        "Resources": {
            "certificate": {
                "Type": "AWS::IoT::Certificate",
                "Properties": {
                    "CertificateId": {"Ref": "AWS::IoT::Certificate::Id"},
                    "Status": "Active",
                },
            },
            "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyDocument": ANYTHING}},
        }
    }
    iot.create_provisioning_template(
        templateName=name,
        type="JITP",
        templateBody=json.dumps(body),
        provisioningRoleArn=make_role(local_cloud, THINGS_REGISTRATION),
    )
    with connected(local_cloud, device, "typed") as client:
        client.publish(f"$aws/provisioning-templates/{name}/provision/json", b"{}")
        answer = json.loads(client.receive().payload)
    assert answer["errorCode"] == "InvalidTemplate"
    assert "type JITP" in answer["errorMessage"]
