"""The process: it answers, stays on loopback, keeps its state and gives its reasons."""

import json
import os
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import pytest

from localcloud.cli import main
from localcloud.errors import FAULT, NO_SUCH_PATH
from localcloud.process.state_folder import StateFolder
from tests.support.errors import raises
from tests.support.hang import SECONDS
from tests.wire.conftest import ROOT, LocalCloud, free_ports, python, running
from tests.wire.localcloud_sdk import (
    Credential,
    IdentityV2,
    mqtt5_client,
    new_csr,
    prepare_fleet,
    publish,
)

pytestmark = pytest.mark.wire


def provision(cloud: LocalCloud, serial: str) -> Credential:
    fleet = prepare_fleet(cloud)
    csr, key = new_csr(serial)
    with mqtt5_client(cloud, fleet.claim, f"claim-{serial}") as client:
        identity = IdentityV2(client)
        made = identity.create_from_csr(csr)
        identity.register(fleet.template, made.certificate_ownership_token, serial)
    return Credential(made.certificate_id, made.certificate_pem, key)


def run_script(folder: Path, text: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    script = folder / "script.py"
    script.write_text(text)
    return subprocess.run(
        python(str(script), *arguments),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


# --- state ---------------------------------------------------------------------------


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_device_provisioned_before_the_end_connects_after_it(
    tmp_path: Path, end: signal.Signals
) -> None:
    folder = StateFolder(tmp_path / "cloud")
    with running(folder, free_ports()) as cloud:
        device = provision(cloud, "SN-1")
        root_ca = cloud.root_ca.read_bytes()
        os.kill(cloud.pid, end)

    ports = folder.remembered_ports()
    assert ports is not None
    with running(folder, ports) as cloud, mqtt5_client(cloud, device, "SN-1") as client:
        assert publish(client, "dt/SN-1/telemetry") == 0
        assert cloud.root_ca.read_bytes() == root_ca


def test_a_change_is_on_disk_when_it_is_answered(local_cloud: LocalCloud) -> None:
    local_cloud.client("iot").create_thing(thingName="saved-at-once")
    services = local_cloud.folder.services
    kept = [(services / name).read_text() for name in ("iot.json", "changes.journal")]
    assert "saved-at-once" in "".join(kept)


def test_reset_empties_it_and_it_works_on(tmp_path: Path) -> None:
    with running(StateFolder(tmp_path / "cloud"), free_ports()) as cloud:
        cloud.client("iot").create_thing(thingName="forgotten")
        cloud.fault("drop-reply")
        main(["reset", "--state", str(cloud.folder.path)])
        assert cloud.client("iot").list_things()["things"] == []
        assert cloud.admin("GET", "faults") == []
        device = provision(cloud, "SN-2")
        with mqtt5_client(cloud, device, "SN-2") as client:
            assert publish(client, "dt/SN-2/telemetry") == 0


# --- what it opens, writes and says --------------------------------------------------


def test_it_listens_on_loopback_only(local_cloud: LocalCloud) -> None:
    addresses = listening_addresses(local_cloud.pid)
    assert {port for _host, port in addresses} == {
        int(local_cloud.api_url.rpartition(":")[2]),
        local_cloud.mqtt_port,
    }
    assert {host for host, _port in addresses} == {"127.0.0.1"}


GUARD = """
import os, socket, sys
from pathlib import Path
from localcloud.process.server import environment
from localcloud.process.state_folder import Ports, StateFolder
folder, ports = StateFolder(Path(sys.argv[1])), Ports(1, 2)
os.environ.update(environment(folder, ports, folder.access_key(), {}, "warning"))
from localcloud.process.cloud import Cloud
Cloud(folder, ports)
socket.create_server(("0.0.0.0", 0))
"""


def test_no_part_of_it_can_listen_elsewhere(tmp_path: Path) -> None:
    StateFolder(tmp_path / "cloud").create()
    ended = run_script(tmp_path, GUARD, str(tmp_path / "cloud"))
    assert "the local AWS binds to 127.0.0.1 only" in ended.stderr


def test_everything_it_writes_is_for_its_owner_only(local_cloud: LocalCloud) -> None:
    folder = local_cloud.folder.path
    written = [path for path in folder.rglob("*") if path.name != "server.log"]  # the fixture's
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path for path in written if stat.S_IMODE(path.stat().st_mode) & 0o077} == set()


def test_no_private_key_is_logged(local_cloud: LocalCloud) -> None:
    prepare_fleet(local_cloud)
    assert "PRIVATE KEY" not in local_cloud.folder.log.read_text()


def test_it_says_that_it_is_not_for_production(local_cloud: LocalCloud) -> None:
    assert "NOT FOR PRODUCTION" in local_cloud.folder.log.read_text()


def test_a_second_server_on_the_same_state_only_says_so(local_cloud: LocalCloud) -> None:
    arguments = python("-m", "localcloud", "up", "--state", str(local_cloud.folder.path))
    second = subprocess.run(arguments, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert second.returncode == 0
    assert "Already running" in second.stderr


def test_an_admin_path_that_is_none_is_refused(local_cloud: LocalCloud) -> None:
    with raises(NO_SUCH_PATH, match="there is no GET nothing"):
        local_cloud.admin("GET", "nothing")


SERVE = """
import sys
from pathlib import Path
from localcloud.process.server import serve
from localcloud.process.state_folder import Ports, StateFolder
serve(StateFolder(Path(sys.argv[1])), Ports(int(sys.argv[2]), int(sys.argv[3])))
"""


@pytest.mark.parametrize("flag", ["--api-port", "--mqtt-port"])
def test_a_port_lost_between_choice_and_start_ends_it(tmp_path: Path, flag: str) -> None:
    StateFolder(tmp_path / "cloud").create()
    ports = free_ports()
    lost = ports.api if flag == "--api-port" else ports.mqtt
    with socket.create_server(("127.0.0.1", lost)):
        state = str(tmp_path / "cloud")
        ended = run_script(tmp_path, SERVE, state, str(ports.api), str(ports.mqtt))
    assert ended.returncode == 1
    assert f"LocalCloudError: port {lost}" in ended.stderr


def test_web_pages_are_kept_from_the_admin_paths(local_cloud: LocalCloud) -> None:
    port = int(local_cloud.api_url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
        connection.sendall(
            b"POST /_localcloud/reset HTTP/1.1\r\nHost: x\r\nOrigin: http://evil\r\n"
            b"Content-Length: 0\r\nConnection: close\r\n\r\n"
        )
        assert connection.recv(64).startswith(b"HTTP/1.1 403")


def listening_addresses(pid: int) -> set[tuple[str, int]]:
    """Return the (host, port) of every socket on which a process listens, from /proc."""
    mine = set()
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            mine.add(str(handle.readlink()))
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
    ]
    listening = [row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in mine]
    return {(readable(host), int(port, 16)) for host, port in (a.split(":") for a in listening)}


def readable(host: str) -> str:
    address = bytes.fromhex(host)
    if len(address) == 4:
        return socket.inet_ntoa(address[::-1])  # one word in the byte order of this machine
    return host


# --- the command line, in the order of a working day ---------------------------------


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("cli") / "cloud"
    ports = free_ports()
    arguments = ["--api-port", str(ports.api), "--mqtt-port", str(ports.mqtt)]
    main(["up", "--detach", "--state", str(path), *arguments])
    yield path
    main(["down", "--state", str(path)])


def environment(state: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    capsys.readouterr()
    main(["env", "--json", "--state", str(state)])
    variables: dict[str, str] = json.loads(capsys.readouterr().out)
    return variables


def iot_client(variables: dict[str, str]) -> Any:
    return boto3.client(
        "iot",
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        region_name=variables["AWS_DEFAULT_REGION"],
    )


def test_up_detach_returns_when_both_ports_answer(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    variables = environment(state, capsys)
    host, _, port = variables["DEVICE_ENDPOINT"].rpartition(":")
    socket.create_connection((host, int(port)), timeout=1).close()
    assert iot_client(variables).list_things()["things"] == []
    assert Path(variables["DEVICE_ROOT_CA"]).read_text().startswith("-----BEGIN CERTIFICATE")


def test_up_again_says_that_it_runs(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["up", "--detach", "--state", str(state)])
    assert f"Already running on {state}" in capsys.readouterr().err


def test_up_again_on_other_ports_is_refused(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["up", "--detach", "--state", str(state), "--mqtt-port", "1"])
    assert ended.value.code == 1
    assert "already runs with --mqtt-port" in capsys.readouterr().err


def test_what_the_server_refuses_keeps_its_code(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["fault", "nonsense", "--state", str(state)])
    assert ended.value.code == 2
    assert f"error {FAULT.code}: " in capsys.readouterr().err


def test_up_again_with_other_manners_is_refused(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["up", "--detach", "--state", str(state), "--rude", "7"])
    assert ended.value.code == 1
    assert "already runs with --rude 0 --seed 1" in capsys.readouterr().err


def test_up_names_who_has_the_port(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = environment(state, capsys)["DEVICE_ENDPOINT"].rpartition(":")[2]
    with pytest.raises(SystemExit) as ended:
        main(["up", "--detach", "--state", str(tmp_path / "other"), "--mqtt-port", taken])
    assert ended.value.code == 1
    assert f"port {taken} on 127.0.0.1 is in use by process" in capsys.readouterr().err


def test_down_saves_and_nothing_runs_after_it(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    iot_client(environment(state, capsys)).create_thing(thingName="kept")
    main(["down", "--state", str(state)])
    assert "kept" in (state / "services" / "iot.json").read_text()
    with pytest.raises(SystemExit):
        main(["env", "--state", str(state)])
    assert "next: Start it: localcloud up --detach" in capsys.readouterr().err


def test_down_when_nothing_runs_is_done_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["down", "--state", str(tmp_path)])
    assert "Nothing runs" in capsys.readouterr().err


def test_a_start_that_fails_shows_the_last_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = StateFolder(tmp_path / "cloud")
    folder.create()
    folder.issuing_ca.write_text("not a key")
    ports = free_ports()
    arguments = ["--api-port", str(ports.api), "--mqtt-port", str(ports.mqtt)]
    with pytest.raises(SystemExit):
        main(["up", "--detach", "--state", str(folder.path), *arguments])
    said = capsys.readouterr().err
    assert "did not start: the process ended" in said
    assert "issuing-ca.pem" in said
    assert "Traceback" not in said
