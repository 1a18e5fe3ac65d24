"""AWS's own SDK clients, as a device uses them, behind one small interface.

Nothing here knows the local AWS: it speaks boto3 and awsiotsdk only, as it would to AWS.
"""

import json
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from awscrt import mqtt, mqtt5
from awscrt.http import HttpProxyOptions
from awscrt.mqtt_request_response import ClientOptions
from awsiot import V2ServiceException, iotidentity, mqtt5_client_builder, mqtt_connection_builder
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.hang import SECONDS
from tests.wire.conftest import LocalCloud

QOS = mqtt.QoS.AT_LEAST_ONCE
CREATE_TOPICS = ("certificates/create/json", "certificates/create-from-csr/json")


@dataclass(frozen=True)
class Credential:
    """A certificate and its key, as PEM."""

    certificate_id: str
    certificate_pem: str
    private_key_pem: str


@dataclass(frozen=True)
class Fleet:
    """What `prepare_fleet` made in the cloud."""

    template: str
    thing_policy: str
    claim: Credential


class RejectedError(Exception):
    """A reply on ``.../rejected``."""

    def __init__(self, reply: Any) -> None:
        super().__init__(f"{reply.status_code} {reply.error_code}: {reply.error_message}")
        self.status_code: int = reply.status_code
        self.error_code: str = reply.error_code
        self.error_message: str = reply.error_message


class NotLetInError(Exception):
    """A connection that did not come about; ``reason`` is the CONNACK's, if there was one."""

    def __init__(self, text: str, reason: int | None = None) -> None:
        super().__init__(text)
        self.reason = reason


# --- the cloud side ------------------------------------------------------------------


def policy(*statements: tuple[str, list[str]]) -> str:
    """Return an IoT policy document that allows (actions, resources below the account)."""
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": [f"iot:{action}" for action in actions.split()],
                    "Resource": [f"arn:aws:iot:us-east-1:000000000000:{name}" for name in names],
                }
                for actions, names in statements
            ],
        }
    )


def claim_policy(template: str, creates: tuple[str, ...] = CREATE_TOPICS) -> str:
    """Return the least a claim needs: its client ids, the create topics given, one template."""
    topics = [*creates, f"provisioning-templates/{template}/provision/json"]
    replies = [f"{topic}/{kind}" for topic in topics for kind in ("accepted", "rejected")]
    return policy(
        ("Connect", ["client/claim-*"]),
        ("Publish", [f"topic/$aws/{topic}" for topic in topics]),
        ("Receive", [f"topic/$aws/{reply}" for reply in replies]),
        ("Subscribe", [f"topicfilter/$aws/{reply}" for reply in replies]),
    )


THING_POLICY = policy(
    ("Connect", ["client/${iot:Connection.Thing.ThingName}"]),
    ("Publish", ["topic/dt/${iot:Connection.Thing.ThingName}/telemetry"]),
)


def prepare_fleet(cloud: LocalCloud, creates: tuple[str, ...] = CREATE_TOPICS) -> Fleet:
    """Make role, policies, template and claim, as a station does."""
    mark = uuid.uuid4().hex[:8]
    iam, iot = cloud.client("iam"), cloud.client("iot")
    trust = {"Effect": "Allow", "Principal": {"Service": "iot.amazonaws.com"}}
    role = iam.create_role(
        RoleName=f"role-{mark}",
        AssumeRolePolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": [{**trust, "Action": "sts:AssumeRole"}]}
        ),
    )["Role"]
    iam.attach_role_policy(
        RoleName=role["RoleName"],
        PolicyArn="arn:aws:iam::aws:policy/service-role/AWSIoTThingsRegistration",
    )
    thing_policy, template = f"thing-{mark}", f"template-{mark}"
    iot.create_policy(policyName=thing_policy, policyDocument=THING_POLICY)
    iot.create_provisioning_template(
        templateName=template,
        enabled=True,
        provisioningRoleArn=role["Arn"],
        templateBody=_template_body(thing_policy),
    )
    claim = add_certificate(cloud, claim_policy(template, creates))
    return Fleet(template, thing_policy, claim)


