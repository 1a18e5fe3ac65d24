"""Living with a local AWS: faults by a command, its clock, what it says, and its end."""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localcloud.cli import main
from localcloud.process.state_folder import StateFolder
from tests.support import hang
from tests.support.plain_mqtt import PlainMqtt
from tests.wire.conftest import ROOT, LocalCloud, free_ports, python, running
from tests.wire.localcloud_registry import mark, until
from tests.wire.localcloud_sdk import add_certificate, new_csr, policy, prepare_fleet
from tests.wire.raw_mqtt import connected

pytestmark = pytest.mark.wire
SECONDS = 3  # in which an answer comes, if one comes at all
ANYTHING = policy(("Connect Publish Subscribe Receive", ["*"]))


@pytest.fixture
def device(local_cloud: LocalCloud, tmp_path: Path) -> Path:
    made = add_certificate(local_cloud, ANYTHING)
    file = tmp_path / "device.pem"
    file.write_text(made.certificate_pem + made.private_key_pem)
    return file


@pytest.fixture(autouse=True)
def no_faults_left(local_cloud: LocalCloud) -> Iterator[None]:
    yield
    local_cloud.clear_faults()


def do(cloud: LocalCloud, capsys: pytest.CaptureFixture[str], *words: str) -> list[Any]:
    """Run a verb with ``--json``; return the objects that it prints."""
    capsys.readouterr()
    main([words[0], "--json", "--state", str(cloud.folder.path), *words[1:]])
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def connect(cloud: LocalCloud, certificate: Path, client_id: str) -> PlainMqtt:
    return PlainMqtt(cloud.mqtt_port, cloud.root_ca, certificate, client_id, seconds=SECONDS)


# --- verbs ---------------------------------------------------------------------------


def test_status_tells_where_it_answers(
    local_cloud: LocalCloud, capsys: pytest.CaptureFixture[str]
) -> None:
    (told,) = do(local_cloud, capsys, "status")
    assert (told["running"], told["pid"]) == (True, local_cloud.pid)
    assert told["mqtt_port"] == local_cloud.mqtt_port
    assert (told["faults"], told["rude_percent"], told["clock_ahead_seconds"]) == (0, 0, 0)


def test_a_fault_is_switched_on_listed_and_off(
    local_cloud: LocalCloud, capsys: pytest.CaptureFixture[str]
) -> None:
    (made,) = do(local_cloud, capsys, "fault", "drop-reply", "operation=provision", "count=null")
    (listed,) = do(local_cloud, capsys, "fault")
    assert (listed["kind"], listed["operation"], listed["count"]) == (
        "drop-reply", "provision", None,
    )  # fmt: skip
    do(local_cloud, capsys, "fault", "--off", str(made["id"]))
    assert do(local_cloud, capsys, "fault") == []


