"""One device, two accounts, two Regions: the name that it dials says which is meant."""

import json
import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import boto3
import pytest
from awscrt.http import HttpProxyOptions

from localcloud.cli import main
from tests.wire.conftest import LocalCloud
from tests.wire.localcloud_registry import Authority, mark, new_authority, status_of
from tests.wire.localcloud_sdk import Credential, NotLetInError, mqtt5_client, publish

pytestmark = pytest.mark.wire


@dataclass(frozen=True)
class Scope:
    """An account in a Region, as ``localcloud env`` describes it."""

    cloud: LocalCloud
    environment: dict[str, str]

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            region_name=self.environment["AWS_DEFAULT_REGION"],
        )

    @property
    def name(self) -> str:
        return self.environment["DEVICE_ENDPOINT"].rpartition(":")[0]

    def register(self, leaf: Credential, topic: str, status: str = "ACTIVE") -> None:
        """Register a certificate without its CA, with a policy for one topic."""
        iot, name = self.client("iot"), mark("policy")
        made = iot.register_certificate_without_ca(
            certificatePem=leaf.certificate_pem, status=status
        )
        place = f"arn:aws:iot:{self.environment['AWS_DEFAULT_REGION']}:*"
        allow = {"Effect": "Allow", "Action": ["iot:Connect", "iot:Publish"]}
        statement = {**allow, "Resource": [f"{place}:client/*", f"{place}:topic/{topic}"]}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iot.create_policy(policyName=name, policyDocument=document)
        iot.attach_policy(policyName=name, target=made["certificateArn"])

    def publishes(self, leaf: Credential, topic: str, name: str = "", port: int = 8883) -> bool:
        """Connect by this scope's name, or another, and say whether ``topic`` is allowed."""
        dialled = replace(self.cloud, mqtt_host=name or self.name, mqtt_port=port)
        proxy = HttpProxyOptions(host_name="127.0.0.1", port=self.cloud.mqtt_port)
        with mqtt5_client(dialled, leaf, mark("device"), proxy=proxy) as device:
            return publish(device, topic) == 0


Open = Callable[[str, str], Scope]


@pytest.fixture(scope="module")
def factory() -> Authority:
    """Whoever made the devices; no account knows it."""
    return new_authority()


@pytest.fixture
def leaf(factory: Authority) -> Credential:
    return factory.issue({"CN": mark("SN")})


@pytest.fixture
def scope_of(local_cloud: LocalCloud, capsys: pytest.CaptureFixture[str]) -> Open:
    def open_scope(account: str, region: str) -> Scope:
        state = str(local_cloud.folder.path)
        main(["env", "--json", "--state", state, "--account", account, "--region", region])
        return Scope(local_cloud, json.loads(capsys.readouterr().out))

    return open_scope


@pytest.fixture
def home(scope_of: Open) -> Scope:
    return scope_of("111111111111", "us-east-1")


@pytest.fixture
def abroad(scope_of: Open) -> Scope:
    return scope_of("222222222222", "eu-west-1")


# --- the names -----------------------------------------------------------------------


def test_describe_endpoint_tells_the_name_of_the_environment(home: Scope, abroad: Scope) -> None:
    for scope in (home, abroad):
        told = scope.client("iot").describe_endpoint(endpointType="iot:Data-ATS")
        assert told["endpointAddress"] == scope.name
    assert home.name != abroad.name
    assert abroad.name.endswith("-ats.iot.eu-west-1.localhost")


def test_describe_endpoint_of_other_types(home: Scope) -> None:
    other = home.client("iot").describe_endpoint(endpointType="iot:CredentialProvider")
    assert ".credentials.iot." in other["endpointAddress"]


@pytest.mark.parametrize("domain", ["localhost", "amazonaws.com"])
@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1", "ap-southeast-2"])
def test_the_server_proves_every_name(local_cloud: LocalCloud, region: str, domain: str) -> None:
    context = ssl.create_default_context(cafile=local_cloud.root_ca)
    address = (local_cloud.mqtt_host, local_cloud.mqtt_port)
    with (
        socket.create_connection(address, 5) as raw,
        context.wrap_socket(raw, server_hostname=f"abc-ats.iot.{region}.{domain}"),
    ):
        pass


@pytest.mark.parametrize("option", ["--account=12", "--region=Ireland"])
def test_a_scope_that_cannot_be_is_misuse(local_cloud: LocalCloud, option: str) -> None:
    with pytest.raises(SystemExit) as exited:
        main(["env", "--state", str(local_cloud.folder.path), option])
    assert exited.value.code == 2


# --- the device, untouched, in either ------------------------------------------------


def test_one_certificate_in_two_accounts(home: Scope, abroad: Scope, leaf: Credential) -> None:
    home.register(leaf, "at/home")
    abroad.register(leaf, "abroad")
    assert home.publishes(leaf, "at/home")
    assert not home.publishes(leaf, "abroad")
    assert abroad.publishes(leaf, "abroad")
    assert not abroad.publishes(leaf, "at/home")
    found = home.client("iot").describe_certificate(certificateId=leaf.certificate_id)
    assert found["certificateDescription"]["certificateMode"] == "SNI_ONLY"


def test_one_certificate_in_two_regions_of_an_account(
    home: Scope, scope_of: Open, leaf: Credential
) -> None:
    west = scope_of("111111111111", "us-west-2")
    home.register(leaf, "east")
    west.register(leaf, "west")
    assert home.publishes(leaf, "east")
    assert west.publishes(leaf, "west")
    assert not west.publishes(leaf, "east")