def add_certificate(cloud: LocalCloud, document: str) -> Credential:
    """Make an ACTIVE certificate with a policy of its own."""
    iot = cloud.client("iot")
    name = f"policy-{uuid.uuid4().hex[:8]}"
    iot.create_policy(policyName=name, policyDocument=document)
    made = iot.create_keys_and_certificate(setAsActive=True)
    iot.attach_policy(policyName=name, target=made["certificateArn"])
    return Credential(made["certificateId"], made["certificatePem"], made["keyPair"]["PrivateKey"])


def _template_body(thing_policy: str) -> str:
    parameter = {"Type": "String"}
    resources = {
        "thing": ("AWS::IoT::Thing", {"ThingName": {"Ref": "SerialNumber"}}),
        "certificate": (
            "AWS::IoT::Certificate",
            {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "Active"},
        ),
        "policy": ("AWS::IoT::Policy", {"PolicyName": thing_policy}),
    }
    return json.dumps(
        {
            "Parameters": {"SerialNumber": parameter, "AWS::IoT::Certificate::Id": parameter},
            "Resources": {
                name: {"Type": kind, "Properties": properties}
                for name, (kind, properties) in resources.items()
            },
            "DeviceConfiguration": {"interval": "60"},
        }
    )


def new_csr(serial: str) -> tuple[str, str]:
    """Return a CSR for ``serial`` and its P-256 key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = [(NameOID.COMMON_NAME, serial), (NameOID.ORGANIZATION_NAME, "Example")]
    csr = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(*name) for name in names]))
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return csr.public_bytes(serialization.Encoding.PEM).decode(), key_pem.decode()


# --- the device side -----------------------------------------------------------------


class Identity(Protocol):
    """The three requests of fleet provisioning, each answered or rejected."""

    def create_from_csr(self, csr: str) -> Any: ...
    def create_keys(self) -> Any: ...
    def register(self, template: str, token: str | None, serial: str) -> Any: ...


@contextmanager
def mqtt5_client(
    cloud: LocalCloud,
    credential: Credential,
    client_id: str,
    dropped: "Future[None] | None" = None,
    proxy: HttpProxyOptions | None = None,
) -> Iterator[mqtt5.Client]:
    """Connect with MQTT 5, once; ``dropped`` is set when the cloud ends the connection.

    Raises:
        NotLetInError: the cloud closed or refused.
    """
    connected: Future[None] = Future()
    stopped: Future[None] = Future()

    def failed(event: mqtt5.LifecycleConnectFailureData) -> None:
        packet = event.connack_packet
        if not connected.done():
            reason = int(packet.reason_code) if packet else None
            connected.set_exception(NotLetInError(str(event.exception), reason))

    def succeeded(_event: object) -> None:
        if not connected.done():
            connected.set_result(None)

    def disconnected(_event: object) -> None:
        if dropped is not None and not dropped.done():
            dropped.set_result(None)

    client = mqtt5_client_builder.mtls_from_bytes(
        cert_bytes=credential.certificate_pem.encode(),
        pri_key_bytes=credential.private_key_pem.encode(),
        ca_bytes=cloud.root_ca.read_bytes(),
        endpoint=cloud.mqtt_host,
        port=cloud.mqtt_port,
        client_id=client_id,
        http_proxy_options=proxy,
        on_lifecycle_connection_success=succeeded,
        on_lifecycle_connection_failure=failed,
        on_lifecycle_disconnection=disconnected,
        on_lifecycle_stopped=lambda _event: stopped.set_result(None),
    )
    client.start()
    try:
        connected.result(SECONDS)
        yield client
    finally:
        client.stop()
        stopped.result(SECONDS)


@contextmanager
def mqtt311_connection(
    cloud: LocalCloud, credential: Credential, client_id: str
) -> Iterator[mqtt.Connection]:
    """Connect with MQTT 3.1.1.

    Raises:
        awscrt.exceptions.AwsCrtError: the cloud closed or refused.
    """
    connection = mqtt_connection_builder.mtls_from_bytes(
        cert_bytes=credential.certificate_pem.encode(),
        pri_key_bytes=credential.private_key_pem.encode(),
        ca_bytes=cloud.root_ca.read_bytes(),
        endpoint=cloud.mqtt_host,
        port=cloud.mqtt_port,
        client_id=client_id,
        clean_session=True,
    )
    connection.connect().result(SECONDS)
    try:
        yield connection
    finally:
        connection.disconnect().result(SECONDS)


def publish(client: mqtt5.Client, topic: str, payload: bytes = b"{}") -> int:
    """Publish at QoS 1 over MQTT 5; return the PUBACK's reason code."""
    done = client.publish(
        mqtt5.PublishPacket(topic=topic, payload=payload, qos=mqtt5.QoS.AT_LEAST_ONCE)
    ).result(SECONDS)
    return int(done.puback.reason_code)


