"""RegisterThing over REST: a template and parameters, and everything is registered."""

import json
from concurrent.futures import Future
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from cryptography import x509

from tests.support.hang import SECONDS
from tests.wire.conftest import LocalCloud
from tests.wire.localcloud_registry import (
    DEVICE_POLICY,
    THE_ID,
    mark,
    new_authority,
    policies_of,
    register_ca,
    status_of,
    template,
)
from tests.wire.localcloud_sdk import (
    Credential,
    add_certificate,
    mqtt5_client,
    new_csr,
    policy,
    publish,
)

pytestmark = pytest.mark.wire
THING = {"ThingName": {"Ref": "SerialNumber"}}
INLINE = {"PolicyDocument": DEVICE_POLICY}
FROM_CSR = {"CertificateSigningRequest": {"Ref": "CSR"}}
BY_ID = {"CertificateId": {"Ref": "CertificateId"}}
FROM_PEM = {
    "CertificatePem": {"Ref": "CertificatePem"},
    "CACertificatePem": {"Ref": "CACertificatePem"},
}


@pytest.fixture(scope="module")
def iot(local_cloud: LocalCloud) -> Any:
    return local_cloud.client("iot")


def body(certificate: dict[str, Any], thing: dict[str, Any] | None = None, **more: Any) -> str:
    return template({**THING, **(thing or {})}, INLINE, certificate=certificate, **more)


def counts(iot: Any) -> tuple[int, int, int]:
    """How many certificates, things and policies there are."""
    return (
        len(iot.list_certificates()["certificates"]),
        len(iot.list_things()["things"]),
        len(iot.list_policies()["policies"]),
    )


# --- where the certificate comes from ------------------------------------------------


def test_from_a_csr_the_device_can_connect(local_cloud: LocalCloud, iot: Any) -> None:
    serial = mark("SN")
    csr, key = new_csr(serial)
    made = iot.register_thing(
        templateBody=body(FROM_CSR), parameters={"SerialNumber": serial, "CSR": csr}
    )
    certificate = x509.load_pem_x509_certificate(made["certificatePem"].encode())
    assert certificate.public_key() == x509.load_pem_x509_csr(csr.encode()).public_key()
    arns = made["resourceArns"]
    assert set(arns) == {"thing", "certificate", "policy"}
    assert arns["thing"].endswith(f":thing/{serial}")
    own = Credential(arns["certificate"].rpartition("/")[2], made["certificatePem"], key)
    assert policies_of(iot, own.certificate_id) == [arns["policy"].rpartition("/")[2]]
    with mqtt5_client(local_cloud, own, serial) as device:
        assert publish(device, f"dt/{serial}/telemetry") == 0


def test_by_the_id_of_a_certificate_that_exists(iot: Any) -> None:
    existing = iot.create_keys_and_certificate(setAsActive=False)
    made = iot.register_thing(
        templateBody=body(BY_ID),
        parameters={"SerialNumber": mark("SN"), "CertificateId": existing["certificateId"]},
    )
    assert made["certificatePem"] == existing["certificatePem"]
    assert status_of(iot, existing["certificateId"]) == "ACTIVE"


def test_by_the_pseudo_parameter_as_templates_of_fleet_provisioning_have_it(iot: Any) -> None:
    existing = iot.create_keys_and_certificate(setAsActive=False)
    iot.register_thing(
        templateBody=template(THING, INLINE),
        parameters={"SerialNumber": mark("SN"), THE_ID: existing["certificateId"]},
    )
    assert status_of(iot, existing["certificateId"]) == "ACTIVE"


@pytest.mark.parametrize("with_ca", [True, False], ids=["with-its-ca", "alone"])
def test_from_the_pem_of_a_registered_authority(
    local_cloud: LocalCloud, iot: Any, with_ca: bool
) -> None:
    authority, serial = new_authority(), mark("SN")
    ca_id = register_ca(iot, authority)
    leaf = authority.issue({"CN": serial})
    certificate = FROM_PEM if with_ca else {"CertificatePem": {"Ref": "CertificatePem"}}
    parameters = {"SerialNumber": serial, "CertificatePem": leaf.certificate_pem}
    if with_ca:
        parameters["CACertificatePem"] = authority.pem
    iot.register_thing(templateBody=body(certificate), parameters=parameters)
    found = iot.describe_certificate(certificateId=leaf.certificate_id)["certificateDescription"]
    assert (found["status"], found["caCertificateId"]) == ("ACTIVE", ca_id)
    with mqtt5_client(local_cloud, leaf, serial) as device:
        assert publish(device, f"dt/{serial}/telemetry") == 0


