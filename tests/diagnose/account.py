"""A bench in an account of the local AWS: devices that work, so that one thing can be spoiled."""

import json
import socket
import ssl
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from device.identity.certificates import certificate_id
from device.identity.csr import subject_name
from factory.account.cloud import Cloud
from factory.diagnosis.explanation import Explanation, explain
from factory.diagnosis.subject import Asked, Subject
from tests.support.certificates import new_key, pem_of
from tests.support.hang import SECONDS
from tests.support.production_line import ProductionLine
from tests.support.station_cloud import REGION
from tests.wire.localcloud_sdk import Credential

_NUMBERS: Final = count(1)
BY_THING: Final = "${iot:Connection.Thing.ThingName}"


@dataclass(frozen=True)
class Registered:
    """A thing with an ACTIVE certificate and a policy, all named after it."""

    name: str
    arn: str
    credential: Credential

    @property
    def certificate_id(self) -> str:
        return self.credential.certificate_id

    @property
    def pem(self) -> bytes:
        return self.credential.certificate_pem.encode()


@dataclass
class Plant:
    """One cause planted in an account; what it changed for others is undone at the end."""

    line: ProductionLine
    undo: ExitStack
    cloud: Cloud | None = None
    """Another view of the account, such as one with fewer rights."""
    now: datetime | None = None
    sees_the_wire: bool = False

    @property
    def iot(self) -> Any:
        return self.line.client("iot")

    def name(self) -> str:
        return f"DX-{next(_NUMBERS)}"

    def statement(self, action: str, resource: str, effect: str = "Allow") -> dict[str, Any]:
        arn = f"arn:aws:iot:{REGION}:{self.line.account}:{resource}"
        return {"Effect": effect, "Action": f"iot:{action}", "Resource": arn}

    def usual(self, name: str = BY_THING) -> list[dict[str, Any]]:
        return [
            self.statement("Connect", f"client/{name}"),
            self.statement("Publish", f"topic/dt/{name}/telemetry"),
        ]

    def policy(self, name: str, statements: list[dict[str, Any]]) -> str:
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        self.iot.create_policy(policyName=name, policyDocument=document)
        return name

    def device(
        self, *statements: dict[str, Any], thing: bool = True, policy: bool = True,
        exclusive: bool = False,
    ) -> Registered:  # fmt: skip
        """Register a device that works, unless something is left out."""
        kind = "EXCLUSIVE_THING" if exclusive else "NON_EXCLUSIVE_THING"
        name = self.name()
        made = self.iot.create_keys_and_certificate(setAsActive=True)
        arn = made["certificateArn"]
        if thing:
            self.iot.create_thing(thingName=name)
            self.iot.attach_thing_principal(thingName=name, principal=arn, thingPrincipalType=kind)
        if policy:
            self.policy(name, list(statements) or self.usual())
            self.iot.attach_policy(policyName=name, target=arn)
        key = made["keyPair"]["PrivateKey"]
        return Registered(name, arn, Credential(made["certificateId"], made["certificatePem"], key))

    def authority(self, **registration: Any) -> "Authority":
        """Make a CA, and register it unless ``registered`` is false."""
        made = Authority.new(self.name(), registration.pop("days", 400))
        if registration.pop("registered", True):
            answer = self.iot.register_ca_certificate(
                caCertificate=made.pem.decode(), certificateMode="SNI_ONLY", setAsActive=True,
                **{"allowAutoRegistration": True, **registration},
            )  # fmt: skip
            self.undo.callback(self._forget_ca, answer["certificateId"])
        return made

    def _forget_ca(self, identifier: str) -> None:
        with suppress(Exception):
            self.iot.update_ca_certificate(certificateId=identifier, newStatus="INACTIVE")
            self.iot.delete_ca_certificate(certificateId=identifier)

    def touch(self, credential: Credential) -> None:
        """Connect once over TLS, as the first connection of a just-in-time device."""
        context = ssl.create_default_context(cafile=str(self.line.cloud.root_ca))
        with tempfile.TemporaryDirectory() as folder:
            pem = Path(folder) / "device.pem"
            pem.write_text(credential.certificate_pem + credential.private_key_pem)
            context.load_cert_chain(pem)
        where = (self.line.cloud.mqtt_host, self.line.cloud.mqtt_port)
        host = self.iot.describe_endpoint(endpointType="iot:Data-ATS")["endpointAddress"]
        with (
            socket.create_connection(where, timeout=SECONDS) as raw,
            suppress(OSError),
            context.wrap_socket(raw, server_hostname=host) as tls,
        ):
            tls.sendall(b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03dev")
            tls.recv(4)

    def explained(self, asked: Asked) -> Explanation:
        local_aws = self.line.cloud.folder.path if self.sees_the_wire else None
        return explain(Subject(self.cloud or self.line.aws, asked, self.now), local_aws)


@dataclass(frozen=True)
class Authority:
    """A CA of somebody's own."""

    name: x509.Name
    pem: bytes
    _key: Any = field(repr=False)

    @property
    def certificate_id(self) -> str:
        return certificate_id(self.pem)

    @classmethod
    def new(cls, name: str, days: int = 400) -> "Authority":
        key, subject = new_key(), subject_name({"common_name": f"CA of {name}"})
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )  # fmt: skip
        return cls(subject, made.public_bytes(Encoding.PEM), key)

    def issue(
        self, fields: dict[str, str], *, begin: timedelta = timedelta(hours=-1),
        end: timedelta = timedelta(days=300),
    ) -> Credential:  # fmt: skip
        """Return a device's certificate and its key."""
        key, now = new_key(), datetime.now(UTC)
        made = (
            x509.CertificateBuilder().subject_name(subject_name(fields)).issuer_name(self.name)
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now + begin).not_valid_after(now + end)
            .sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)
        )  # fmt: skip
        return Credential(certificate_id(made), made.decode(), pem_of(key).decode())


@dataclass(frozen=True)
class AccountCause:
    """What is planted in an account, and how explain has to name it."""

    name: str
    code: str
    words: str
    """Stand in the evidence."""
    plant: Callable[[Plant], Asked]
    is_prepared: bool = False
    """Whether it is something that the station prepared, which takes some seconds."""