class IdentityV2:
    """`IotIdentityClientV2`, over MQTT 5 or 3.1.1."""

    def __init__(self, client: Any, seconds: float = SECONDS) -> None:
        options = ClientOptions(
            max_request_response_subscriptions=2,
            max_streaming_subscriptions=2,
            operation_timeout_in_seconds=seconds,
        )
        self._client = iotidentity.IotIdentityClientV2(client, options)

    def create_from_csr(self, csr: str) -> Any:
        request = iotidentity.CreateCertificateFromCsrRequest(certificate_signing_request=csr)
        return _answer(self._client.create_certificate_from_csr(request))

    def create_keys(self) -> Any:
        request = iotidentity.CreateKeysAndCertificateRequest()
        return _answer(self._client.create_keys_and_certificate(request))

    def register(self, template: str, token: str | None, serial: str, **parameters: str) -> Any:
        request = _register_request(template, token, serial, **parameters)
        return _answer(self._client.register_thing(request))


class IdentityV1:
    """`IotIdentityClient`, over MQTT 3.1.1."""

    def __init__(self, connection: mqtt.Connection) -> None:
        self._client = iotidentity.IotIdentityClient(connection)

    def create_from_csr(self, csr: str) -> Any:
        return self._ask(
            "create_certificate_from_csr",
            iotidentity.CreateCertificateFromCsrRequest(certificate_signing_request=csr),
            iotidentity.CreateCertificateFromCsrSubscriptionRequest(),
        )

    def create_keys(self) -> Any:
        return self._ask(
            "create_keys_and_certificate",
            iotidentity.CreateKeysAndCertificateRequest(),
            iotidentity.CreateKeysAndCertificateSubscriptionRequest(),
        )

    def register(self, template: str, token: str | None, serial: str) -> Any:
        return self._ask(
            "register_thing",
            _register_request(template, token, serial),
            iotidentity.RegisterThingSubscriptionRequest(template_name=template),
        )

    def _ask(self, operation: str, request: object, subscription: object) -> Any:
        answer: Future[Any] = Future()
        ways: dict[str, Callable[[Any], None]] = {
            "accepted": answer.set_result,
            "rejected": lambda reply: answer.set_exception(RejectedError(reply)),
        }
        for way, callback in ways.items():
            subscribe = getattr(self._client, f"subscribe_to_{operation}_{way}")
            subscribe(subscription, QOS, callback)[0].result(SECONDS)
        getattr(self._client, f"publish_{operation}")(request, QOS).result(SECONDS)
        return answer.result(SECONDS)


def _register_request(
    template: str, token: str | None, serial: str, **parameters: str
) -> iotidentity.RegisterThingRequest:
    return iotidentity.RegisterThingRequest(
        template_name=template,
        certificate_ownership_token=token,
        parameters={"SerialNumber": serial, **parameters},
    )


def _answer(future: "Future[Any]") -> Any:
    try:
        return future.result(SECONDS)
    except V2ServiceException as error:
        if error.modeled_error is None:
            raise
        raise RejectedError(error.modeled_error) from error
