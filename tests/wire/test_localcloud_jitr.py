"""Just-in-time registration: an event, a rule, and a Lambda that decides."""

import io
import json
import socket
import ssl
import zipfile
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from awscrt import mqtt5
from awscrt.exceptions import AwsCrtError

from tests.support.hang import SECONDS
from tests.wire.conftest import LocalCloud
from tests.wire.localcloud_registry import (
    DEVICE_POLICY,
    Authority,
    knock,
    make_role,
    mark,
    new_authority,
    register_ca,
    status_of,
    until,
)
from tests.wire.localcloud_sdk import (
    Credential,
    NotLetInError,
    add_certificate,
    mqtt5_client,
    mqtt311_connection,
    policy,
    publish,
)

pytestmark = pytest.mark.wire
EVENTS = "$aws/events/certificates/registered"
HANDLER = '''
import os
import boto3

def handler(event, context):
    """Activate a device whose serial is allowed; what it connects as is its serial."""
    iot, table = boto3.client("iot"), boto3.resource("dynamodb").Table(os.environ["TABLE"])
    certificate, serial = event["certificateId"], event["clientid"]
    if "Item" not in table.get_item(Key={"serial": serial}):
        iot.update_certificate(certificateId=certificate, newStatus="INACTIVE")
        return
    arn = iot.describe_certificate(certificateId=certificate)["certificateDescription"]
    iot.create_thing(thingName=serial)
    iot.attach_policy(policyName=os.environ["POLICY"], target=arn["certificateArn"])
    iot.attach_thing_principal(thingName=serial, principal=arn["certificateArn"])
    iot.update_certificate(certificateId=certificate, newStatus="ACTIVE")
'''


@pytest.fixture(scope="module")
def iot(local_cloud: LocalCloud) -> Any:
    return local_cloud.client("iot")


# --- the event -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def listener(local_cloud: LocalCloud) -> Credential:
    return add_certificate(local_cloud, policy(("Connect Subscribe Receive Publish", ["*"])))


def next_event(
    cloud: LocalCloud, listener: Credential, ca_id: str, leaf: Credential, client_id: str
) -> dict[str, Any]:
    """Return what is published when ``leaf`` knocks."""
    event: Future[dict[str, Any]] = Future()
    with mqtt311_connection(cloud, listener, mark("listener")) as connection:
        subscribed, _packet = connection.subscribe(
            f"{EVENTS}/{ca_id}",
            mqtt5.QoS.AT_LEAST_ONCE,
            callback=lambda *_, payload, **_more: event.set_result(json.loads(payload)),
        )
        subscribed.result(SECONDS)
        knock(cloud, leaf, client_id)
        return event.result(SECONDS)


def test_the_event_comes_on_every_try_while_it_is_pending(
    local_cloud: LocalCloud, iot: Any, listener: Credential
) -> None:
    authority = new_authority()
    ca_id = register_ca(iot, authority)
    leaf = authority.issue({"CN": mark("SN")})
    first = next_event(local_cloud, listener, ca_id, leaf, "any")
    assert first["certificateId"] == leaf.certificate_id
    assert first["caCertificateId"] == ca_id
    assert first["certificateStatus"] == "PENDING_ACTIVATION"
    assert first["awsAccountId"] == "000000000000"
    assert first["certificateRegistrationTimestamp"] is None
    second = next_event(local_cloud, listener, ca_id, leaf, "any")
    assert second["certificateId"] == leaf.certificate_id
    assert second["certificateRegistrationTimestamp"] is not None
    assert status_of(iot, leaf.certificate_id) == "PENDING_ACTIVATION"


@pytest.mark.parametrize(
    "options", [{"setAsActive": False}, {"allowAutoRegistration": False}], ids=["inactive", "off"]
)
def test_a_ca_that_is_not_on_registers_nothing(
    local_cloud: LocalCloud, iot: Any, options: dict[str, bool]
) -> None:
    authority = new_authority()
    register_ca(iot, authority, **options)
    leaf = authority.issue({"CN": mark("SN")})
    knock(local_cloud, leaf, "any")
    assert status_of(iot, leaf.certificate_id) == "none"


def test_a_ca_without_a_template_makes_no_thing(local_cloud: LocalCloud, iot: Any) -> None:
    authority, name = new_authority(), mark("SN")
    register_ca(iot, authority)
    knock(local_cloud, authority.issue({"CN": name}), name)
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.describe_thing(thingName=name)


def test_a_handshake_alone_registers_nothing(
    local_cloud: LocalCloud, iot: Any, tmp_path: Path
) -> None:
    authority = new_authority()
    register_ca(iot, authority)
    leaf = authority.issue({"CN": mark("SN")})
    pem = tmp_path / "leaf.pem"
    pem.write_text(leaf.certificate_pem + leaf.private_key_pem)
    context = ssl.create_default_context(cafile=local_cloud.root_ca)
    context.load_cert_chain(pem)
    address = (local_cloud.mqtt_host, local_cloud.mqtt_port)
    with (
        socket.create_connection(address, SECONDS) as raw,
        context.wrap_socket(raw, server_hostname=local_cloud.mqtt_host) as connection,
    ):
        connection.send(b"\xc0\x00")  # PINGREQ, and no CONNECT before it
        assert connection.recv(1) == b"", "closed"
    assert status_of(iot, leaf.certificate_id) == "none"


