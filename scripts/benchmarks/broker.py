"""The local AWS's MQTT broker: connections, QoS 1 round trips, memory; against an earlier commit.

The yardstick is the last commit with MiniStack's own MQTT session (docs/adr/0017), taken from the
repository's history, with the same packages. Each run starts a local AWS again. Processor time and
memory are those of the local AWS, read from ``/proc``: Linux only.
"""

import json
import os
import socket
import ssl
import struct
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, Final, Self

import boto3

from scripts.benchmarks.comparison import Figures, Quantity, Row, alternate, compare
from scripts.benchmarks.processes import BenchError
from scripts.benchmarks.workbench import CHECKOUT, Workbench, local_aws

BEFORE: Final = "50b1895"
_CONNECTIONS: Final = 100
_ROUND_TRIPS: Final = 1000
_WARM_UP: Final = 20
_SECONDS: Final = 30.0
_EVERYTHING: Final = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}],
    }
)
_QUANTITIES: Final = (
    Quantity("connect_wall", "TLS, CONNECT, CONNACK", "ms"),
    Quantity("connect_cpu", "its processor time", "ms"),
    Quantity("round_trip_wall", "QoS 1 round trip", "ms"),
    Quantity("round_trip_cpu", "its processor time", "ms"),
    Quantity("memory", "memory a connection", "KiB"),
)


def broker(rounds: int) -> Mapping[str, list[Row]]:
    """Measure this checkout's broker and that of `BEFORE`, in turn.

    Raises:
        BenchError: the checkout has no history that goes back so far.
    """
    with tempfile.TemporaryDirectory(prefix="firstboot-before-") as name:
        before = Path(name)
        _take_from_history(before)
        ours, yardstick = alternate([lambda _: _run(CHECKOUT), lambda _: _run(before)], rounds)
    return {"broker": compare(_QUANTITIES, ours, yardstick)}


def _take_from_history(folder: Path) -> None:
    command = ["git", "archive", BEFORE, "localcloud", "device", "factory"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, check=False)  # noqa: S603
    if done.returncode:
        reason = done.stderr.decode().strip()
        raise BenchError(f"commit {BEFORE} is not in this repository's history: {reason}")
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")


def _run(checkout: Path) -> Figures:
    with local_aws(checkout) as bench, _client_of(bench) as client:
        for number in range(_WARM_UP):
            client.connect(f"warm-{number}").close()
        return {**client.round_trips(), **client.connections()}


@contextmanager
def _client_of(bench: Workbench) -> Iterator["_Client"]:
    iot = boto3.client(
        "iot",
        endpoint_url=bench.cloud["AWS_ENDPOINT_URL"],
        region_name=bench.cloud["AWS_DEFAULT_REGION"],
        aws_access_key_id=bench.cloud["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=bench.cloud["AWS_SECRET_ACCESS_KEY"],
    )
    iot.create_policy(policyName="everything", policyDocument=_EVERYTHING)
    made = iot.create_keys_and_certificate(setAsActive=True)
    iot.attach_policy(policyName="everything", target=made["certificateArn"])
    pem = bench.folder / "client.pem"
    pem.touch(0o600)
    pem.write_text(made["certificatePem"] + made["keyPair"]["PrivateKey"])
    record = json.loads((bench.folder / "cloud" / "server.json").read_text())
    yield _Client(bench.cloud, pem, record["pid"])


class _Client:
    """Opens connections to one local AWS and says what they cost it."""

    def __init__(self, cloud: Mapping[str, str], pem: Path, pid: int) -> None:
        host, _, port = cloud["DEVICE_ENDPOINT"].rpartition(":")
        self._address = (host, int(port))
        self._context = ssl.create_default_context(cafile=cloud["DEVICE_ROOT_CA"])
        self._context.load_cert_chain(pem)
        self._process = Path("/proc", str(pid))

    def connect(self, client_id: str) -> "_Mqtt":
        raw = socket.create_connection(self._address, timeout=_SECONDS)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        mqtt = _Mqtt(self._context.wrap_socket(raw, server_hostname=self._address[0]))
        mqtt.send(0x10, _text("MQTT") + b"\x04\x02\x00\x3c" + _text(client_id))
        mqtt.expect(2)
        return mqtt

    def connections(self) -> Figures:
        """Hold many connections at once."""
        with ExitStack() as stack:
            memory, cpu, begun = self._memory(), self._cpu(), time.perf_counter()
            for number in range(_CONNECTIONS):
                stack.enter_context(self.connect(f"held-{number}"))
            wall = time.perf_counter() - begun
            return {
                "connect_wall": wall / _CONNECTIONS * 1e3,
                "connect_cpu": (self._cpu() - cpu) / _CONNECTIONS * 1e3,
                "memory": (self._memory() - memory) / _CONNECTIONS,
            }

    def round_trips(self) -> Figures:
        """Publish to oneself: a PUBACK, and the message, which is acknowledged."""
        with self.connect("round-trips") as mqtt:
            mqtt.send(0x82, b"\x00\x01" + _text("dt/round") + b"\x01")
            mqtt.expect(9)
            for _ in range(_WARM_UP):
                mqtt.round_trip()
            cpu, begun = self._cpu(), time.perf_counter()
            for _ in range(_ROUND_TRIPS):
                mqtt.round_trip()
            wall = time.perf_counter() - begun
            return {
                "round_trip_wall": wall / _ROUND_TRIPS * 1e3,
                "round_trip_cpu": (self._cpu() - cpu) / _ROUND_TRIPS * 1e3,
            }

    def _cpu(self) -> float:
        """Return the processor seconds of the local AWS, user and system."""
        fields = (self._process / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _memory(self) -> float:
        """Return its resident memory in KiB."""
        pages = int((self._process / "statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1024


class _Mqtt:
    """One connection of a client that knows no more of MQTT 3.1.1 than this bench needs."""

    def __init__(self, connected: ssl.SSLSocket) -> None:
        self._socket = connected
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: Any) -> None:
        self.close()

    def close(self) -> None:
        self.send(0xE0, b"")
        self._socket.close()

    def send(self, first: int, body: bytes) -> None:
        self._socket.sendall(bytes([first, len(body)]) + body)

    def round_trip(self) -> None:
        self.send(0x32, _text("dt/round") + b"\x00\x07" + b'{"t": 21.5}')
        kinds: set[int] = set()
        while kinds != {3, 4}:
            kind, body = self._read()
            kinds.add(kind)
            if kind == 3:
                self.send(0x40, body[2 + len("dt/round") :][:2])

    def expect(self, kind: int) -> None:
        while self._read()[0] != kind:
            pass

    def _read(self) -> tuple[int, bytes]:
        while len(self._buffer) < 2 or len(self._buffer) < 2 + self._buffer[1]:
            data = self._socket.recv(4096)
            if not data:
                raise BenchError("the local AWS closed the connection")
            self._buffer += data
        end = 2 + self._buffer[1]
        packet, self._buffer = self._buffer[:end], self._buffer[end:]
        return packet[0] >> 4, packet[2:]


def _text(value: str) -> bytes:
    return struct.pack("!H", len(value)) + value.encode()
