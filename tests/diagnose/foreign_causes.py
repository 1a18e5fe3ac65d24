"""Clients that others wrote, each with one thing wrong, against the local AWS."""

import asyncio
import queue
import ssl
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiomqtt
from awscrt import mqtt
from awscrt.exceptions import AwsCrtError
from awsiot import mqtt_connection_builder
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from factory.diagnosis.subject import Asked
from tests.diagnose.account import Plant, Registered
from tests.support.hang import SECONDS
from tests.wire.localcloud_sdk import Credential

Act = Callable[[Client], object]


def context_of(plant: Plant, credential: Credential) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(plant.line.cloud.root_ca))
    with tempfile.TemporaryDirectory() as folder:
        pem = Path(folder) / "device.pem"
        pem.write_text(credential.certificate_pem + credential.private_key_pem)
        context.load_cert_chain(pem)
    return context


def paho(
    plant: Plant,
    credential: Credential,
    client_id: str,
    act: Act = lambda _: None,
    version: int = 5,
) -> None:
    """Connect with paho-mqtt, do ``act``, and go on until the server ends it or answers."""
    protocol = MQTTProtocolVersion.MQTTv5 if version == 5 else MQTTProtocolVersion.MQTTv311
    client = Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=protocol)
    client.tls_set_context(context_of(plant, credential))
    events: queue.SimpleQueue[str] = queue.SimpleQueue()
    client.on_connect = lambda _c, _u, _f, code, _p: events.put("no" if code.is_failure else "yes")
    client.on_disconnect = lambda *_: events.put("ended")
    client.on_subscribe = lambda *_: events.put("answered")
    client.on_publish = lambda *_: events.put("answered")
    if act is will_elsewhere:
        act(client)
    with suppress(OSError):
        client.connect(plant.line.cloud.mqtt_host, plant.line.cloud.mqtt_port)
        client.loop_start()
        try:
            if events.get(timeout=SECONDS) == "yes":
                act(client)
                events.get(timeout=SECONDS)
        finally:
            client.disconnect()
            client.loop_stop()


def will_elsewhere(client: Client) -> None:
    with suppress(ValueError):  # paho takes a will before it connects, and no later
        client.will_set("alarm", b"gone")


def turned_off(status: str) -> Callable[[Plant], Asked]:
    def plant_it(plant: Plant) -> Asked:
        device = plant.device()
        plant.iot.update_certificate(certificateId=device.certificate_id, newStatus=status)
        paho(plant, device.credential, device.name)
        return Asked(certificate_pem=device.pem)

    return plant_it


def deleted(plant: Plant) -> Asked:
    device = plant.device(thing=False)
    plant.iot.update_certificate(certificateId=device.certificate_id, newStatus="INACTIVE")
    plant.iot.delete_certificate(certificateId=device.certificate_id, forceDelete=True)
    paho(plant, device.credential, device.name)
    return Asked(certificate_pem=device.pem)


def without_policy(plant: Plant) -> Asked:
    device = plant.device(policy=False)
    paho(plant, device.credential, device.name)
    return Asked(certificate_pem=device.pem)


def with_other_client_id(plant: Plant) -> Asked:
    device = plant.device()
    with suppress(aiomqtt.MqttError):
        asyncio.run(_aiomqtt(plant, device, "my-laptop"))
    return Asked(certificate_pem=device.pem, client_id="my-laptop")


async def _aiomqtt(plant: Plant, device: Registered, client_id: str) -> None:
    cloud = plant.line.cloud
    async with aiomqtt.Client(
        cloud.mqtt_host, cloud.mqtt_port, identifier=client_id,
        tls_context=context_of(plant, device.credential), timeout=SECONDS,
        protocol=aiomqtt.ProtocolVersion.V5,
    ):  # fmt: skip
        pass


def doing(act: Act, version: int = 5) -> Callable[[Plant], Asked]:
    def plant_it(plant: Plant) -> Asked:
        device = plant.device()
        paho(plant, device.credential, device.name, act, version)
        return Asked(certificate_pem=device.pem)

    return plant_it


def twins(plant: Plant) -> Asked:
    """AWS's SDK, twice with one client id."""
    device, cloud = plant.device(), plant.line.cloud
    lost: queue.SimpleQueue[str] = queue.SimpleQueue()

    def connection() -> mqtt.Connection:
        made: mqtt.Connection = mqtt_connection_builder.mtls_from_bytes(
            endpoint=cloud.mqtt_host, port=cloud.mqtt_port, client_id=device.name,
            cert_bytes=device.pem, pri_key_bytes=device.credential.private_key_pem.encode(),
            ca_bytes=cloud.root_ca.read_bytes(), keep_alive_secs=60,
            on_connection_interrupted=lambda **_: lost.put("lost"),
        )  # fmt: skip
        return made

    first, second = connection(), connection()
    for each in (first, second):
        each.connect().result(SECONDS)
    lost.get(timeout=SECONDS)
    for each in (first, second):
        with suppress(Exception):
            each.disconnect().result(SECONDS)
    return Asked(certificate_pem=device.pem)