def test_from_a_pem_that_is_registered_already(iot: Any) -> None:
    leaf = new_authority().issue({"CN": mark("SN")})
    iot.register_certificate_without_ca(certificatePem=leaf.certificate_pem, status="INACTIVE")
    authority = {"CertificatePem": leaf.certificate_pem}
    iot.register_thing(templateBody=body(authority), parameters={"SerialNumber": mark("SN")})
    assert status_of(iot, leaf.certificate_id) == "ACTIVE"


# --- groups --------------------------------------------------------------------------


def test_an_empty_name_is_no_group(iot: Any) -> None:
    """As AWS's bulk sample counts on: a device's ThingGroup may be ""."""
    csr, _key = new_csr("SN")
    group, serial = mark("group"), mark("SN")
    iot.create_thing_group(thingGroupName=group)
    groups = {"ThingGroups": [{"Ref": "ThingGroup"}, group]}
    parameters = {"SerialNumber": serial, "CSR": csr, "ThingGroup": ""}
    iot.register_thing(templateBody=body(FROM_CSR, groups), parameters=parameters)
    found = iot.list_thing_groups_for_thing(thingName=serial)["thingGroups"]
    assert [each["groupName"] for each in found] == [group]


# --- status --------------------------------------------------------------------------


def test_the_template_can_leave_a_new_certificate_inactive(iot: Any) -> None:
    csr, _key = new_csr("SN")
    made = iot.register_thing(
        templateBody=body({**FROM_CSR, "Status": "INACTIVE"}),
        parameters={"SerialNumber": mark("SN"), "CSR": csr},
    )
    assert status_of(iot, made["resourceArns"]["certificate"].rpartition("/")[2]) == "INACTIVE"


@pytest.mark.parametrize(
    ("setting", "left"), [("DO_NOTHING", "INACTIVE"), ("REPLACE", "ACTIVE"), (None, "ACTIVE")]
)
def test_override_settings_of_the_status(iot: Any, setting: str | None, left: str) -> None:
    existing = iot.create_keys_and_certificate(setAsActive=False)["certificateId"]
    document = json.loads(body(BY_ID))
    if setting:
        document["Resources"]["certificate"]["OverrideSettings"] = {"Status": setting}
    iot.register_thing(
        templateBody=json.dumps(document),
        parameters={"SerialNumber": mark("SN"), "CertificateId": existing},
    )
    assert status_of(iot, existing) == left


def test_override_settings_that_fail(iot: Any) -> None:
    existing = iot.create_keys_and_certificate(setAsActive=False)["certificateId"]
    document = json.loads(body(BY_ID))
    document["Resources"]["certificate"]["OverrideSettings"] = {"Status": "FAIL"}
    with pytest.raises(iot.exceptions.ResourceRegistrationFailureException, match="conflicts"):
        iot.register_thing(
            templateBody=json.dumps(document),
            parameters={"SerialNumber": mark("SN"), "CertificateId": existing},
        )
    assert status_of(iot, existing) == "INACTIVE"


@pytest.mark.parametrize("status", ["PENDING_ACTIVATION", "PENDING_TRANSFER"])
def test_a_status_that_only_aws_sets(iot: Any, status: str) -> None:
    made = iot.create_keys_and_certificate(setAsActive=True)["certificateId"]
    with pytest.raises(iot.exceptions.InvalidRequestException, match="by AWS IoT only"):
        iot.update_certificate(certificateId=made, newStatus=status)
    assert status_of(iot, made) == "ACTIVE"


@pytest.mark.parametrize("status", ["ACTIVE", "INACTIVE"])
def test_a_revoked_certificate_stays_revoked(iot: Any, status: str) -> None:
    made = iot.create_keys_and_certificate(setAsActive=True)["certificateId"]
    for _twice in range(2):
        iot.update_certificate(certificateId=made, newStatus="REVOKED")
    with pytest.raises(iot.exceptions.CertificateStateException, match="revoked"):
        iot.update_certificate(certificateId=made, newStatus=status)
    assert status_of(iot, made) == "REVOKED"
    iot.delete_certificate(certificateId=made)


def test_who_is_connected_goes_when_the_certificate_does(local_cloud: LocalCloud, iot: Any) -> None:
    before = local_cloud.admin("GET", "settings")
    local_cloud.admin("PUT", "settings", {"disconnect_seconds": 0})
    anything = policy(("Connect Publish", ["*"]))
    going, staying = add_certificate(local_cloud, anything), add_certificate(local_cloud, anything)
    dropped: Future[None] = Future()
    with (
        mqtt5_client(local_cloud, staying, mark("staying")) as other,
        mqtt5_client(local_cloud, going, mark("going"), dropped=dropped),
    ):
        iot.update_certificate(certificateId=going.certificate_id, newStatus="ACTIVE")
        iot.update_certificate(certificateId=going.certificate_id, newStatus="INACTIVE")
        dropped.result(SECONDS)
        assert publish(other, "any") == 0
    local_cloud.admin("PUT", "settings", before)


