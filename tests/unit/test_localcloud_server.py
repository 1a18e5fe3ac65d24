"""What the server process runs with, and what it must not inherit."""

from pathlib import Path

from localcloud.door.access_key import AccessKey
from localcloud.process.server import environment
from localcloud.process.state_folder import Ports, StateFolder

KEY = AccessKey("AKIAOWN", "own")
FOLDER = StateFolder(Path("/state"))
INHERITED = {
    "PATH": "/bin",
    "AWS_ACCESS_KEY_ID": "AKIAREAL",
    "AWS_SECRET_ACCESS_KEY": "real",
    "AWS_SESSION_TOKEN": "real",
    "AWS_PROFILE": "real",
    "DOCKER_HOST": "tcp://real",
    "MINISTACK_HOST": "elsewhere",
    "USE_SSL": "1",
    "S3_DATA_DIR": "/real",
}


def made() -> dict[str, str]:
    return environment(FOLDER, Ports(api=1234, mqtt=5678), KEY, INHERITED, "warning")


def test_nothing_real_is_inherited() -> None:
    assert "real" not in "".join(made().values()).lower()
    assert (
        made().keys().isdisjoint({"AWS_SESSION_TOKEN", "AWS_PROFILE", "MINISTACK_HOST", "USE_SSL"})
    )


def test_the_root_key_is_its_own() -> None:
    assert made()["AWS_ACCESS_KEY_ID"] == "AKIAOWN"
    assert made()["AWS_SECRET_ACCESS_KEY"] == "own"


def test_what_python_needs_is_inherited() -> None:
    assert made()["PATH"] == "/bin"


def test_policies_are_enforced_and_state_is_kept() -> None:
    assert made()["AUTH"] == "true"
    assert made()["PERSIST_STATE"] == made()["S3_PERSIST"] == "1"


def test_the_ports_are_those_chosen() -> None:
    assert made()["GATEWAY_PORT"] == "1234"
    assert made()["IOT_MTLS_PORT"] == "5678"
    assert made()["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1234"


def test_every_file_is_below_the_state_folder() -> None:
    folders = {made()[name] for name in ("STATE_DIR", "S3_DATA_DIR", "TMPDIR")}
    assert all(Path(folder).is_relative_to(FOLDER.path) for folder in folders)


def test_services_that_open_listeners_of_their_own_are_off() -> None:
    assert {"transfer", "dsql", "rds", "ec2", "ecs"}.isdisjoint(made()["SERVICES"].split(","))
    assert made()["SFTP_ENABLED"] == "0"