# --- the rule and the Lambda ---------------------------------------------------------


@dataclass(frozen=True)
class AllowList:
    """The factory's authority, and the table that the Lambda looks into."""

    authority: Authority
    table: Any
    name: str

    def allow(self, serial: str) -> None:
        self.table.put_item(TableName=self.name, Item={"serial": {"S": serial}})


@pytest.fixture(scope="module")
def allow_list(local_cloud: LocalCloud, iot: Any) -> Iterator[AllowList]:
    name, ca = mark("jitr"), new_authority()
    iot.create_policy(policyName=name, policyDocument=DEVICE_POLICY)
    dynamodb = local_cloud.client("dynamodb")
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "serial", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "serial", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    function = make_function(local_cloud, name)
    topic = f"'{EVENTS}/{register_ca(iot, ca)}'"
    rule = {
        "sql": " ".join(["SELECT *, clientid() as clientid FROM", topic]),
        "actions": [{"lambda": {"functionArn": function}}],
    }
    iot.create_topic_rule(ruleName=name.replace("-", "_"), topicRulePayload=rule)
    yield AllowList(ca, dynamodb, name)
    iot.delete_topic_rule(ruleName=name.replace("-", "_"))


def make_function(cloud: LocalCloud, name: str) -> str:
    """Deploy `HANDLER` under a role with the rights that it needs and no others."""
    actions = [
        "iot:UpdateCertificate",
        "iot:DescribeCertificate",
        "iot:CreateThing",
        "iot:AttachPolicy",
        "iot:AttachThingPrincipal",
        "dynamodb:GetItem",
    ]
    rights = [{"Effect": "Allow", "Action": actions, "Resource": "*"}]
    role = make_role(cloud, inline=rights, service="lambda")
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("registration.py", HANDLER)
    made = cloud.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.12",
        Role=role,
        Handler="registration.handler",
        Code={"ZipFile": code.getvalue()},
        Environment={"Variables": {"TABLE": name, "POLICY": name}},
        Timeout=30,
    )
    arn: str = made["FunctionArn"]
    allow_rule(cloud, name)
    return arn


def allow_rule(cloud: LocalCloud, name: str) -> None:
    """Let the function's own rule, and nobody else, invoke it."""
    cloud.client("lambda").add_permission(
        FunctionName=name,
        StatementId="rule",
        Action="lambda:InvokeFunction",
        Principal="iot.amazonaws.com",
        SourceArn=f"arn:aws:iot:us-east-1:000000000000:rule/{name.replace('-', '_')}",
        SourceAccount="000000000000",
    )


def test_a_serial_on_the_list_is_let_in(
    local_cloud: LocalCloud, iot: Any, allow_list: AllowList
) -> None:
    serial = mark("SN")
    allow_list.allow(serial)
    leaf = allow_list.authority.issue({"CN": serial})
    knock(local_cloud, leaf, serial)
    until(lambda: status_of(iot, leaf.certificate_id), "ACTIVE")
    with mqtt5_client(local_cloud, leaf, serial) as device:
        assert publish(device, f"dt/{serial}/telemetry") == 0


def test_the_client_id_of_mqtt_5_is_seen_as_well(
    local_cloud: LocalCloud, iot: Any, allow_list: AllowList
) -> None:
    serial = mark("SN")
    allow_list.allow(serial)
    leaf = allow_list.authority.issue({"CN": "another"})
    with pytest.raises(NotLetInError), mqtt5_client(local_cloud, leaf, serial):
        pass
    until(lambda: status_of(iot, leaf.certificate_id), "ACTIVE")
    assert iot.list_thing_principals(thingName=serial)["principals"]


def test_a_serial_that_is_not_on_the_list_ends_inactive(
    local_cloud: LocalCloud, iot: Any, allow_list: AllowList
) -> None:
    serial = mark("SN")
    leaf = allow_list.authority.issue({"CN": serial})
    knock(local_cloud, leaf, serial)
    until(lambda: status_of(iot, leaf.certificate_id), "INACTIVE")
    with pytest.raises(AwsCrtError), mqtt311_connection(local_cloud, leaf, serial):
        pass
    assert status_of(iot, leaf.certificate_id) == "INACTIVE"


@pytest.mark.parametrize("permission", ["none", "another rule's"])
def test_a_rule_that_may_not_invoke_its_lambda_decides_nothing(
    local_cloud: LocalCloud, iot: Any, allow_list: AllowList, permission: str
) -> None:
    serial, functions = mark("SN"), local_cloud.client("lambda")
    functions.remove_permission(FunctionName=allow_list.name, StatementId="rule")
    if permission != "none":
        functions.add_permission(
            FunctionName=allow_list.name, StatementId="another", Action="lambda:InvokeFunction",
            Principal="iot.amazonaws.com",
            SourceArn="arn:aws:iot:us-east-1:000000000000:rule/another",
        )  # fmt: skip
    leaf = allow_list.authority.issue({"CN": serial})

    knock(local_cloud, leaf, serial)
    knock(local_cloud, leaf, serial)

    assert status_of(iot, leaf.certificate_id) == "PENDING_ACTIVATION"
    allow_rule(local_cloud, allow_list.name)
    knock(local_cloud, leaf, serial)
    until(lambda: status_of(iot, leaf.certificate_id), "INACTIVE")
