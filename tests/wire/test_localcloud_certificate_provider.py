"""Certificate provider: a Lambda signs CSRs; what it does wrong is told to the device."""

import io
import json
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography import x509

from tests.support.hang import SECONDS
from tests.wire.conftest import LocalCloud
from tests.wire.localcloud_registry import make_role, mark, until
from tests.wire.localcloud_sdk import (
    Credential,
    Fleet,
    IdentityV2,
    RejectedError,
    mqtt5_client,
    new_csr,
    prepare_fleet,
)

pytestmark = pytest.mark.wire
HANDLER = """
import datetime as dt, json, os, time
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

PEM = serialization.Encoding.PEM

def signed(csr, key, subject):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Own CA")])
    authority = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.timezone.utc)
    certificate = (x509.CertificateBuilder().subject_name(subject).issuer_name(name)
        .public_key(key).serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=7))
        .sign(authority, hashes.SHA256()))
    return certificate.public_bytes(PEM).decode()

def handler(event, context):
    "The subject's organization says what this authority does wrong."
    csr = x509.load_pem_x509_csr(event["certificateSigningRequest"].encode())
    what = csr.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value.split("-")[0]
    assert sorted(event) == ["certificateSigningRequest", "clientId", "principalId"], event
    assert event["clientId"].startswith("claim-") and len(event["principalId"]) == 64, event
    right = signed(csr, csr.public_key(), csr.subject)
    if what == "late":
        time.sleep(1)
    if what == "raises":
        raise ValueError("a bug")
    return {
        "empty": {},
        "text": {"certificatePem": "no certificate"},
        "number": {"certificatePem": 5},
        "chain": {"certificatePem": right + right},
        "key": {"certificatePem": signed(csr, ec.generate_private_key(ec.SECP256R1()).public_key(),
                                         csr.subject)},
        "subject": {"certificatePem": signed(csr, csr.public_key(), x509.Name([]))},
    }.get(what, {"certificatePem": right})
"""
OPERATIONS = ["CreateCertificateFromCsr"]


@pytest.fixture(scope="module")
def function(local_cloud: LocalCloud) -> str:
    code, name = io.BytesIO(), mark("sign")
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("sign.py", HANDLER)
    functions = local_cloud.client("lambda")
    made = functions.create_function(
        FunctionName=name, Runtime="python3.12", Handler="sign.handler", Timeout=30,
        Role=make_role(local_cloud, service="lambda"), Code={"ZipFile": code.getvalue()},
    )  # fmt: skip
    functions.add_permission(
        FunctionName=name, StatementId="iot", Action="lambda:InvokeFunction",
        Principal="iot.amazonaws.com",
    )  # fmt: skip
    return str(made["FunctionArn"])


@pytest.fixture(scope="module")
def fleet(local_cloud: LocalCloud) -> Fleet:
    return prepare_fleet(local_cloud)


@pytest.fixture(scope="module", autouse=True)
def patience(local_cloud: LocalCloud) -> Iterator[None]:
    """A Lambda may start slowly on a busy machine."""
    before = local_cloud.admin("GET", "settings")
    local_cloud.admin("PUT", "settings", {"certificate_provider_seconds": SECONDS})
    yield
    local_cloud.admin("PUT", "settings", before)


@pytest.fixture
def provider(local_cloud: LocalCloud, function: str) -> Iterator[str]:
    iot, name = local_cloud.client("iot"), mark("provider")
    iot.create_certificate_provider(
        certificateProviderName=name,
        lambdaFunctionArn=function,
        accountDefaultForOperations=OPERATIONS,
    )
    yield name
    iot.delete_certificate_provider(certificateProviderName=name)


def issuer(pem: str) -> str:
    return x509.load_pem_x509_certificate(pem.encode()).issuer.rfc4514_string()


def test_a_device_gets_a_certificate_of_its_owners_authority(
    local_cloud: LocalCloud, fleet: Fleet, provider: str
) -> None:
    serial = mark("SN")
    csr, key = new_csr(serial)
    with mqtt5_client(local_cloud, fleet.claim, f"claim-{serial}") as client:
        identity = IdentityV2(client)
        made = identity.create_from_csr(csr)
        identity.register(fleet.template, made.certificate_ownership_token, serial)
    assert issuer(made.certificate_pem) == "CN=Own CA"
    own = Credential(made.certificate_id, made.certificate_pem, key)
    with mqtt5_client(local_cloud, own, serial):
        pass
    assert provider


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("raises", "not executed successfully"),
        ("empty", "no certificatePem"),
        ("text", "not a certificate"),
        ("number", "no certificatePem"),
        ("chain", "more than one certificate"),
        ("key", "another key"),
        ("subject", "another subject"),
    ],
)
def test_a_provider_that_fails_is_told_to_the_device(
    local_cloud: LocalCloud, fleet: Fleet, provider: str, what: str, reason: str
) -> None:
    before = certificates(local_cloud)
    with (
        mqtt5_client(local_cloud, fleet.claim, f"claim-{provider}") as client,
        pytest.raises(RejectedError, match=reason),
    ):
        IdentityV2(client).create_from_csr(new_csr(f"{what}-1")[0])
    assert certificates(local_cloud) == before