def sdk(plant: Plant, credential: Credential, client_id: str, topic: str = "") -> None:
    """Connect with AWS's SDK, as its sample does, and publish on ``topic`` if there is one."""
    cloud = plant.line.cloud
    connection: mqtt.Connection = mqtt_connection_builder.mtls_from_bytes(
        endpoint=cloud.mqtt_host, port=cloud.mqtt_port, client_id=client_id,
        cert_bytes=credential.certificate_pem.encode(),
        pri_key_bytes=credential.private_key_pem.encode(),
        ca_bytes=cloud.root_ca.read_bytes(), keep_alive_secs=60,
        on_connection_interrupted=lambda **_: ended.put("ended"),
    )  # fmt: skip
    ended: queue.SimpleQueue[str] = queue.SimpleQueue()
    with suppress(AwsCrtError):
        connection.connect().result(SECONDS)
        connection.publish(topic, b"{}", mqtt.QoS.AT_LEAST_ONCE)
        ended.get(timeout=SECONDS)
    with suppress(AwsCrtError, RuntimeError):  # RuntimeError: it is not connected any more
        connection.disconnect().result(SECONDS)


def mosquitto(plant: Plant, credential: Credential, client_id: str, topic: str = "a") -> None:
    """Publish once with Debian's mosquitto_pub."""
    cloud = plant.line.cloud
    with tempfile.TemporaryDirectory() as folder:
        files = {"cert": credential.certificate_pem, "key": credential.private_key_pem}
        for name, text in files.items():
            (Path(folder) / name).write_text(text)
        words = ["-h", cloud.mqtt_host, "-p", str(cloud.mqtt_port), "-i", client_id, "-q", "1"]
        words += ["--cafile", str(cloud.root_ca), "--cert", f"{folder}/cert"]
        words += ["--key", f"{folder}/key", "-t", topic, "-m", "{}"]
        subprocess.run(["mosquitto_pub", *words], capture_output=True, check=False, timeout=SECONDS)


def spoiled_for(
    run: Callable[..., None], spoil: str = "", *, client_id: str = "", topic: str = "a",
    policy: bool = True,
) -> Callable[[Plant], Asked]:  # fmt: skip
    """Return what plants a device of another status, and lets a client ``run`` as it."""

    def plant_it(plant: Plant) -> Asked:
        device = plant.device(policy=policy)
        if spoil:
            plant.iot.update_certificate(certificateId=device.certificate_id, newStatus=spoil)
        run(plant, device.credential, client_id or device.name, topic)
        return Asked(certificate_pem=device.pem, client_id=client_id or None)

    return plant_it


def waits_for_ever(plant: Plant) -> Asked:
    issued = plant.authority().issue({"common_name": plant.name()})
    paho(plant, issued, "newcomer")
    return Asked(certificate_pem=issued.certificate_pem.encode())


@dataclass(frozen=True)
class ForeignCause:
    """What is wrong with a client, and who has to say so in which words."""

    name: str
    client: str
    code: str
    watched: str
    """Stand in a line of ``localcloud watch``."""
    plant: Callable[[Plant], Asked]


def publishes(topic: str, payload: bytes = b"{}", qos: int = 1) -> Act:
    return lambda client: client.publish(topic, payload, qos=qos)


def subscribes(topic: str) -> Act:
    return lambda client: client.subscribe(topic, qos=1)


_INACTIVE: Final = "is not ACTIVE here"

FOREIGN_CAUSES: Final = [
    ForeignCause(
        "the certificate is INACTIVE", "paho", "FB-803", _INACTIVE,
        turned_off("INACTIVE"),
    ),
    ForeignCause("the certificate is REVOKED", "paho", "FB-804", _INACTIVE, turned_off("REVOKED")),
    ForeignCause("the certificate was deleted", "paho", "FB-801", _INACTIVE, deleted),
    ForeignCause("no policy is attached", "paho", "FB-808", "iot:Connect", without_policy),
    ForeignCause(
        "another client id", "aiomqtt", "FB-809", "client/my-laptop",
        with_other_client_id,
    ),
    ForeignCause(
        "a topic that is not allowed", "paho", "FB-821", "iot:Publish",
        doing(publishes("a")),
    ),
    ForeignCause(
        "the same with MQTT 3.1.1", "paho", "FB-821", "iot:Publish", doing(publishes("a"), 3)
    ),
    ForeignCause("it subscribes to #", "paho", "FB-821", "iot:Subscribe", doing(subscribes("#"))),
    ForeignCause("a will on another topic", "paho", "FB-821", "topic/alarm", doing(will_elsewhere)),
    ForeignCause("two clients with one id", "awsiotsdk", "FB-812", "another client came", twins),
    ForeignCause("PENDING_ACTIVATION for ever", "paho", "FB-805", "PENDING", waits_for_ever),
    ForeignCause(
        "a topic of more than eight levels", "paho", "FB-821", "", doing(publishes("a/" * 9 + "b"))
    ),
    *(
        cause
        for client, run in (("awsiotsdk", sdk), ("mosquitto_pub", mosquitto))
        for cause in (
            ForeignCause(
                "the certificate is INACTIVE", client, "FB-803", _INACTIVE,
                spoiled_for(run, "INACTIVE"),
            ),
            ForeignCause(
                "the certificate is REVOKED", client, "FB-804", _INACTIVE,
                spoiled_for(run, "REVOKED"),
            ),
            ForeignCause(
                "no policy is attached", client, "FB-808", "iot:Connect",
                spoiled_for(run, policy=False),
            ),
            ForeignCause(
                "another client id", client, "FB-809", "client/my-laptop",
                spoiled_for(run, client_id="my-laptop"),
            ),
            ForeignCause(
                "a topic that is not allowed", client, "FB-821", "iot:Publish", spoiled_for(run)
            ),
        )
    ),
]  # fmt: skip
"""Ten of them on AWS's SDK and on mosquitto_pub, which is run where it is installed."""
