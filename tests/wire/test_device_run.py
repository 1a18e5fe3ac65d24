"""Does ``device run`` stay at work, whatever happens to the broker, and stop when it is told to?"""

import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from device.config.endpoint import Endpoint
from device.config.settings import Connection
from device.connection.awscrt_session import AwscrtSession
from device.provisioning import actions as act
from device.provisioning import events as ev
from device.provisioning.events import Credential
from device.runtime.credentials import Credentials, InstalledClaim
from device.storage.device_storage import open_device_storage
from localcloud.process.state_folder import StateFolder
from tests.support.device_process import CONFIG, Running, Works, boot_here, running, works_for
from tests.support.hang import SECONDS
from tests.wire.conftest import LocalCloud, free_ports
from tests.wire.conftest import running as local_aws

pytestmark = pytest.mark.wire

OFTEN = {"DEVICE_TELEMETRY__INTERVAL": "0.1"}
ACKNOWLEDGED = "telemetry acknowledged"
MANY = 1_000
"""More lines than a device says in a test."""


@pytest.fixture(scope="module")
def works(local_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Works:
    return works_for(local_cloud, tmp_path_factory.mktemp("station") / "s")


@pytest.fixture
def serial(request: pytest.FixtureRequest, local_cloud: LocalCloud) -> Iterator[str]:
    yield f"SN-{abs(hash(request.node.nodeid)) % 10**10}"
    local_cloud.clear_faults()


@pytest.fixture
def state(works: Works, tmp_path: Path, serial: str) -> Path:
    return works.make(tmp_path / "device", serial)


def wait_for(started: Running, step: str, text: str) -> None:
    """Read up to the next line of ``step`` that says ``text``."""
    assert any(text in started.wait_for(step)["detail"] for _ in range(MANY))


def test_a_new_device_provisions_itself_and_goes_to_work(state: Path, serial: str) -> None:
    with running("run", "--state", state, "--config", CONFIG, **OFTEN) as started:
        wait_for(started, ACKNOWLEDGED, "message 3")
        stopped = started.stop()

    names = [line.get("step", "identity") for line in started.seen]
    assert names[names.index("claim destroyed") :] == [
        "claim destroyed",
        "identity",
        "operating",
        *[ACKNOWLEDGED] * 3,
    ]
    assert stopped.code == 0
    assert "Traceback" not in stopped.err
    assert f"this device is {serial}" in stopped.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_proven_device_goes_to_work_at_once(state: Path, number: signal.Signals) -> None:
    boot_here(state)

    with running("run", "--state", state, "--config", CONFIG, **OFTEN) as started:
        started.wait_for(ACKNOWLEDGED)
        stopped = started.stop(number)

    steps = [line["step"] for line in started.seen if "step" in line]
    assert steps == ["storage opened", "operating", ACKNOWLEDGED]
    assert stopped.code == 0


def up_to(last: bytes, manager: socket.socket) -> list[bytes]:
    """Return what the service manager hears, up to ``last``."""
    heard: list[bytes] = []
    while last not in heard:
        assert len(heard) < MANY, heard
        heard.append(manager.recv(4096))
    return heard


def test_systemd_is_told_when_the_device_is_at_work_and_when_it_stops(
    state: Path, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(SECONDS)
        told = {"NOTIFY_SOCKET": manager.getsockname(), **OFTEN}
        with running("run", "--state", state, "--config", CONFIG, **told) as started:
            heard = up_to(b"STATUS=operating", manager)
            started.stop()
        heard += up_to(b"STOPPING=1", manager)

    assert b"STATUS=registering the thing" in heard
    assert heard.index(b"READY=1") > heard.index(b"STATUS=registering the thing")


def test_a_broker_that_goes_away_and_comes_back(tmp_path: Path) -> None:
    """With a local AWS of its own, since all other tests need theirs."""
    folder, ports = StateFolder(tmp_path / "cloud"), free_ports()
    with ExitStack() as at_the_end:
        with local_aws(folder, ports) as cloud:
            works = works_for(cloud, tmp_path / "station")
            state = works.make(tmp_path / "device", "SN-outage")
            device = running("run", "--state", state, "--config", CONFIG, **OFTEN)
            started = at_the_end.enter_context(device)
            before = started.wait_for(ACKNOWLEDGED)
        waiting = started.wait_for("waiting")
        with local_aws(folder, ports):
            started.wait_for("operating")
            after = started.wait_for(ACKNOWLEDGED)
            stopped = started.stop()

    assert stopped.code == 0
    assert "connection lost while operating" in waiting["detail"]
    first, second = (int(line["detail"].split()[1]) for line in (before, after))
    assert second > first


def test_another_client_takes_the_name(works: Works, state: Path, serial: str) -> None:
    """The device does not snatch the name back at once; the second time it says what to do."""
    boot_here(state)
    with running("run", "--state", state, "--config", CONFIG, **OFTEN) as started:
        started.wait_for(ACKNOWLEDGED)
        thief = session_of(works, state)
        for _ in range(2):
            thief.perform(act.Connect(Credential.DEVICE, serial))
            assert isinstance(thief.next_event(5.0), ev.Connected)
            waiting = started.wait_for("waiting")
            again = started.wait_for("operating")
        started.stop()
    # The session is one for both, so what came for the device may come to the thief.
    while isinstance(evicted := thief.next_event(5.0), ev.MessageReceived):
        pass
    thief.close()

    assert isinstance(evicted, ev.ConnectionLost)
    assert evicted.taken_over
    assert "DISCONNECT 0x8E session taken over" in waiting["detail"]
    assert again["ms"] - waiting["ms"] >= 1000
    [advice] = [line["detail"] for line in started.seen if line.get("step") == "next"]
    assert "Another client uses this device's client id" in advice


def session_of(works: Works, state: Path) -> AwscrtSession:
    """Return a session of someone who copied the device's key."""
    with open_device_storage(state, read_only=True) as storage:
        claims = InstalledClaim(storage)
        stolen = Credentials(storage, claims).tls_identity(Credential.DEVICE)
    endpoint = Endpoint(works.cloud.mqtt_host, works.cloud.mqtt_port)
    root_ca = works.cloud.root_ca.read_bytes()
    return AwscrtSession(endpoint, root_ca, lambda _: stolen, Connection())


def test_a_certificate_that_was_deactivated(works: Works, state: Path, serial: str) -> None:
    """The device keeps its identity and asks at a low rate; only a person can help."""
    identity = boot_here(state).identity
    iot = works.cloud.client("iot")
    iot.update_certificate(certificateId=identity["certificate_id"], newStatus="INACTIVE")

    with running("run", "--state", state, "--config", CONFIG, **OFTEN) as started:
        waiting = started.wait_for("waiting")
        wait_for(started, "waiting", "refused this device's identity 3 times in a row")
        iot.update_certificate(certificateId=identity["certificate_id"], newStatus="ACTIVE")
        started.wait_for(ACKNOWLEDGED)
        stopped = started.stop()

    assert stopped.code == 0
    assert "AWS IoT refused the connection made with the device certificate" in waiting["detail"]
    [advice] = [line["detail"] for line in started.seen if line.get("step") == "next"]
    assert "set INACTIVE or REVOKED" in advice
    assert f"list-thing-principals --thing-name {serial}" in advice


def test_a_denied_device_asks_again_at_a_low_rate(works: Works, state: Path, serial: str) -> None:
    works.cloud.fault(
        "reject",
        client_id=f"claim-{serial}",
        operation="provision",
        status_code=403,
        error_code="AccessDenied",
        error_message="not on the allow-list",
    )
    settings = {**OFTEN, "DEVICE_CONNECTION__RETRY__AFTER_DENIED": "1"}

    with running("run", "--state", state, "--config", CONFIG, **settings) as started:
        waiting = started.wait_for("waiting")
        started.wait_for(ACKNOWLEDGED)
        stopped = started.stop()

    assert stopped.code == 0
    assert "403 AccessDenied: not on the allow-list" in waiting["detail"]
    assert float(waiting["detail"].split(" s,")[0]) >= 0.5


def test_a_device_that_nobody_answers_is_stopped_at_once(state: Path) -> None:
    boot_here(state)

    with running(
        "run", "--state", state, "--config", CONFIG, "--endpoint", "localhost:1", **OFTEN
    ) as started:
        waiting = started.wait_for("waiting")
        stopped = started.stop()

    assert stopped.code == 0
    assert "nothing listens at localhost:1" in waiting["detail"]
