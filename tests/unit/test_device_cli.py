"""Does the command line say what it does, fail in the documented way, and keep data from words?"""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from device.cli import main
from device.storage.device_storage import create_device_storage, open_device_storage
from device.storage.lifecycle import Lifecycle
from tests.support.devices import CLAIM_KEY_PEM, SERIAL, advance_to, make_device
from tests.support.hang import SECONDS

ROOT = Path(__file__).parents[2]
CONFIG = str(ROOT / "config" / "claim.yaml")
VERBS = ("boot", "run", "status", "reset")


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The last line of data."""
        found: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return found


Device = Callable[..., Answer]


@pytest.fixture
def device(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Device]:
    """Run a command in this process, with no DEVICE_* variables; put the logging back."""
    for name in [name for name in os.environ if name.startswith("DEVICE_")]:
        monkeypatch.delenv(name)
    root, logger = logging.getLogger(), logging.getLogger("device")
    before = root.handlers[:], root.level, logger.level

    def run(*arguments: str | Path) -> Answer:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else -1
        return Answer(code, *capsys.readouterr())

    yield run
    root.handlers[:], root.level, logger.level = before


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return make_device(tmp_path / "device")


# --- help and misuse --------------------------------------------------------------------


def test_help_names_every_verb_and_every_exit_code(device: Device) -> None:
    answer = device("--help")

    assert answer.code == 0
    assert answer.err == ""
    assert all(f"    {verb} " in answer.out for verb in VERBS)
    assert all(f"{code} " in answer.out for code in range(7))


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_explains_itself(device: Device, verb: str) -> None:
    answer = device(verb, "--help")

    assert answer.code == 0
    assert "--state DIR" in answer.out
    assert ("--config FILE" in answer.out) is (verb in {"boot", "run"})
    assert ("--forget-identity" in answer.out) is (verb == "reset")


def test_the_version(device: Device) -> None:
    from device import __version__  # noqa: PLC0415 - the name is taken by the fixture

    assert device("--version").out == f"device {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["status", "--config", "x"],
        ["status", "extra"],
        ["boot", "--log-level", "loud"],
        ["boot", "--state"],
        ["--state", "x", "status"],
    ],
)
def test_misuse(device: Device, arguments: list[str]) -> None:
    answer = device(*arguments)

    assert answer.code == 2
    assert answer.out == ""
    assert "usage: device" in answer.err


# --- what can be wrong before anything is sent ------------------------------------------


def assert_explained(answer: Answer, code: int, error: str, problem: str = "") -> None:
    """The same four things for a person and for a program, and nothing else."""
    assert answer.code == code
    assert f"device: {answer.document['message']}\nnext: {answer.document['next_step']}\n" in (
        answer.err
    )
    assert answer.document["error"] == error
    assert answer.document["exit_code"] == code
    assert problem in answer.document["message"]
    assert answer.document["next_step"]
    assert "Traceback" not in answer.err


def broken_storage(state: Path) -> None:
    for name in ("image-a", "image-b"):
        (state / "storage" / name).write_bytes(b"\0" * 64)


def rolled_back_storage(state: Path) -> None:
    old = state.parent / "old"
    shutil.copytree(state / "storage", old)
    with open_device_storage(state) as storage:
        advance_to(storage, "keyed")
    shutil.rmtree(state / "storage")
    old.rename(state / "storage")


def storage_of_another_device(state: Path) -> None:
    other = make_device(state.parent / "other")
    shutil.rmtree(state / "storage")
    (other / "storage").rename(state / "storage")


def unfinished_storage(state: Path) -> None:
    shutil.rmtree(state)
    create_device_storage(state).close()


def decommissioned_storage(state: Path) -> None:
    with open_device_storage(state) as storage:
        storage.advance(Lifecycle.DECOMMISSIONED)


@pytest.mark.parametrize("verb", ["boot", "run", "reset"])
@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (shutil.rmtree, "StorageMissingError"),
        (broken_storage, "DataCorruptError"),
        (rolled_back_storage, "RolledBackError"),
        (storage_of_another_device, "WrongDeviceError"),
        (unfinished_storage, "LifecycleError"),
        (decommissioned_storage, "DecommissionedError"),
    ],
)
def test_a_storage_that_cannot_be_used(
    device: Device, state: Path, verb: str, damage: Callable[[Path], None], error: str
) -> None:
    damage(state)
    config = [] if verb == "reset" else ["--config", CONFIG]

    answer = device(verb, "--state", state, *config, "--json")

    assert_explained(answer, 6, error)


@pytest.mark.parametrize("verb", ["boot", "run", "reset"])
def test_a_storage_in_use(device: Device, state: Path, verb: str) -> None:
    config = [] if verb == "reset" else ["--config", CONFIG]
    with open_device_storage(state):
        answer = device(verb, "--state", state, *config, "--json")

    assert_explained(answer, 1, "StorageBusyError")


@pytest.mark.parametrize("verb", VERBS)
def test_no_device_named(device: Device, verb: str) -> None:
    config = ["--config", CONFIG] if verb in {"boot", "run"} else []

    answer = device(verb, *config, "--json")

    assert_explained(answer, 3, "ConfigurationError", "--state: names no device")


@pytest.mark.parametrize("verb", ["boot", "run"])
def test_no_settings_named(device: Device, state: Path, verb: str) -> None:
    answer = device(verb, "--state", state, "--json")

    assert_explained(answer, 3, "ConfigurationError", "--config: names no settings file")


@pytest.mark.parametrize("verb", ["boot", "run"])
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "claim.yaml: is empty"),
        ("method: claim\nendpont: x\n", "claim.yaml: endpont: unknown key"),
        ("method: claim\nroot_ca: none.pem\n", "none.pem: root_ca: cannot be read"),
        ("method: claim\nroot_ca: claim.yaml\n", "claim.yaml: root_ca: holds no PEM certificate"),
        ("method: claim\nendpoint: a b\n", "claim.yaml: endpoint: 'a b' is not host or host:port"),
        ("method: claim\nthing_name: '{x}'\n", "claim.yaml: thing_name: unknown placeholder {x}"),
        (
            "method: claim\nsubject: {cn: x}\n",
            "settings: subject.cn: unknown subject field",
        ),
    ],
)
def test_settings_that_cannot_be_used(
    device: Device, state: Path, verb: str, text: str, problem: str
) -> None:
    config = state.parent / "claim.yaml"
    config.write_text(text)

    answer = device(verb, "--state", state, "--config", config, "--json")

    assert_explained(answer, 3, "ConfigurationError", problem)


def test_a_device_without_a_claim(device: Device, tmp_path: Path) -> None:
    state = make_device(tmp_path / "other", claim=None)

    answer = device("boot", "--state", state, "--config", CONFIG, "--json")

    assert_explained(answer, 3, "ClaimMissingError", "no claim credential")


def test_without_json_an_error_is_only_words(device: Device, tmp_path: Path) -> None:
    answer = device("status", "--state", tmp_path / "none")

    assert answer.out == ""
    assert answer.err.startswith("device: there is no device")


# --- status and reset -------------------------------------------------------------------


def test_a_status_is_read_by_people(device: Device, state: Path) -> None:
    answer = device("status", "--state", state)

    lines = dict(line.split("  ", 1) for line in answer.out.splitlines())
    assert answer.code == 0
    assert answer.err == ""
    assert lines["serial"].strip() == SERIAL
    assert lines["state"].strip() == "waiting for its first boot"
    assert lines["claim installed"].strip() == "True"


def test_a_status_is_read_by_programs(device: Device, state: Path) -> None:
    answer = device("status", "--state", state, "--json")

    assert len(answer.out.splitlines()) == 1
    assert answer.document["serial"] == SERIAL
    assert answer.document["claim_installed"] is True
    assert answer.document["storage_flags"] == ["NO_REPLAY_PROTECTION"]


def test_the_device_may_be_named_by_a_variable(
    device: Device, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEVICE_STATE", str(state))

    assert device("status", "--json").document["serial"] == SERIAL


def test_a_status_shows_no_secret(device: Device, state: Path) -> None:
    with open_device_storage(state) as storage:
        advance_to(storage, "staged")

    shown = (
        device("status", "--state", state).out + device("status", "--state", state, "--json").out
    )

    assert "ownership" not in shown
    assert "PRIVATE" not in shown
    assert CLAIM_KEY_PEM.decode().splitlines()[1] not in shown


def test_a_reset_of_a_new_device(device: Device, state: Path) -> None:
    answer = device("reset", "--state", state, "--json")

    assert (answer.code, answer.document) == (0, {"reset": False})
    assert "nothing to undo" in answer.err


def test_a_reset_of_a_boot_that_was_begun(device: Device, state: Path) -> None:
    with open_device_storage(state) as storage:
        advance_to(storage, "staged")

    answer = device("reset", "--state", state)

    assert (answer.code, answer.out) == (0, "")
    assert "the next boot is a first boot" in answer.err
    assert device("status", "--state", state, "--json").document["state"] == (
        "waiting for its first boot"
    )


def test_a_reset_of_a_proven_device(device: Device, state: Path) -> None:
    with open_device_storage(state) as storage:
        advance_to(storage, "proven")

    refused = device("reset", "--state", state, "--json")
    assert_explained(refused, 1, "ResetRefusedError", "this device is SN-1")

    answer = device("reset", "--state", state, "--forget-identity", "--json")
    assert (answer.code, answer.document) == (0, {"reset": True})
    again = device("boot", "--state", state, "--config", CONFIG, "--json")
    assert_explained(again, 3, "ClaimMissingError", "no claim credential")


def test_a_proven_device_has_nothing_to_boot_for(device: Device, state: Path) -> None:
    """Nothing listens at its endpoint: nothing is sent."""
    with open_device_storage(state) as storage:
        advance_to(storage, "proven")

    answer = device("boot", "--state", state, "--config", CONFIG, "--json")

    assert answer.code == 0
    assert answer.document["identity"]["thing_name"] == SERIAL
    assert [json.loads(line).get("step") for line in answer.out.splitlines()] == [
        "storage opened",
        None,
    ]


# --- as a process -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [["status"], ["status", "--json"], ["reset", "--json"], ["boot", "--json", "--config", CONFIG]],
)
@pytest.mark.parametrize("place", ["device", "none"])
def test_nobody_reads_the_answer(state: Path, arguments: list[str], place: str) -> None:
    """No complaint, as in ``device status | head -1``; and what was not done is not said to be."""
    place = str(state.parent / place)
    command = [sys.executable, "-m", "device", *arguments, "--state", place]
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        done = subprocess.run(
            command, cwd=ROOT, stdout=pipe, stderr=subprocess.PIPE, check=False, timeout=SECONDS
        )

    assert b"Traceback" not in done.stderr
    assert b"BrokenPipe" not in done.stderr
    assert done.returncode != 0


def test_ctrl_c_before_the_device_is_up(state: Path, tmp_path: Path) -> None:
    config = tmp_path / "claim.yaml"
    os.mkfifo(config)  # whoever reads it waits
    command = [sys.executable, "-m", "device", "boot", "--state", str(state)]
    command += ["--config", str(config)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with process, config.open("w"):
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=SECONDS)

    assert (process.returncode, out, err) == (5, b"", b"")
