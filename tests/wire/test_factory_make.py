"""A device from the station: what it holds, what its claim can do, and what it cannot."""

import logging
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from awscrt import mqtt5
from cryptography.hazmat.primitives import serialization

from device.storage.device_storage import open_device_storage
from device.storage.keys import CLAIM_KEY, MemoryIdentity
from device.storage.lifecycle import Lifecycle
from device.storage.secure_storage import Uid
from factory.account.certificates import delete_certificate
from factory.account.cloud import text
from factory.cli import main
from tests.support.hang import SECONDS
from tests.support.station_cloud import ACCOUNT, REGION, aws_of, contents
from tests.wire.conftest import ROOT, LocalCloud
from tests.wire.localcloud_sdk import (
    Credential,
    IdentityV2,
    NotLetInError,
    mqtt5_client,
    new_csr,
    publish,
)

pytestmark = pytest.mark.wire

SERIAL = "SN-factory-1"
NOT_AUTHORIZED = 0x87
ANSWERS = "$aws/certificates/create-from-csr/json/accepted"


@dataclass(frozen=True)
class Made:
    """A station, a device, and all that was printed on the way."""

    station: Path
    device: Path
    claim: Credential
    printed: str


@pytest.fixture(scope="module")
def made(local_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """Prepare and make by the command line, with everything logged that can be."""
    with made_in("310987654321", local_cloud, tmp_path_factory.mktemp("made")) as all_of_it:
        yield all_of_it


@contextmanager
def made_in(account: str, cloud: LocalCloud, folder: Path) -> Iterator[Made]:
    station, device = folder / "station", folder / "device"
    options = ["--method", "claim", "--station", str(station)]
    with pytest.MonkeyPatch.context() as environment:
        for name, value in cloud.environment.items():
            environment.setenv(name, value)
        environment.setenv("AWS_ACCESS_KEY_ID", account)
        environment.setenv("AWS_DEFAULT_REGION", REGION)
        logged = run("prepare", "--log-level", "debug", *options)
        logged += run(
            "make", "--log-level", "debug", *options, "--serial", SERIAL, "--out", str(device)
        )
        yield Made(station, device, claim_in(device), logged)
        run("teardown", *options, "--devices")


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += record.getMessage() + "\n"


def run(*argv: str) -> str:
    """Run the station; return what reached its log."""
    lines = _Lines()
    root = logging.getLogger()
    root.addHandler(lines)
    before = root.level
    root.setLevel(logging.DEBUG)
    try:
        assert main(argv) == 0
    finally:
        root.setLevel(before)
        root.removeHandler(lines)
    return lines.text


def claim_in(device: Path) -> Credential:
    with open_device_storage(device) as storage:
        certificate = storage.ps.get(Uid.CLAIM_CERTIFICATE)
        identity = storage.keys.tls_identity(CLAIM_KEY, certificate)
    assert isinstance(identity, MemoryIdentity)
    return Credential("", certificate.decode(), identity.private_key_pem.decode())


def test_device_holds_identity_claim_root_ca_and_endpoint(
    made: Made, local_cloud: LocalCloud
) -> None:
    with open_device_storage(made.device) as storage:
        assert storage.lifecycle is Lifecycle.SECURED
        assert storage.its.get(Uid.SERIAL_NUMBER) == SERIAL.encode()
        assert re.fullmatch(b"[0-9a-f]{32}", storage.its.get(Uid.DEVICE_ID))
        assert storage.ps.get(Uid.ROOT_CA).strip() == local_cloud.root_ca.read_bytes().strip()
        assert storage.ps.get(Uid.ENDPOINT).decode() == local_cloud.environment["DEVICE_ENDPOINT"]
        assert storage.keys.keys() == [CLAIM_KEY]


def test_claim_key_is_in_no_file(made: Made) -> None:
    key = serialization.load_pem_private_key(made.claim.private_key_pem.encode(), password=None)
    scalar = key.private_numbers().private_value  # type: ignore[union-attr] # the claim is an EC key
    forms = [
        scalar.to_bytes(32, "big"),
        key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        *bodies(made.claim.private_key_pem),
    ]
    files = [
        file for top in (made.station, made.device) for file in top.rglob("*") if file.is_file()
    ]
    assert len(files) >= 8
    for file in files:
        content = file.read_bytes()
        assert b"PRIVATE KEY" not in content
        assert not [form for form in forms if form in content], file
        assert file.stat().st_mode & 0o077 == 0, f"{file} is readable by others"


def bodies(pem: str) -> list[bytes]:
    return [line.encode() for line in pem.splitlines() if not line.startswith("-----")]


def test_debug_log_shows_calls_and_no_secret(made: Made, local_cloud: LocalCloud) -> None:
    assert "calling iot:CreateCertificateFromCsr" in made.printed
    assert "PRIVATE KEY" not in made.printed
    assert "Authorization" not in made.printed
    assert not [
        body for body in bodies(made.claim.private_key_pem) if body.decode() in made.printed
    ]


def test_claim_provisions_a_device_that_works_under_its_own_name(
    made: Made, local_cloud: LocalCloud
) -> None:
    own = provision(made.claim, local_cloud, "SN-factory-2")

    with mqtt5_client(local_cloud, own, "SN-factory-2") as client:
        assert publish(client, "dt/SN-factory-2/telemetry") in (0, 16)
        assert publish(client, "dt/SN-factory-3/telemetry") == NOT_AUTHORIZED
    with pytest.raises(NotLetInError), mqtt5_client(local_cloud, own, "SN-factory-3"):
        pass


def test_claim_provisions_with_keys_made_by_aws(made: Made, local_cloud: LocalCloud) -> None:
    with mqtt5_client(local_cloud, made.claim, "claim-SN-factory-4") as client:
        identity = IdentityV2(client)
        token = identity.create_keys().certificate_ownership_token
        thing = identity.register("firstboot-claim", token, "SN-factory-4")
    assert thing.thing_name == "SN-factory-4"


def test_working_devices_survive_a_teardown_unless_they_are_named(
    local_cloud: LocalCloud, tmp_path: Path
) -> None:
    aws = aws_of(local_cloud)
    before = contents(aws)
    with made_in(ACCOUNT, local_cloud, tmp_path) as made:
        provision(made.claim, local_cloud, "SN-factory-5")
        aws.call("iot", "CreateThing", thingName="someone-elses")
        found = contents(aws)

        run("teardown", "--station", str(made.station), "--json")

        kept = contents(aws)
        assert kept["things"] == found["things"]
        assert ("ACTIVE", ["firstboot-device"]) in kept["certificates"].values()
        assert kept["policies"].keys() - before["policies"].keys() == {"firstboot-device"}
        assert kept["templates"] == before["templates"]

        run("teardown", "--devices", "--station", str(tmp_path / "gone"))

        assert contents(aws)["things"].keys() == {"someone-elses"}
        aws.call("iot", "DeleteThing", thingName="someone-elses")
        assert contents(aws) == before


def test_thing_that_was_there_before_is_kept_and_loses_only_the_certificate(
    local_cloud: LocalCloud, tmp_path: Path
) -> None:
    aws = aws_of(local_cloud)
    aws.call("iot", "CreateThing", thingName="SN-factory-6")
    before = contents(aws)
    with made_in(ACCOUNT, local_cloud, tmp_path) as made:
        provision(made.claim, local_cloud, "SN-factory-6")
        assert contents(aws)["things"] != before["things"]

    assert contents(aws) == before
    aws.call("iot", "DeleteThing", thingName="SN-factory-6")


def test_thing_that_another_certificate_needs_is_kept(
    local_cloud: LocalCloud, tmp_path: Path
) -> None:
    aws = aws_of(local_cloud)
    other = aws.call("iot", "CreateKeysAndCertificate", setAsActive=True)
    with made_in(ACCOUNT, local_cloud, tmp_path) as made:
        provision(made.claim, local_cloud, "SN-factory-7")
        aws.call(
            "iot", "AttachThingPrincipal",
            thingName="SN-factory-7", principal=other["certificateArn"],
        )  # fmt: skip

    assert contents(aws)["things"] == {"SN-factory-7": [other["certificateArn"]]}
    aws.call(
        "iot", "DetachThingPrincipal",
        thingName="SN-factory-7", principal=other["certificateArn"],
    )  # fmt: skip
    aws.call("iot", "DeleteThing", thingName="SN-factory-7")
    delete_certificate(aws, text(other, "certificateId"))


def provision(claim: Credential, cloud: LocalCloud, serial: str) -> Credential:
    """Provision by claim with AWS's own client; return the device's own credential."""
    csr, key = new_csr(serial)
    with mqtt5_client(cloud, claim, f"claim-{serial}") as client:
        identity = IdentityV2(client)
        issued = identity.create_from_csr(csr)
        token = issued.certificate_ownership_token
        assert identity.register("firstboot-claim", token, serial).thing_name == serial
    return Credential(issued.certificate_id, issued.certificate_pem, key)


@pytest.mark.parametrize("client_id", [SERIAL, "claim", "xclaim-1"])
def test_claim_connects_under_no_other_client_id(
    made: Made, local_cloud: LocalCloud, client_id: str
) -> None:
    with pytest.raises(NotLetInError), mqtt5_client(local_cloud, made.claim, client_id):
        pass


@pytest.mark.parametrize(
    "topic",
    [
        "$aws/provisioning-templates/another-template/provision/json",
        "$aws/certificates/create/cbor",
        f"dt/{SERIAL}/telemetry",
        f"$aws/things/{SERIAL}/shadow/get",
    ],
)
def test_claim_publishes_nowhere_else(made: Made, local_cloud: LocalCloud, topic: str) -> None:
    with mqtt5_client(local_cloud, made.claim, "claim-publisher") as client:
        assert publish(client, topic) == NOT_AUTHORIZED


@pytest.mark.parametrize(
    "topic",
    ["#", "$aws/certificates/create/cbor/accepted",
     "$aws/provisioning-templates/another-template/provision/json/accepted", "dt/+/telemetry"],
)  # fmt: skip
def test_claim_subscribes_to_nothing_else(made: Made, local_cloud: LocalCloud, topic: str) -> None:
    with mqtt5_client(local_cloud, made.claim, "claim-subscriber") as client:
        assert subscribe(client, ANSWERS) == 1
        assert subscribe(client, topic) == NOT_AUTHORIZED


def subscribe(client: mqtt5.Client, topic: str) -> int:
    subscription = mqtt5.Subscription(topic_filter=topic, qos=mqtt5.QoS.AT_LEAST_ONCE)
    future = client.subscribe(mqtt5.SubscribePacket(subscriptions=[subscription]))
    return int(future.result(SECONDS).reason_codes[0])


def test_ctrl_c_is_answered_in_words(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(SECONDS)
        environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION, "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "-m", "factory", "prepare", "--method", "claim"],
            cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        connection, _ = silent.accept()
        connection.settimeout(SECONDS)
        with connection:
            connection.recv(1)  # it has asked, and waits for the answer
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert err == (
        "factory: error FB-502: stopped\n"
        "  next: Run the same command again; it continues where it stopped.\n"
    )
