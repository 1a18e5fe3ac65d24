"""The page for other clients, tried: its quickstart, and clients that take no CA or no port."""

import os
import re
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from localcloud.process import lifecycle
from localcloud.process.state_folder import StateFolder
from tests.support.hang import SECONDS
from tests.wire.conftest import ROOT, LocalCloud, free_ports

pytestmark = pytest.mark.wire
PAGE = ROOT / "docs" / "local-aws-for-other-clients.md"
LONGEST = 40


def block(language: str) -> str:
    """Return the page's first block of a language."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text(), re.S)
    assert found
    return found[1]


def test_the_quickstart(tmp_path: Path) -> None:
    ports, folder = free_ports(), StateFolder(tmp_path / ".firstboot" / "cloud")
    up = f"localcloud up --detach --api-port {ports.api} --mqtt-port {ports.mqtt}"
    start = block("sh").replace("localcloud up --detach", up)  # other tests have the usual ones
    script = f"set -eu\n{start}\npython3 - <<'PY'\n{block('python')}\nPY\n"
    try:
        done = subprocess.run(
            ["sh", "-c", script],
            cwd=tmp_path,
            env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    finally:
        server = folder.server()
        if server:
            lifecycle.stop(folder, server)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["SN-1"]), done.stderr


def test_the_quickstart_is_short() -> None:
    assert len(block("sh").splitlines()) <= LONGEST


def test_a_client_that_trusts_the_system(
    local_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(local_cloud.root_ca))
    connection = socket.create_connection((local_cloud.mqtt_host, local_cloud.mqtt_port), SECONDS)
    with ssl.create_default_context().wrap_socket(connection, server_hostname="localhost") as tls:
        assert tls.version()


@pytest.mark.parametrize("port", [443, 8883])
def test_a_client_with_a_port_of_its_own_and_a_proxy(local_cloud: LocalCloud, port: int) -> None:
    context = ssl.create_default_context(cafile=str(local_cloud.root_ca))
    with socket.create_connection(
        (local_cloud.mqtt_host, local_cloud.mqtt_port), SECONDS
    ) as connection:
        connection.sendall(f"CONNECT localhost:{port} HTTP/1.1\r\n\r\n".encode())
        assert connection.recv(1024).startswith(b"HTTP/1.1 200 ")
        with context.wrap_socket(connection, server_hostname="localhost") as tls:
            assert tls.version()
