"""One local AWS for all wire tests of a run: its own process, free ports, state in a tmp folder."""

import functools
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from localcloud.process import lifecycle
from localcloud.process.state_folder import Ports, StateFolder
from pytest_firstboot import LocalAWS, local_aws

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
    return Ports(*local_aws.free_ports())


def python(*arguments: str) -> list[str]:
    """Return a command line for this run's Python."""
    return [sys.executable, *arguments]


@contextmanager
def running(folder: StateFolder, ports: Ports) -> Iterator[LocalCloud]:
    """Run a local AWS in its own process, from when it answers until it has saved."""
    with local_aws_in(folder, ports) as started:
        yield described(started, folder)


def local_aws_in(
    folder: StateFolder, ports: Ports, command: Sequence[str] = tuple(python("-m", "localcloud"))
) -> LocalAWS:
    """Return a local AWS, as the fixtures of users start one."""
    folder.create()
    return LocalAWS(folder.path, ports=(ports.api, ports.mqtt), log=folder.log, command=command)


def described(started: LocalAWS, folder: StateFolder) -> LocalCloud:
    """Return what the suite's tests know of a local AWS."""
    host, _, port = started.mqtt_endpoint.rpartition(":")
    return LocalCloud(
        api_url=started.api_url,
        mqtt_host=host,
        mqtt_port=int(port),
        root_ca=folder.root_ca,
        environment=started.environment,
        folder=folder,
        pid=started.pid,
    )
