"""One local AWS for all wire tests of a run: its own process, free ports, state in a tmp folder."""

import functools
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import coverage

from localcloud import lifecycle
from localcloud.state_folder import Ports, Server, StateFolder
from localcloud.verbs.env import environment_of
from tests.support.hang import SECONDS

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class LocalCloud:
    """Where the local AWS answers, and how to reach it."""

    api_url: str
    mqtt_host: str
    mqtt_port: int
    root_ca: Path
    environment: Mapping[str, str]
    """What ``localcloud env`` prints: endpoint, credentials, region, DEVICE_ENDPOINT, ..."""
    folder: StateFolder
    pid: int

    def client(self, service: str, access_key: str | None = None, region: str | None = None) -> Any:
        """Return a boto3 client with the root key, or with another one, of a Region."""
        return client_of(
            service,
            self.api_url,
            access_key or self.environment["AWS_ACCESS_KEY_ID"],
            self.environment["AWS_SECRET_ACCESS_KEY"],
            region or self.environment["AWS_DEFAULT_REGION"],
        )

    def admin(self, method: str, path: str, document: object = None) -> Any:
        """Call an admin path, such as ``faults``."""
        return lifecycle.call(self.folder, method, path, document)

    def fault(self, kind: str, **fields: object) -> Any:
        """Switch a fault on (docs/local-aws.md); `clear_faults` switches all off."""
        return self.admin("POST", "faults", {"kind": kind, **fields})

    def clear_faults(self) -> None:
        """Switch every fault off."""
        self.admin("DELETE", "faults")


@functools.cache
def client_of(service: str, url: str, access_key: str, secret: str, region: str) -> Any:
    """Return a boto3 client; one takes a third of a second to make, so each is made once."""
    return boto3.client(
        service,
        endpoint_url=url,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret,
        region_name=region,
    )


def free_ports() -> Ports:
    """Return two ports that nobody listens on."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return Ports(one.getsockname()[1], other.getsockname()[1])


def python(*arguments: str) -> list[str]:
    """Return a command line for this run's Python."""
    return [sys.executable, *arguments]


def measured(*arguments: str) -> list[str]:
    """Return a command line for this run's Python, whose coverage counts if this run's does.

    For the local AWS only, which runs nowhere else. It doubles the time of a short process.
    """
    current = coverage.Coverage.current()
    if current is None:
        return python(*arguments)
    options = [f"--rcfile={ROOT / 'setup.cfg'}", f"--data-file={current.config.data_file}"]
    return python("-m", "coverage", "run", "--parallel-mode", *options, *arguments)


@contextmanager
def running(folder: StateFolder, ports: Ports) -> Iterator[LocalCloud]:
    """Run a local AWS in its own process, from when it answers until it has saved."""
    folder.create()
    arguments = ["-m", "localcloud", "up", "--state", str(folder.path)]
    arguments += ["--api-port", str(ports.api), "--mqtt-port", str(ports.mqtt)]
    with folder.log.open("wb") as log:
        process = subprocess.Popen(measured(*arguments), cwd=ROOT, stdout=log, stderr=log)
    try:
        server = lifecycle.wait_until_ready(folder, lambda: process.poll() is not None)
        yield _describe(folder, server)
    finally:
        process.terminate()
        try:
            process.wait(timeout=SECONDS)
        finally:
            process.kill()  # one that does not stop would outlive the run


def _describe(folder: StateFolder, server: Server) -> LocalCloud:
    environment = environment_of(folder, server)
    host, _, port = environment["DEVICE_ENDPOINT"].rpartition(":")
    return LocalCloud(
        api_url=environment["AWS_ENDPOINT_URL"],
        mqtt_host=host,
        mqtt_port=int(port),
        root_ca=folder.root_ca,
        environment=environment,
        folder=folder,
        pid=server.pid,
    )
