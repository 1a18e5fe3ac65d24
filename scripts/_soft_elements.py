"""Runs the secure elements in software: SoftHSM2, and tpm2-pkcs11 on a TPM in software.

A module finds its tokens by the environment when it is initialised, once in a process. So a
process has one place for the tokens of each kind, and each device gets a token of its own there.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from device.errors.element import NO_MODULE
from device.storage.element.installation import InstalledElement
from device.storage.element.pkcs11_uri import Pkcs11Uri
from factory.making.element_token import find_softhsm, initialize_token
from scripts._elements import PATH

SO_PIN: Final = "5678-officer"
PIN: Final = "1234-user-pin"
_TRIES: Final = 3


@dataclass(frozen=True)
class ElementBench:
    """Where blank tokens of one kind come from."""

    kind: str
    module_path: Path
    folder: Path
    environment: Mapping[str, str]

    def new_token(self, label: str) -> InstalledElement:
        """Return a token of this label; its PIN is `PIN`, in a file."""
        initialize_token(self.module_path, label, so_pin=SO_PIN, pin=PIN)
        pin_file = self.folder / f"{label}.pin"
        pin_file.touch(mode=0o600)
        pin_file.write_text(f"{PIN}\n")
        uri = Pkcs11Uri(token=label, module_path=self.module_path, pin_source=pin_file)
        return InstalledElement(str(uri), dict(self.environment))


def softhsm_module() -> Path:
    """Return SoftHSM's module; the variable PKCS11_MODULE may name another.

    Raises:
        NoModuleError: it is not installed.
    """
    named = os.environ.get("PKCS11_MODULE")
    return Path(named) if named else find_softhsm()


def tpm_module() -> Path:
    """Return tpm2-pkcs11's module.

    Raises:
        NoModuleError: it, or a program that it needs, is not installed.
    """
    found = sorted(Path("/usr/lib").glob("*/pkcs11/libtpm2_pkcs11.so"))
    programs = ("swtpm", "swtpm_setup", "tpm2-abrmd", "dbus-daemon")
    missing = [name for name in programs if not shutil.which(name, path=PATH)]
    if missing or not found:
        problem = f"cannot be used: {', '.join(missing) or 'it'} is not installed"
        raise NO_MODULE.error(problem, path=Path("libtpm2_pkcs11.so"))
    return found[0]


@contextmanager
def softhsm(folder: Path) -> Iterator[ElementBench]:
    """SoftHSM with its tokens in ``folder``."""
    module_path = softhsm_module()
    (folder / "tokens").mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n")
    environment = {"SOFTHSM2_CONF": str(configuration)}
    with variables(environment):
        yield ElementBench("softhsm", module_path, folder, environment)


@contextmanager
def tpm(folder: Path) -> Iterator[ElementBench]:
    """A TPM of its own: swtpm, and tpm2-abrmd in front of it on a message bus of its own."""
    module_path = tpm_module()
    (folder / "store").mkdir()
    with ExitStack() as stack:
        bus = stack.enter_context(_message_bus(folder))
        stack.enter_context(variables({"DBUS_SESSION_BUS_ADDRESS": bus}))
        stack.enter_context(_started_tpm(folder))
        environment = {
            "DBUS_SESSION_BUS_ADDRESS": bus,
            "TPM2_PKCS11_TCTI": "tabrmd:bus_type=session",
            "TPM2_PKCS11_STORE": str(folder / "store"),
        }
        stack.enter_context(variables(environment))
        yield ElementBench("tpm", module_path, folder, environment)


def _started_tpm(folder: Path) -> ExitStack:
    """Start a TPM and its resource manager; anew, if another process took a port of it first."""
    for number in range(_TRIES):
        place = folder / f"tpm-{number}"
        place.mkdir()
        with ExitStack() as started, suppress(TimeoutError):
            port = started.enter_context(swtpm(place))
            started.enter_context(_resource_manager(port, place))
            _wait_for_name_on_bus()
            return started.pop_all()
    raise TimeoutError(f"no TPM came up; {folder} has the logs")


def _resource_manager(port: int, place: Path) -> AbstractContextManager[subprocess.Popen[bytes]]:
    command = ["tpm2-abrmd", "--session", f"--tcti=swtpm:host=127.0.0.1,port={port}"]
    command += ["--max-connections=100"]  # killed processes leave theirs for a while
    root = ["--allow-root"] if os.geteuid() == 0 else []
    return _running([*command, *root], place / "abrmd.log")


@contextmanager
def variables(values: Mapping[str, str | None]) -> Iterator[None]:
    """Set environment variables (None: unset), for modules and for child processes."""
    before = {name: os.environ.get(name) for name in values}
    _set(values)
    try:
        yield
    finally:
        _set(before)


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@contextmanager
def _running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own commands
            command, stdout=output, stderr=output, env={**os.environ, "PATH": PATH}
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=10)


@contextmanager
def swtpm(state: Path) -> Iterator[int]:
    """A TPM on two adjacent ports of loopback; yields the first."""
    setup = ["swtpm_setup", "--tpm2", "--tpmstate", f"dir://{state}", "--createek", "--overwrite"]
    in_path = {**os.environ, "PATH": PATH}
    subprocess.run(setup, check=True, capture_output=True, env=in_path)  # noqa: S603
    port = _two_free_ports()
    command = ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}"]
    command += ["--server", f"type=tcp,port={port},bindaddr=127.0.0.1"]
    command += ["--ctrl", f"type=tcp,port={port + 1},bindaddr=127.0.0.1"]
    command += ["--flags", "not-need-init,startup-clear"]
    with _running(command, state / "swtpm.log"):
        _wait_until(lambda: _listens(port + 1), "swtpm")
        yield port


@contextmanager
def _message_bus(folder: Path) -> Iterator[str]:
    address = f"unix:path={folder}/bus"
    command = ["dbus-daemon", "--session", "--nofork", f"--address={address}"]
    with _running(command, folder / "bus.log"):
        _wait_until((folder / "bus").exists, "dbus-daemon")
        yield address


def _wait_for_name_on_bus() -> None:
    query = ["dbus-send", "--session", "--print-reply", "--dest=org.freedesktop.DBus", "/"]
    query += ["org.freedesktop.DBus.NameHasOwner", "string:com.intel.tss2.Tabrmd"]

    def has_owner() -> bool:
        answer = subprocess.run(query, capture_output=True, check=False)  # noqa: S603
        return b"true" in answer.stdout

    _wait_until(has_owner, "tpm2-abrmd")


def _wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 15.0
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come up")
        time.sleep(0.05)  # another process is awaited: there is no clock to hand in


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _two_free_ports() -> int:
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port
