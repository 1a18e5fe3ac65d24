"""A key in another process without hardware: p11-kit's server, SoftHSM behind it."""

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.errors import ExitCode
from device.storage.device_storage import open_device_storage
from device.storage.element.installation import element_at, install_element
from tests.support.device_process import Works, boot, device, works_for
from tests.support.elements import variables
from tests.support.key_server import KeyServer, key_server
from tests.wire.conftest import LocalCloud


@pytest.fixture
def server(label: str) -> Iterator[KeyServer]:
    with key_server(label) as running_server:
        yield running_server


@pytest.fixture
def works(local_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Works:
    return works_for(local_cloud, tmp_path_factory.getbasetemp() / "element-station")


@pytest.fixture
def state(works: Works, server: KeyServer, label: str, tmp_path: Path) -> Path:
    """A device by claim that was told of the server."""
    made = works.make(tmp_path / "device", label.replace("dev-", "SN-"))
    with open_device_storage(made) as storage:
        install_element(storage, server.element)
    return made


def test_the_device_uses_a_key_that_another_user_s_process_holds(
    server: KeyServer, state: Path, label: str
) -> None:
    done = boot(state)
    assert done.code == ExitCode.DONE, done.err
    status = device("status", "--state", state).lines[0]

    assert done.identity["key_uri"].startswith(f"pkcs11:token={label};object=device-key.1;")
    assert "p11-kit-client.so" in done.identity["key_uri"]
    assert status["key_proofs"] == ["local", "never-extractable", "always-sensitive"]
    key_files = list((server.folder / "tokens").rglob("*.object"))
    assert len(key_files) >= 2, "private and public half"
    owners = {pwd.getpwuid(file.stat().st_uid).pw_name for file in key_files}
    assert owners == {server.user}
    assert all(file.stat().st_mode & 0o077 == 0 for file in key_files)
    if os.geteuid() == 0:
        assert server.user == "nobody"


def test_a_server_that_is_not_there_is_waited_for_by_the_next_boot(
    server: KeyServer, state: Path
) -> None:
    server.stop()
    refused = boot(state)
    assert (refused.error["error"], refused.code) == ("TokenMissingError", ExitCode.TRY_LATER)
    assert "P11_KIT_SERVER_ADDRESS" in refused.error["next_step"]
    server.start()
    assert boot(state).code == ExitCode.DONE


def test_the_station_notes_where_the_server_listens(server: KeyServer) -> None:
    with variables(server.element.environment):
        assert element_at(server.element.uri).environment["P11_KIT_SERVER_ADDRESS"]
