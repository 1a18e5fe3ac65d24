"""The local AWS as a process of its own: started, asked, disturbed and stopped from a program.

It is usable without pytest. Nothing of ``localcloud`` is imported: its command line starts it, and
its admin paths (docs/local-aws.md) are called as any client of AWS calls AWS.
"""

import hashlib
import http.client
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from threading import Timer
from typing import IO, Any, Final, Self

_LOOPBACK: Final = "127.0.0.1"
_ADMIN: Final = "/_localcloud/"
_SERVICE: Final = "localcloud"
_START_SECONDS: Final = 180.0
_STOP_SECONDS: Final = 120.0
_CALL_SECONDS: Final = 30.0
_TRIES: Final = 3
_COMMAND: Final = (sys.executable, "-m", "localcloud")


class LocalAWSError(Exception):
    """The local AWS did not start, did not answer, or refused what it was asked."""


@dataclass(frozen=True)
class Fault:
    """A fault that is switched on."""

    id: int | None
    kind: str


class LocalAWS:
    """One local AWS, with its state in a folder; use it in a ``with`` statement or stop it."""

    def __init__(
        self,
        state: Path | str,
        *,
        ports: tuple[int, int] | None = None,
        log: Path | None = None,
        command: Sequence[str] = _COMMAND,
        outlives_ctrl_c: bool = False,
    ) -> None:
        """Name the folder; nothing is started yet.

        Args:
            state: the folder; made if it is not there, and kept at the end.
            ports: for the API and for MQTT; default: free ones.
            log: where to write what it has to say; default: beside the folder, ``STATE.log``.
            command: how to run ``localcloud``; default: this Python's.
            outlives_ctrl_c: whether Ctrl-C in a terminal, which reaches each process of a group,
                leaves it running until `stop`; for who asks it afterwards what there is.
        """
        self.state: Final = Path(state)
        self.log: Final = log or Path(f"{state}.log")
        self.environment: Mapping[str, str] = {}
        """What ``localcloud env`` prints: what leads boto3, the AWS CLI and a device to it."""
        self._command: Final = tuple(command)
        self._group: Final = 0 if outlives_ctrl_c else None
        self._process: subprocess.Popen[bytes] | None = None
        self._ports = ports

    def start(self) -> Self:
        """Start it, on the ports of its earlier run if there was one; return once it answers.

        Raises:
            LocalAWSError: it ended, or did not answer within three minutes.
        """
        for attempt in range(1, _TRIES + 1):
            ports = self._ports or free_ports()
            try:
                self._start_on(ports)
            except LocalAWSError:
                if attempt == _TRIES or self._ports is not None:
                    raise
                continue  # somebody else may have taken a port meanwhile
            self._ports = ports
            return self
        raise AssertionError("unreachable")

    def stop(self) -> None:
        """Ask it to save and end; return when it has."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        finally:
            if process.stdout is not None:
                process.stdout.close()

    def restart(self) -> None:
        """Stop and start it on the same ports; what it keeps is kept, and its clock is set right.

        Raises:
            LocalAWSError: as for `start`.
        """
        self.stop()
        self.start()

    @property
    def pid(self) -> int:
        """The process id.

        Raises:
            LocalAWSError: it does not run.
        """
        if self._process is None:
            raise LocalAWSError(f"no local AWS runs on {self.state}")
        return self._process.pid

    @property
    def api_url(self) -> str:
        """Where boto3 and the AWS CLI find it."""
        return self.environment["AWS_ENDPOINT_URL"]

    @property
    def mqtt_endpoint(self) -> str:
        """Where devices find it, as ``HOST:PORT``."""
        return self.environment["DEVICE_ENDPOINT"]

    @property
    def root_ca(self) -> Path:
        """The CA that vouches for it."""
        return Path(self.environment["DEVICE_ROOT_CA"])

    # --- faults, wire, clock -----------------------------------------------------------------

    def fault(self, kind: str, **fields: object) -> Fault:
        """Switch a fault on; its kinds and their fields are in docs/local-aws.md.

        Raises:
            LocalAWSError: there is no such kind or field; the text names it.
        """
        answer = self.call("POST", "faults", {"kind": kind, **fields})
        return Fault(answer.get("id"), kind)

    def faults(self) -> list[dict[str, Any]]:
        """Return the faults that are on."""
        return list(self.call("GET", "faults"))

    def clear_faults(self, fault: Fault | None = None) -> None:
        """Switch one fault off, or all of them."""
        number = "" if fault is None else f"/{fault.id}"
        self.call("DELETE", f"faults{number}")

    def wire(self, after: int = 0) -> list[dict[str, Any]]:
        """Return what devices and broker said to each other, from event number ``after`` on."""
        return list(self.call("GET", f"wire/after/{after}"))

    def clock(self) -> dict[str, Any]:
        """Return the cloud's clock: ``now``, and by how many seconds it is ahead."""
        return dict(self.call("GET", "clock"))

    def advance_clock(self, seconds: float) -> dict[str, Any]:
        """Set the cloud's clock ``seconds`` further ahead; `restart` sets it right again."""
        return dict(self.call("POST", "clock", {"advance_seconds": seconds}))

    def settings(self, **changes: float | str) -> dict[str, Any]:
        """Change how long AWS takes over things (docs/local-aws.md); return all settings."""
        if changes:
            return dict(self.call("PUT", "settings", changes))
        return dict(self.call("GET", "settings"))

    def reset(self) -> None:
        """Forget all things, certificates, policies and objects; the ports stay."""
        self.call("POST", "reset")

    def call(self, method: str, path: str, document: object = None) -> Any:
        """Call an admin path, such as ``faults``, and return what it answers.

        Raises:
            LocalAWSError: it does not answer, or refuses.
        """
        body = json.dumps(document).encode()
        port = int(self.api_url.rpartition(":")[2])
        connection = http.client.HTTPConnection(_LOOPBACK, port, timeout=_CALL_SECONDS)
        try:
            connection.request(method, _ADMIN + path, body, self._signed(method, path, body))
            response = connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise LocalAWSError(f"no answer on port {port}: {error}") from error
        finally:
            connection.close()
        if response.status != http.HTTPStatus.OK:
            raise LocalAWSError(f"{method} {path} was refused: {answer}")
        return answer

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- the process -------------------------------------------------------------------------

    def _start_on(self, ports: tuple[int, int]) -> None:
        api, mqtt = ports
        words = ["--api-port", str(api), "--mqtt-port", str(mqtt), "--json"]
        self.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self._process = process = subprocess.Popen(  # noqa: S603 - our own command
                [*self._command, "up", "--state", str(self.state), *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                process_group=self._group,
            )
        if not _said_something(process):
            self.stop()
            words_said = self.log.read_text(errors="replace").splitlines()[-12:]
            raise LocalAWSError("\n".join(["the local AWS did not start:", *words_said]))
        self.environment = self._told_environment()

    def _told_environment(self) -> Mapping[str, str]:
        done = subprocess.run(  # noqa: S603 - our own command
            [*self._command, "env", "--state", str(self.state), "--json"],
            capture_output=True, text=True, check=False, timeout=_START_SECONDS,
        )  # fmt: skip
        if done.returncode:
            raise LocalAWSError(f"localcloud env: {done.stderr}")
        return dict(json.loads(done.stdout))

    def _signed(self, method: str, path: str, body: bytes) -> dict[str, str]:
        from botocore.auth import SigV4Auth  # noqa: PLC0415 - not every test run needs it
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415
        from botocore.credentials import Credentials  # noqa: PLC0415

        digest = {"X-Amz-Content-SHA256": hashlib.sha256(body).hexdigest()}
        request = AWSRequest(method, f"{self.api_url}{_ADMIN}{path}", digest, body)
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        key = Credentials(*(self.environment[name] for name in names))
        SigV4Auth(key, _SERVICE, self.environment["AWS_DEFAULT_REGION"]).add_auth(request)
        return dict(request.headers.items())


def free_ports() -> tuple[int, int]:
    """Return two ports of this machine that nobody listens on."""
    with socket() as one, socket() as other:
        one.bind((_LOOPBACK, 0))
        other.bind((_LOOPBACK, 0))
        return one.getsockname()[1], other.getsockname()[1]


def _said_something(process: "subprocess.Popen[bytes]") -> bool:
    """Wait until the process says, in JSON, where it answers; False if it ends without."""
    out: IO[bytes] | None = process.stdout
    if out is None:
        return False
    patience = Timer(_START_SECONDS, process.kill)
    patience.start()
    try:
        line = out.readline()
    finally:
        patience.cancel()
    with suppress(ValueError):
        return "api_port" in json.loads(line)
    return False