def test_a_provider_that_is_late_is_told_to_the_device(
    local_cloud: LocalCloud, fleet: Fleet, provider: str
) -> None:
    before = local_cloud.admin("GET", "settings")
    local_cloud.admin("PUT", "settings", {"certificate_provider_seconds": 0.2})
    try:
        with (
            mqtt5_client(local_cloud, fleet.claim, f"claim-{provider}") as client,
            pytest.raises(RejectedError, match=r"did not answer within 0\.2 s"),
        ):
            IdentityV2(client).create_from_csr(new_csr("late-1")[0])
    finally:
        local_cloud.admin("PUT", "settings", before)


def test_a_provider_that_is_deleted_meanwhile_still_answers(
    local_cloud: LocalCloud, fleet: Fleet, function: str
) -> None:
    iot, name = local_cloud.client("iot"), mark("provider")
    iot.create_certificate_provider(
        certificateProviderName=name,
        lambdaFunctionArn=function,
        accountDefaultForOperations=OPERATIONS,
    )
    with (
        mqtt5_client(local_cloud, fleet.claim, f"claim-{name}") as client,
        ThreadPoolExecutor(1) as device,
    ):
        asked = device.submit(IdentityV2(client).create_from_csr, new_csr("late-1")[0])
        until(lambda: "PUBLISH" in sent_by(local_cloud, f"claim-{name}"))
        iot.delete_certificate_provider(certificateProviderName=name)
        assert issuer(asked.result(SECONDS).certificate_pem) == "CN=Own CA"


def sent_by(cloud: LocalCloud, client_id: str) -> list[str]:
    events = cloud.admin("GET", "wire")
    [number] = {one["connection"] for one in events if one.get("client_id") == client_id}
    sent = [one for one in events if one["connection"] == number and one["by"] == "device"]
    return [one.get("packet", "") for one in sent]


def certificates(cloud: LocalCloud) -> int:
    return len(cloud.client("iot").list_certificates(pageSize=250)["certificates"])


def test_without_a_provider_aws_signs_again(local_cloud: LocalCloud, fleet: Fleet) -> None:
    with mqtt5_client(local_cloud, fleet.claim, "claim-again") as client:
        made = IdentityV2(client).create_from_csr(new_csr("again")[0])
    assert issuer(made.certificate_pem) != "CN=Own CA"


def test_an_account_has_one_provider(local_cloud: LocalCloud, provider: str, function: str) -> None:
    iot = local_cloud.client("iot")
    with pytest.raises(iot.exceptions.LimitExceededException):
        iot.create_certificate_provider(
            certificateProviderName="second",
            lambdaFunctionArn=function,
            accountDefaultForOperations=OPERATIONS,
        )
    listed = iot.list_certificate_providers()["certificateProviders"]
    assert [one["certificateProviderName"] for one in listed] == [provider]
    described = iot.describe_certificate_provider(certificateProviderName=provider)
    assert described["lambdaFunctionArn"] == function
    iot.update_certificate_provider(
        certificateProviderName=provider, lambdaFunctionArn=f"{function}:1"
    )
    described = iot.describe_certificate_provider(certificateProviderName=provider)
    assert described["lambdaFunctionArn"] == f"{function}:1"


@pytest.mark.parametrize(
    "wrong", [{"lambdaFunctionArn": "arn:aws:lambda:us-east-1:1:function:f"}, {}], ids=str
)
def test_what_makes_no_provider_is_refused(local_cloud: LocalCloud, wrong: dict[str, Any]) -> None:
    iot = local_cloud.client("iot")
    arguments = {"lambdaFunctionArn": "f", "accountDefaultForOperations": OPERATIONS, **wrong}
    with pytest.raises(ClientError, match="lambdaFunctionArn"):
        iot.create_certificate_provider(certificateProviderName="wrong", **arguments)
    assert json.dumps(iot.list_certificate_providers()["certificateProviders"]) == "[]"


def test_a_provider_keeps_its_tags_until_it_is_deleted(
    local_cloud: LocalCloud, function: str
) -> None:
    iot, name = local_cloud.client("iot"), mark("provider")
    wanted = {
        "certificateProviderName": name, "lambdaFunctionArn": function,
        "accountDefaultForOperations": OPERATIONS,
    }  # fmt: skip
    tags = [{"Key": "owner", "Value": "me"}]
    arn = iot.create_certificate_provider(**wanted, tags=tags)["certificateProviderArn"]
    assert iot.list_tags_for_resource(resourceArn=arn)["tags"] == tags
    iot.untag_resource(resourceArn=arn, tagKeys=["owner"])
    iot.tag_resource(resourceArn=arn, tags=[{"Key": "b", "Value": "c"}])
    iot.delete_certificate_provider(certificateProviderName=name)
    assert iot.list_tags_for_resource(resourceArn=arn)["tags"] == []