@pytest.mark.parametrize("words", [("nonsense",), ("slow", "bytes_per_second=0"), ("--off", "99")])
def test_a_fault_that_makes_no_sense_is_said_so(
    local_cloud: LocalCloud, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit):
        do(local_cloud, capsys, "fault", *words)
    (told,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert told["message"]


def test_the_wire_has_the_reason_of_a_refusal(
    local_cloud: LocalCloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = add_certificate(local_cloud, policy(("Connect", ["client/someone-else"])))
    certificate, name = tmp_path / "one.pem", mark("client")
    certificate.write_text(made.certificate_pem + made.private_key_pem)
    with pytest.raises(ConnectionError):
        connect(local_cloud, certificate, name)
    reasons = [str(event.get("reason")) for event in do(local_cloud, capsys, "wire")]
    assert any("allows iot:Connect" in reason and name in reason for reason in reasons)


def test_watch_follows_the_wire(local_cloud: LocalCloud, device: Path) -> None:
    command = python("-m", "localcloud", "watch", "--json", "--state", str(local_cloud.folder.path))
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as watching:
        assert "Watching" in hang.line_from(watching, watching.stderr)
        name = mark("client")
        with connect(local_cloud, device, name):
            told = [json.loads(hang.line_from(watching, watching.stdout)) for _event in range(3)]
        watching.send_signal(signal.SIGINT)
        assert watching.wait(hang.SECONDS) == 0
    assert [event.get("packet") or event["event"] for event in told] == [
        "opened", "CONNECT", "CONNACK",
    ]  # fmt: skip
    assert told[1]["client_id"] == name


# --- the wire's faults ---------------------------------------------------------------


@pytest.mark.parametrize("fault", [("withhold-connack", {}), ("stall", {"seconds": 3600})])
def test_no_connack(local_cloud: LocalCloud, device: Path, fault: tuple[str, Any]) -> None:
    local_cloud.fault(fault[0], client_id="unlucky-*", **fault[1])
    with connect(local_cloud, device, mark("lucky")):
        pass
    with pytest.raises(TimeoutError):
        connect(local_cloud, device, mark("unlucky"))


def test_a_half_open_connection_answers_nothing(local_cloud: LocalCloud, device: Path) -> None:
    local_cloud.fault("half-open")
    with connect(local_cloud, device, mark("client")) as client, pytest.raises(TimeoutError):
        client.publish("t", b"{}")


def test_a_flood_of_large_packets(local_cloud: LocalCloud, device: Path) -> None:
    local_cloud.fault("flood", messages=5, bytes=200_000)
    with connect(local_cloud, device, mark("client")) as client:
        assert [len(client.message()) for _message in range(5)] == [200_000] * 5


@pytest.mark.parametrize(("problem", "words"), [
    ("unknown-authority", "self-signed|unable to get"), ("expired", "expired"),
    ("wrong-name", "mismatch"),
])  # fmt: skip
def test_a_bad_server_certificate(local_cloud: LocalCloud, problem: str, words: str) -> None:
    local_cloud.fault("bad-certificate", problem=problem)
    with pytest.raises(ssl.SSLCertVerificationError, match=words):
        shake_hands(local_cloud)
    shake_hands(local_cloud)  # it struck once


def shake_hands(cloud: LocalCloud) -> None:
    trusting = ssl.create_default_context(cafile=cloud.root_ca)
    with (
        socket.create_connection(("127.0.0.1", cloud.mqtt_port), timeout=10) as raw,
        trusting.wrap_socket(raw, server_hostname="localhost"),
    ):
        pass


# --- a life of its own ---------------------------------------------------------------


def test_the_clock_ends_tokens_jobs_and_certificates(tmp_path: Path) -> None:
    with running(StateFolder(tmp_path / "cloud"), free_ports()) as cloud:
        fleet = prepare_fleet(cloud)
        claim = tmp_path / "claim.pem"
        claim.write_text(fleet.claim.certificate_pem + fleet.claim.private_key_pem)
        csr, _key = new_csr("SN-1")
        with connect(cloud, claim, "claim-1") as client:
            made = client.ask(
                "$aws/certificates/create-from-csr/json", {"certificateSigningRequest": csr}
            )
            cloud.admin("POST", "clock", {"advance_seconds": 3601})
            with pytest.raises(LookupError, match="InvalidCertificateOwnershipToken"):
                client.ask(
                    f"$aws/provisioning-templates/{fleet.template}/provision/json",
                    {
                        "certificateOwnershipToken": made["certificateOwnershipToken"],
                        "parameters": {"SerialNumber": "SN-1"},
                    },
                )
        check_that_a_job_that_times_out_is_told(cloud)
        cloud.admin("POST", "clock", {"advance_seconds": 40 * 365 * 86400})
        with pytest.raises((ConnectionError, ssl.SSLError)):
            connect(cloud, claim, "claim-2")
        assert len(cloud.client("iot").list_things()["things"]) == 1  # signed by the real time


def check_that_a_job_that_times_out_is_told(cloud: LocalCloud) -> None:
    iot, job = cloud.client("iot"), "$aws/things/worker/jobs"
    target = iot.create_thing(thingName="worker")["thingArn"]
    timeout = {"inProgressTimeoutInMinutes": 1}
    iot.create_job(jobId="slow", targets=[target], document="{}", timeoutConfig=timeout)
    with connected(cloud, add_certificate(cloud, ANYTHING), "worker") as client:
        client.publish(f"{job}/start-next")
        assert client.receive().topic == f"{job}/start-next/accepted"
        client.subscribe(f"{job}/notify", f"{job}/notify-next")
        cloud.admin("POST", "clock", {"advance_seconds": 61})
        told = [client.receive().topic, client.receive().topic]
    assert told == [f"{job}/notify", f"{job}/notify-next"]


def test_a_rude_one_has_a_new_root_each_time_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, ports = str(tmp_path / "cloud"), free_ports()
    up = ["up", "--detach", "--state", state, "--rude", "--seed", "7"]
    roots = set()
    for _start in range(2):
        main([*up, "--api-port", str(ports.api), "--mqtt-port", str(ports.mqtt)])
        roots.add((tmp_path / "cloud" / "root-ca.pem").read_bytes())
        capsys.readouterr()
        main(["status", "--json", "--state", state])
        told = json.loads(capsys.readouterr().out)
        main(["down", "--state", state])
    assert (told["rude_percent"], told["seed"], len(roots)) == (5, 7, 2)


def test_it_ends_with_its_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state, ports = tmp_path / "cloud", free_ports()
    arguments = ["--api-port", str(ports.api), "--mqtt-port", str(ports.mqtt)]
    main(["up", "--json", "--detach", "--state", str(state), *arguments])
    told = json.loads(capsys.readouterr().out)
    assert (told["api_port"], told["mqtt_port"]) == (ports.api, ports.mqtt)
    shutil.rmtree(state)
    until(lambda: is_running(told["pid"]), False)
    assert not state.exists()  # it made nothing again


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
