"""Does a device at work keep its shadow, do jobs and commands, and lose nothing, over TLS?"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from device.application import Application, ApplicationRefusedError, Message
from device.config.endpoint import Endpoint
from device.config.settings import Connection
from device.connection.awscrt_session import AwscrtSession
from device.provisioning import actions as act
from device.provisioning import events as ev
from device.provisioning.events import Credential
from device.runtime.credentials import Credentials, InstalledClaim
from device.runtime.durable_outbox import is_done
from device.storage.device_storage import open_device_storage
from device.storage.filesystem import OsFs
from tests.support.device_process import (
    CONFIG,
    Running,
    Works,
    boot_here,
    device,
    running,
    works_for,
)
from tests.wire.conftest import LocalCloud
from tests.wire.localcloud_registry import mark

pytestmark = pytest.mark.wire

SECONDS = 15.0
"""For a hang; nothing here takes long."""
CALM = {"DEVICE_TELEMETRY__INTERVAL": "600"}
ACCOUNT = "arn:aws:iot:us-east-1:000000000000"


@pytest.fixture(scope="module")
def works(local_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Works:
    return works_for(local_cloud, tmp_path_factory.mktemp("station") / "s")


@pytest.fixture
def serial(local_cloud: LocalCloud) -> Iterator[str]:
    yield mark("SN")
    local_cloud.clear_faults()


@pytest.fixture
def state(works: Works, tmp_path: Path, serial: str) -> Path:
    return works.make(tmp_path / "device", serial)


@contextmanager
def at_work(state: Path, **settings: str) -> Iterator[Running]:
    with running("run", "--state", state, "--config", CONFIG, **CALM, **settings) as started:
        started.wait_for("operating")
        yield started
        started.stop()


def until(answer: Callable[[], Any]) -> Any:
    """Wait until ``answer`` returns something; return it."""
    deadline = time.monotonic() + SECONDS
    while not (found := answer()):
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.05)
    return found


def shadow_of(cloud: LocalCloud, serial: str, name: str | None = None) -> dict[str, Any]:
    named = {"shadowName": name} if name else {}
    data = cloud.client("iot-data")
    try:
        payload = data.get_thing_shadow(thingName=serial, **named)["payload"].read()
    except data.exceptions.ResourceNotFoundException:
        return {}
    return dict(json.loads(payload)["state"])


def test_a_shadow_reports_the_device_and_sets_what_it_may(
    local_cloud: LocalCloud, state: Path, serial: str
) -> None:
    data = local_cloud.client("iot-data")
    with at_work(state):
        reported = until(lambda: shadow_of(local_cloud, serial).get("reported"))
        assert reported["method"] == "claim"
        assert reported["key"] == {"store": "sealed", "type": "ec-p256", "made_by": "device"}
        assert reported["certificate"]["age_days"] == 0
        assert reported["storage"]["root_of_trust"] == "file"
        package = until(lambda: shadow_of(local_cloud, serial, "$package").get("reported"))
        assert package["firstboot"]["version"] == reported["agent"]["version"]

        wish = {"settings": {"telemetry": {"interval": 5}, "metrics": {"interval": -5}}}
        data.update_thing_shadow(
            thingName=serial, payload=json.dumps({"state": {"desired": wish}}).encode()
        )

        def refused() -> Any:
            return shadow_of(local_cloud, serial)["reported"].get("refused")

        assert until(refused) == {"metrics.interval": "is not from 1 to 604800"}
        settings = shadow_of(local_cloud, serial)["reported"]["settings"]
        assert settings["telemetry"] == {"interval": 5.0}


Job = Callable[[dict[str, Any]], str]


@pytest.fixture
def job(local_cloud: LocalCloud, serial: str) -> Job:
    """Give the device a job; return its id."""

    def create(document: dict[str, Any]) -> str:
        name = mark("job")
        local_cloud.client("iot").create_job(
            jobId=name, targets=[f"{ACCOUNT}:thing/{serial}"], document=json.dumps(document)
        )
        return name

    return create


def ended(cloud: LocalCloud, serial: str, name: str) -> dict[str, Any]:
    """Wait until a job is over; return its execution."""

    def execution() -> Any:
        found = cloud.client("iot").describe_job_execution(jobId=name, thingName=serial)
        return found["execution"] if found["execution"]["status"] in OVER else None

    return dict(until(execution))


OVER = {"SUCCEEDED", "FAILED", "REJECTED"}


def details(execution: dict[str, Any]) -> dict[str, str]:
    return dict(execution["statusDetails"]["detailsMap"])


def test_two_jobs_in_a_row_and_one_that_is_rejected(
    local_cloud: LocalCloud, state: Path, serial: str, job: Job
) -> None:
    boot_here(state)
    first = job({"operation": "collect-diagnostics"})
    with at_work(state):
        second = job({"operation": "update-configuration", "settings": {"telemetry.interval": 7}})
        third = job({"operation": "self-destruct"})
        done = [ended(local_cloud, serial, name) for name in (first, second, third)]

    assert [each["status"] for each in done] == ["SUCCEEDED", "SUCCEEDED", "REJECTED"]
    assert "boot_id" in details(done[0])
    assert details(done[1])["telemetry.interval"] == "7"
    assert "unknown operation 'self-destruct'" in details(done[2])["reason"]


def test_a_reboot_is_proven_by_the_boot_id(
    local_cloud: LocalCloud, state: Path, serial: str, job: Job
) -> None:
    boot_here(state)
    name = job({"operation": "reboot"})
    with at_work(state) as started:
        done = ended(local_cloud, serial, name)

    assert done["status"] == "SUCCEEDED"
    assert details(done)["before"] != details(done)["after"]
    assert [line["restart"] for line in started.seen if "restart" in line] == []


def test_a_factory_reset_ends_as_the_same_thing(
    local_cloud: LocalCloud, state: Path, serial: str, job: Job
) -> None:
    before = boot_here(state).identity
    name = job({"operation": "factory-reset"})
    with at_work(state):
        done = ended(local_cloud, serial, name)

    assert done["status"] == "SUCCEEDED"
    status = device("status", "--state", state).lines[0]
    assert status["state"] == "provisioned"
    assert status["certificate_id"] == before["certificate_id"]


def test_a_job_is_resumed_after_a_kill(
    local_cloud: LocalCloud, state: Path, serial: str, job: Job
) -> None:
    boot_here(state)
    name = job({"operation": "reboot"})
    with running("run", "--state", state, "--config", CONFIG, **CALM) as started:
        started.wait_for("job begun")
        started.process.kill()
        started.process.wait(SECONDS)

    with at_work(state):
        assert ended(local_cloud, serial, name)["status"] == "SUCCEEDED"


def test_commands_are_carried_out_or_rejected(
    local_cloud: LocalCloud, state: Path, serial: str
) -> None:
    boot_here(state)
    with at_work(state):
        done = [
            answered(local_cloud, serial, {"operation": operation})
            for operation in ("identify", "collect-diagnostics", "self-destruct", "reboot")
        ]

    assert [each["status"] for each in done] == ["SUCCEEDED", "SUCCEEDED", "REJECTED", "SUCCEEDED"]
    assert "boot_id" in done[1]["result"]
    assert "unknown operation" in done[2]["statusReason"]["reasonDescription"]
    assert done[3]["result"]["before"] != done[3]["result"]["after"]


def answered(cloud: LocalCloud, serial: str, document: dict[str, Any]) -> dict[str, Any]:
    return end_of(cloud, serial, sent(cloud, serial, document))


def sent(cloud: LocalCloud, serial: str, document: dict[str, Any]) -> str:
    """Send a command; return the id of its execution."""
    payload = {"content": json.dumps(document).encode(), "contentType": "application/json"}
    made = cloud.client("iot").create_command(commandId=mark("command"), payload=payload)
    started = cloud.client("iot-jobs-data").start_command_execution(
        targetArn=f"{ACCOUNT}:thing/{serial}",
        commandArn=made["commandArn"],
        executionTimeoutSeconds=60,
    )
    return str(started["executionId"])


def end_of(cloud: LocalCloud, serial: str, number: str) -> dict[str, Any]:
    """Wait until the device has answered a command."""

    def execution() -> Any:
        found = cloud.client("iot").get_command_execution(
            executionId=number, targetArn=f"{ACCOUNT}:thing/{serial}", includeResult=True
        )
        return found if found["status"] in OVER else None

    return dict(until(execution))


def test_a_command_that_comes_while_the_device_is_away_is_kept_for_it(
    local_cloud: LocalCloud, state: Path, serial: str
) -> None:
    """The session outlives the connection: AWS IoT keeps what came at QoS 1."""
    boot_here(state)
    with running("run", "--state", state, "--config", CONFIG, **CALM) as started:
        started.wait_for("operating")
        started.process.kill()
        started.process.wait(SECONDS)
    number = sent(local_cloud, serial, {"operation": "identify"})

    with at_work(state):
        assert end_of(local_cloud, serial, number)["status"] == "SUCCEEDED"


def test_a_program_of_ones_own_publishes_and_hears_as_the_device(
    local_cloud: LocalCloud, state: Path, serial: str
) -> None:
    boot_here(state)
    topics = {
        "DEVICE_APPLICATION__SOCKET": "application.sock",
        "DEVICE_APPLICATION__PUBLISH": "app/{thing_name}/#",
        "DEVICE_APPLICATION__SUBSCRIBE": "app/{thing_name}/echo",
    }
    with at_work(state, **topics), Application(state / "application.sock", SECONDS) as program:
        program.publish(f"app/{serial}/echo", b"\x00 to myself")
        heard = next(program.messages())
        with pytest.raises(ApplicationRefusedError):
            program.publish(f"dt/{serial}/telemetry", b"not mine")

    assert heard == Message(f"app/{serial}/echo", b"\x00 to myself")
    assert not (state / "application.sock").exists()


def test_metrics_tell_what_the_device_did(state: Path) -> None:
    boot_here(state)
    with at_work(state) as started:
        started.wait_for("telemetry acknowledged")
    samples = device("metrics", "--state", state).lines[0]["metrics"]

    assert samples["connects_total"] == 1
    assert samples["puback_seconds_count"] >= 1
    assert samples["outbox_messages"] == 0
    assert samples["storage_commits_total"] > 4
    assert samples["certificate_age_seconds"] < 3_600


def test_a_message_that_was_read_and_not_dealt_with_comes_again(
    works: Works, local_cloud: LocalCloud, state: Path, serial: str
) -> None:
    """It is acknowledged when the next event is asked for; here the power goes before."""
    boot_here(state)
    incoming = ev.MessageReceived(f"app/{serial}/in", b"open")
    with session_of(works, state) as session:
        connected(session, serial)
        session.perform(act.Subscribe((incoming.topic,), 1))
        assert session.next_event(SECONDS) == ev.Subscribed()
        local_cloud.client("iot-data").publish(topic=incoming.topic, qos=1, payload=b"open")
        assert session.next_event(SECONDS) == incoming
        session.cut()

        assert connected(session, serial).session_present
        assert session.next_event(SECONDS) == incoming
        session.perform(act.Publish(f"app/{serial}/out", b"dealt with"))
        assert session.next_event(SECONDS) == ev.PublishAcknowledged()
        session.close()

        assert connected(session, serial).session_present
        session.perform(act.Publish(f"app/{serial}/out", b"no more of it"))
        assert session.next_event(SECONDS) == ev.PublishAcknowledged()


@contextmanager
def session_of(works: Works, state: Path) -> Iterator[AwscrtSession]:
    """Return a session of the device, without its loop."""
    with open_device_storage(state, read_only=True) as storage:
        claims = InstalledClaim(storage)
        identity = Credentials(storage, claims).tls_identity(Credential.DEVICE)
    endpoint = Endpoint(works.cloud.mqtt_host, works.cloud.mqtt_port)
    root_ca = works.cloud.root_ca.read_bytes()
    session = AwscrtSession(endpoint, root_ca, lambda _: identity, Connection())
    try:
        yield session
    finally:
        session.close()


def connected(session: AwscrtSession, serial: str) -> ev.Connected:
    session.perform(act.Connect(Credential.DEVICE, serial))
    event = session.next_event(SECONDS)
    assert isinstance(event, ev.Connected)
    return event


def waiting_in(state: Path) -> list[str]:
    """Return the files of what waits in the outbox, which the device may be using."""
    if not (place := state / "outbox" / "telemetry").is_dir():
        return []
    outbox = OsFs(place)
    return [name for name in outbox.names() if not is_done(outbox.read(name) or b"")]


def test_readings_of_a_killed_device_arrive_after_its_next_start(
    local_cloud: LocalCloud, state: Path, serial: str
) -> None:
    boot_here(state)
    nobody = {"DEVICE_TELEMETRY__INTERVAL": "0.1"}
    with running(
        "run", "--state", state, "--config", CONFIG, "--endpoint", "localhost:1", **nobody
    ) as started:
        started.wait_for("waiting")
        until(lambda: len(waiting_in(state)) >= 3)
        started.process.kill()
        started.process.wait(SECONDS)
    left = len(waiting_in(state))

    with running("run", "--state", state, "--config", CONFIG, **CALM) as started:
        arrived = [started.wait_for("telemetry acknowledged")["detail"] for _ in range(left)]
        started.stop()

    assert arrived == [f"message {number}" for number in range(1, left + 1)]