@pytest.mark.parametrize("port", [8883, 443])
def test_by_the_name_that_aws_would_have(home: Scope, leaf: Credential, port: int) -> None:
    home.register(leaf, "any")
    name = home.name.replace(".localhost", ".amazonaws.com")
    assert home.publishes(leaf, "any", name=name, port=port)


def test_the_usual_account_by_its_name(
    local_cloud: LocalCloud, scope_of: Open, leaf: Credential
) -> None:
    usual = scope_of("000000000000", "us-east-1")
    usual.register(leaf, "any")
    assert usual.publishes(leaf, "any")
    assert usual.publishes(leaf, "any", name="localhost")


# --- the wrong one -------------------------------------------------------------------


def test_an_account_that_does_not_know_it_refuses(
    home: Scope, abroad: Scope, scope_of: Open, leaf: Credential
) -> None:
    home.register(leaf, "any")
    for stranger in (abroad, scope_of("111111111111", "us-west-2")):
        with pytest.raises(NotLetInError):
            stranger.publishes(leaf, "any")


@pytest.mark.parametrize("status", ["INACTIVE", "REVOKED"])
def test_each_account_has_its_own_status(
    home: Scope, abroad: Scope, leaf: Credential, status: str
) -> None:
    home.register(leaf, "any")
    abroad.register(leaf, "any", status=status)
    assert home.publishes(leaf, "any")
    with pytest.raises(NotLetInError):
        abroad.publishes(leaf, "any")


def test_localhost_means_the_only_account_and_not_one_of_two(
    home: Scope, abroad: Scope, leaf: Credential
) -> None:
    home.register(leaf, "any")
    assert home.publishes(leaf, "any", name="localhost")
    abroad.register(leaf, "any")
    with pytest.raises(NotLetInError):
        home.publishes(leaf, "any", name="localhost")


def test_a_claim_of_another_account_is_not_let_in(home: Scope, abroad: Scope) -> None:
    iot, name = home.client("iot"), mark("template")
    body = {
        "Resources": {
            "certificate": {
                "Type": "AWS::IoT::Certificate",
                "Properties": {
                    "CertificateId": {"Ref": "AWS::IoT::Certificate::Id"},
                    "Status": "Active",
                },
            }
        }
    }
    iot.create_provisioning_template(
        templateName=name,
        templateBody=json.dumps(body),
        provisioningRoleArn="arn:aws:iam::111111111111:role/any",
    )
    made = iot.create_provisioning_claim(templateName=name)
    claim = Credential(made["certificateId"], made["certificatePem"], made["keyPair"]["PrivateKey"])
    assert not home.publishes(claim, "any")
    with pytest.raises(NotLetInError):
        abroad.publishes(claim, "any")


# --- just in time, in several accounts -----------------------------------------------


@pytest.mark.parametrize(
    "other",
    [("222222222222", "us-east-1"), ("111111111111", "eu-west-1")],
    ids=["account", "region"],
)
def test_one_authority_in_two_places_registers_where_the_device_dials(
    home: Scope, scope_of: Open, other: tuple[str, str]
) -> None:
    authority, abroad = new_authority(), scope_of(*other)
    for scope in (home, abroad):
        scope.client("iot").register_ca_certificate(
            caCertificate=authority.pem,
            certificateMode="SNI_ONLY",
            setAsActive=True,
            allowAutoRegistration=True,
        )
    leaf = authority.issue({"CN": mark("SN")})

    def knock(dialled: Scope) -> list[str]:
        with pytest.raises(NotLetInError):
            dialled.publishes(leaf, "any")
        return [status_of(each.client("iot"), leaf.certificate_id) for each in (home, abroad)]

    assert knock(home) == ["PENDING_ACTIVATION", "none"]
    assert knock(abroad) == ["PENDING_ACTIVATION", "PENDING_ACTIVATION"]


# --- the proxy -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked",
    [
        b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
        b"CONNECT iot.us-east-1.amazonaws.com:443 HTTP/1.1\r\n\r\n",
        b"CONNECT localhost HTTP/1.1\r\n\r\n",
        b"COPY / HTTP/1.1\r\n\r\n",
    ],
)
def test_the_tunnel_leads_nowhere_else(local_cloud: LocalCloud, asked: bytes) -> None:
    address = (local_cloud.mqtt_host, local_cloud.mqtt_port)
    with socket.create_connection(address, 5) as client:
        client.sendall(asked[:20])
        client.sendall(asked[20:])
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize("said", [b"C", b"CONNECT " + b"x" * 10_000, b""])
def test_half_a_request_is_no_harm(local_cloud: LocalCloud, said: bytes) -> None:
    address = (local_cloud.mqtt_host, local_cloud.mqtt_port)
    with socket.create_connection(address, 5) as client:
        client.sendall(said)
        with suppress(OSError):  # closed before it had read everything
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b"", "closed"


def test_a_client_that_vanishes_is_no_harm(local_cloud: LocalCloud) -> None:
    address = (local_cloud.mqtt_host, local_cloud.mqtt_port)
    for said in (b"", b"CONNECT "):
        client = socket.create_connection(address, 5)
        client.sendall(said)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()  # with a reset
    with socket.create_connection(address, 5) as client:
        client.sendall(b"CONNECT localhost:8883 HTTP/1.1\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