# --- what is refused leaves nothing --------------------------------------------------


@pytest.mark.parametrize(
    ("thing", "certificate", "parameters", "message"),
    [
        ({}, FROM_CSR, {"CSR": "garbage"}, "CSR violates constraints"),
        ({}, BY_ID, {"CertificateId": "0" * 64}, "does not exist"),
        ({"ThingTypeName": "no-such-type"}, FROM_CSR, {}, "Thing Type .* not found"),
        ({"ThingGroups": ["no-such-group"]}, FROM_CSR, {}, "ThingGroup .* not found"),
        ({"BillingGroup": "no-such-group"}, FROM_CSR, {}, "Billing Group .* not found"),
        ({"ThingName": "with a space"}, FROM_CSR, {}, "Invalid thingName"),
        ({"AttributePayload": {"a": "Example Corp"}}, FROM_CSR, {}, "must satisfy"),
    ],
)
def test_what_a_call_behind_it_refuses(
    iot: Any,
    thing: dict[str, Any],
    certificate: dict[str, Any],
    parameters: dict[str, str],
    message: str,
) -> None:
    csr, _key = new_csr("SN")
    given = {"SerialNumber": mark("SN"), "CSR": csr, **parameters}
    before = counts(iot)
    with pytest.raises(
        iot.exceptions.ResourceRegistrationFailureException, match=message
    ) as refused:
        iot.register_thing(templateBody=body(certificate, thing), parameters=given)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert "Request ID" not in str(refused.value)
    assert counts(iot) == before


def test_a_pem_whose_authority_is_not_registered(iot: Any) -> None:
    authority = new_authority()
    leaf = authority.issue({"CN": mark("SN")})
    before = counts(iot)
    with pytest.raises(iot.exceptions.ResourceRegistrationFailureException, match="No CA"):
        iot.register_thing(
            templateBody=body(FROM_PEM),
            parameters={
                "SerialNumber": mark("SN"),
                "CertificatePem": leaf.certificate_pem,
                "CACertificatePem": authority.pem,
            },
        )
    assert counts(iot) == before


def test_a_pem_is_not_left_behind_by_a_thing_that_fails(iot: Any) -> None:
    authority = new_authority()
    register_ca(iot, authority)
    leaf = authority.issue({"CN": mark("SN")})
    with pytest.raises(iot.exceptions.ResourceRegistrationFailureException):
        iot.register_thing(
            templateBody=body(
                {"CertificatePem": leaf.certificate_pem}, {"ThingTypeName": "no-such-type"}
            ),
            parameters={"SerialNumber": mark("SN")},
        )
    assert status_of(iot, leaf.certificate_id) == "none"


@pytest.mark.parametrize(
    ("template_body", "message"),
    [
        ("{", "Invalid registration template. Template format error: JSON not well-formed"),
        (template(THING, {}, certificate=FROM_CSR), "Neither policyName nor policyDocument"),
        (template(THING, INLINE, certificate={"Status": "ACTIVE"}), "exactly one of"),
        (body({**FROM_CSR, **BY_ID}), "exactly one of"),
        (body(FROM_CSR, {"ThingTypeName": {"Ref": "Nothing"}}), "Cannot resolve reference value"),
        (body(FROM_CSR, {"ThingTypeName": {"Fn::Select": [9, ["a"]]}}), "invalid Fn::Select"),
    ],
)
def test_a_template_that_makes_no_sense(iot: Any, template_body: str, message: str) -> None:
    csr, _key = new_csr("SN")
    given = {"SerialNumber": mark("SN"), "CSR": csr, "CertificateId": "0" * 64}
    before = counts(iot)
    with pytest.raises(iot.exceptions.InvalidRequestException, match=message):
        iot.register_thing(templateBody=template_body, parameters=given)
    assert counts(iot) == before


def test_parameters_that_are_too_long(iot: Any) -> None:
    with pytest.raises(iot.exceptions.InvalidRequestException, match="too long"):
        iot.register_thing(templateBody=body(FROM_CSR), parameters={"CSR": "x" * 4097})


def test_a_caller_without_the_right_to_it(local_cloud: LocalCloud) -> None:
    iam, name = local_cloud.client("iam"), mark("user")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    stranger = boto3.client(
        "iot",
        endpoint_url=local_cloud.api_url,
        region_name="us-east-1",
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )
    with pytest.raises(ClientError, match="not authorized to perform: iot:RegisterThing"):
        stranger.register_thing(templateBody=body(FROM_CSR))
