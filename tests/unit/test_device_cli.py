"""Does the command line say what it does, fail in the documented way, and keep data from words?"""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from device.cli import main
from device.errors import machine_refusal
from device.errors.provisioning import NO_CREDENTIAL
from device.storage.device_storage import create_device_storage, open_device_storage
from device.storage.lifecycle import Lifecycle
from device.storage.manufacturing_data import SealedSettings, seal
from tests.support import hang
from tests.support.devices import CLAIM_KEY_PEM, SERIAL, advance_to, make_device
from tests.support.hang import SECONDS

ROOT = Path(__file__).parents[2]
CONFIG = str(ROOT / "config" / "claim.yaml")
VERBS = (
    "boot", "run", "status", "renew", "needs-renewal", "reset", "decommission", "metrics",
)  # fmt: skip


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
    assert all(f"    {verb}" in answer.out for verb in VERBS)
    assert all(f" {code} " in " ".join(answer.out.split()) for code in range(7))


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_explains_itself(device: Device, verb: str) -> None:
    answer = device(verb, "--help")

    assert answer.code == 0
    assert "--state DIR" in answer.out
    assert ("--config FILE" in answer.out) is (verb != "reset")
    assert ("--forget-identity" in answer.out) is (verb == "reset")


def test_the_version(device: Device) -> None:
    from device import __version__  # noqa: PLC0415 - the name is taken by the fixture

    assert device("--version").out == f"device {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["reset", "--config", "x"],
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
    assert "\nnext: Read device" in answer.err


@pytest.mark.parametrize("arguments", [["fly"], ["status", "extra"], ["boot", "--state"], []])
def test_misuse_is_told_to_programs_too(device: Device, arguments: list[str]) -> None:
    answer = device("--json", *arguments) if not arguments else device(*arguments, "--json")

    assert len(answer.out.splitlines()) == 1
    assert "usage: device" in answer.err
    assert_explained(answer, 2, "MisuseError")


# --- what can be wrong before anything is sent ------------------------------------------


def assert_explained(answer: Answer, code: int, error: str, problem: str = "") -> None:
    """The same five things for a person and for a program, and nothing else."""
    assert answer.code == code
    found = answer.document
    assert (
        f"device: error {found['code']}: {found['message']}\nnext: {found['next_step']}\n"
    ) in answer.err
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


@pytest.mark.parametrize("verb", ["boot", "run", "renew", "reset"])
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


@pytest.mark.parametrize("verb", ["boot", "run", "renew", "reset", "decommission"])
def test_a_storage_in_use(device: Device, state: Path, verb: str) -> None:
    config = [] if verb == "reset" else ["--config", CONFIG]
    with open_device_storage(state):
        answer = device(verb, "--state", state, *config, "--json")

    assert_explained(answer, 1, "StorageBusyError")


@pytest.mark.parametrize("verb", VERBS)
def test_no_device_named(device: Device, verb: str) -> None:
    config = ["--config", CONFIG] if verb in {"boot", "run"} else []

    answer = device(verb, *config, "--json")

    assert_explained(answer, 3, "ConfigurationError", "--state: no device folder given")


@pytest.mark.parametrize("verb", ["boot", "run"])
def test_no_settings_named(device: Device, state: Path, verb: str) -> None:
    answer = device(verb, "--state", state, "--json")

    assert_explained(answer, 3, "ConfigurationError", "--config: no settings file given")


@pytest.mark.parametrize("verb", ["boot", "run"])
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "claim.yaml: is empty"),
        ("method: claim\nendpont: x\n", "claim.yaml: endpont: unknown key"),
        ("method: claim\nroot_ca: none.pem\n", "none.pem: no such file"),
        ("method: claim\nroot_ca: claim.yaml\n", "claim.yaml: holds no PEM certificate"),
        ("method: claim\nendpoint: a b\n", "claim.yaml: endpoint: 'a b' is not host or host:port"),
        ("method: claim\nthing_name: '{x}'\n", "claim.yaml: thing_name: unknown placeholder {x}"),
        (
            "method: claim\nsubject: {cn: x}\n",
            "claim.yaml: subject.cn: unknown subject field",
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

    assert_explained(answer, 3, "ClaimMissingError", "neither a claim credential")


def test_without_json_an_error_is_only_words(device: Device, tmp_path: Path) -> None:
    answer = device("status", "--state", tmp_path / "none")

    assert answer.out == ""
    assert answer.err.startswith("device: error FB-112: there is no device")


def test_the_code_of_an_error_is_explained(device: Device, tmp_path: Path) -> None:
    """Offline and without a device."""
    code = device("status", "--state", tmp_path / "none", "--json").document["code"]

    answer = device("explain", code)

    assert answer.code == 0
    assert "Usual causes:\n- --state or DEVICE_STATE names another folder.\n" in answer.out
    assert "Next step: Make a device: factory make" in answer.out
    document = device("explain", code, "--json").document
    assert (document["error"], document["exit_code"]) == ("StorageMissingError", 6)


def test_an_unknown_code_is_refused(device: Device) -> None:
    assert_explained(device("explain", "FB-000", "--json"), 2, "UnknownCodeError", "FB-000")


# --- status and reset -------------------------------------------------------------------


def test_a_status_is_read_by_people(device: Device, state: Path) -> None:
    answer = device("status", "--state", state)

    lines = dict(line.split("  ", 1) for line in answer.out.splitlines())
    assert answer.code == 0
    assert answer.err == ""
    assert lines["serial"].strip() == SERIAL
    assert lines["state"].strip() == "waiting for its first boot"
    assert lines["claim installed"].strip() == "yes"
    assert lines["endpoint"].strip() == "localhost:8883"


def test_a_status_is_in_words_and_not_in_python(device: Device, state: Path) -> None:
    with open_device_storage(state) as storage:
        advance_to(storage, "proven")

    answer = device("status", "--state", state)

    lines = dict(line.split("  ", 1) for line in answer.out.splitlines())
    assert lines["device configuration"].strip() == "greeting=hello"
    assert not set("{}[]") & set(answer.out)
    assert all(word not in answer.out for word in ("True", "False", "None", "UNSET"))


def test_a_status_shows_the_endpoint_of_the_settings(
    device: Device, state: Path, tmp_path: Path
) -> None:
    config = tmp_path / "claim.yaml"
    config.write_text("method: claim\nendpoint: abc-ats.iot.eu-west-1.amazonaws.com:443\n")

    answer = device("status", "--state", state, "--config", config, "--json")

    assert answer.document["endpoint"] == "abc-ats.iot.eu-west-1.amazonaws.com:443"
    assert answer.document["region"] == "eu-west-1"
    assert answer.document["account_prefix"] == "abc"
    assert answer.document["claim_installed"] is True


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

    as_delivered = device("reset", "--state", state, "--json")
    assert (as_delivered.code, as_delivered.document) == (0, {"reset": True})
    status = device("status", "--state", state, "--json").document
    assert status["state"] == "thing registered, identity not yet proven"

    answer = device("reset", "--state", state, "--forget-identity", "--json")
    assert (answer.code, answer.document) == (0, {"reset": True})
    for verb in ("boot", "run", "boot"):
        again = device(verb, "--state", state, "--config", CONFIG, "--json")
        assert_explained(again, 3, "ClaimMissingError", NO_CREDENTIAL.sentence)
        found = device("status", "--state", state, "--json").document
        assert found["state"] == NO_CREDENTIAL.sentence


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


@pytest.mark.parametrize("verb", ["boot", "run"])
def test_a_proven_device_is_not_started_by_settings_of_another_method(
    device: Device, state: Path, verb: str
) -> None:
    with open_device_storage(state) as storage:
        advance_to(storage, "proven")

    answer = device(verb, "--state", state, "--config", ROOT / "config" / "jitp.yaml", "--json")

    assert_explained(answer, 3, "ConfigurationError", "provisioned by claim")
    assert "method: is jitp" in answer.document["message"]


def test_only_errors_are_said_where_only_errors_are_wanted(device: Device, state: Path) -> None:
    with open_device_storage(state) as storage:
        advance_to(storage, "proven")
    boot = ("boot", "--state", state, "--config", CONFIG)

    assert device(*boot, "--log-level", "error").err == ""
    assert "storage opened" in device(*boot).err
    assert "device: " in device(*boot, "--log-level", "error", "--endpoint", "a b").err


@pytest.mark.parametrize("verb", ["boot", "run"])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_stop_says_what_stopped_it(device: Device, state: Path, verb: str, name: str) -> None:
    number = signal.Signals[name]
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    place = state.parent / "claim"
    stopper = threading.Thread(target=stop_once_it_listens, args=(place, number), daemon=True)
    stopper.start()

    answer = device(verb, "--state", state, "--config", CONFIG, "--wait-for-claim", place, "--json")

    hang.join(stopper)
    for each, handler in before.items():
        signal.signal(each, handler)
    assert answer.code == (5 if verb == "boot" else 0)
    kept = "nothing is lost" if verb == "boot" else "what was reached is kept"  # readings may be
    assert f"stopped by {name}; {kept}" in answer.err
    assert name in answer.out.splitlines()[-1]


def stop_once_it_listens(place: Path, number: signal.Signals) -> None:
    """Send the signal; also when it never listens, since this process waits for the signal."""
    try:
        hang.until(place.exists, "the device listens")
    finally:
        os.kill(os.getpid(), number)


@pytest.mark.parametrize(
    ("package", "distribution"),
    [("awscrt", "awsiotsdk"), ("yaml", "pyyaml"), ("msgspec", "msgspec")],
)
def test_a_package_that_is_missing_is_named(state: Path, package: str, distribution: str) -> None:
    program = f"import sys; sys.modules[{package!r}] = None; from device.cli import main; main()"
    command = [sys.executable, "-c", program, "boot", "--state", str(state), "--config", CONFIG]

    done = subprocess.run(
        [*command, "--json"], cwd=ROOT, capture_output=True, check=False, timeout=SECONDS, text=True
    )

    assert "Traceback" not in done.stderr
    assert f"the Python package {package} is not installed" in done.stderr
    assert f"pip install {distribution}" in json.loads(done.stdout.splitlines()[-1])["next_step"]


# --- as a process -----------------------------------------------------------------------


@pytest.mark.parametrize("command", ["device", "factory", "localcloud"])
def test_output_that_a_full_disk_takes_is_an_error_without_a_traceback(command: str) -> None:
    words = ["status"] if command == "localcloud" else ["explain", "FB-110"]
    arguments = [sys.executable, "-m", command, *words, "--json"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            arguments, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, check=False, timeout=SECONDS
        )
    assert done.returncode == 1
    code = {"device": b"FB-007", "factory": b"FB-503", "localcloud": b"FB-916"}[command]
    assert code in done.stderr
    assert b"No space left on device" in done.stderr
    assert b"next: " in done.stderr
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr


@pytest.mark.parametrize(
    ("error", "lacking"),
    [
        (MemoryError(), "memory"),
        (RuntimeError("can't start new thread"), "threads"),
        (RuntimeError("12 (AWS_ERROR_THREAD_INSUFFICIENT_RESOURCE): Insufficent"), "threads"),
        (RecursionError("maximum recursion depth exceeded"), ""),
    ],
)
def test_what_a_machine_lacks_is_told_from_a_fault_of_ours(error: Exception, lacking: str) -> None:
    found = machine_refusal(error)
    assert lacking in found
    assert bool(found) == bool(lacking)


@pytest.mark.parametrize("command", ["device", "factory", "localcloud"])
def test_words_do_not_go_among_the_data_when_stderr_is_closed(command: str) -> None:
    script = f"{sys.executable} -m {command} explain FB-000 --json 2>&-"
    done = subprocess.run(
        ["sh", "-c", script], cwd=ROOT, stdout=subprocess.PIPE, check=False, timeout=SECONDS
    )
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["code"]


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


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_stop_before_the_device_is_up(state: Path, name: str) -> None:
    program = (
        "import signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == 'device.startup': signal.raise_signal(signal.{name})\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from device.cli import main\n"
        "sys.exit(main())"
    )
    command = [sys.executable, "-c", program, "boot", "--state", str(state), "--config", CONFIG]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=SECONDS)

    assert (done.returncode, done.stdout) == (5, b"")
    assert done.stderr.startswith(
        f"device: error FB-004: stopped by {name}; nothing is lost\n".encode()
    )
    assert b"Traceback" not in done.stderr


def test_a_stop_that_a_callback_swallows_is_heard_again(state: Path) -> None:
    program = (
        "import signal, sys, time\n"
        "class Callback:\n"
        "    def __del__(self): signal.raise_signal(signal.SIGTERM)\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'device.startup': Callback(); time.sleep(60)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from device.cli import main\n"
        "sys.exit(main())"
    )
    command = [sys.executable, "-c", program, "boot", "--state", str(state), "--config", CONFIG]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=SECONDS)

    assert done.returncode == 5
    assert b"device: error FB-004: stopped by SIGTERM; nothing is lost\n" in done.stderr


# --- settings that the station sealed ---------------------------------------------------


def sealed_device(state: Path, **sections: str) -> Path:
    with open_device_storage(state) as storage:
        seal(storage, SealedSettings("claim", sections))
    return state


@pytest.mark.parametrize("verb", ["boot", "run"])
def test_sealed_settings_are_used_without_a_file(device: Device, state: Path, verb: str) -> None:
    answer = device(verb, "--state", sealed_device(state, thing_name="{x}"), "--json")

    assert_explained(
        answer, 3, "ConfigurationError", "sealed settings: thing_name: unknown placeholder {x}"
    )


@pytest.mark.parametrize("verb", ["boot", "run"])
def test_a_file_overrides_what_is_sealed(device: Device, state: Path, verb: str) -> None:
    config = state.parent / "site.yaml"
    config.write_text("thing_name: '{y}'\n")

    answer = device(verb, "--state", sealed_device(state), "--config", config, "--json")

    assert_explained(answer, 3, "ConfigurationError", "site.yaml: thing_name: unknown placeholder")


def test_a_status_shows_the_sealed_method_and_takes_a_file_without_one(
    device: Device, state: Path
) -> None:
    config = state.parent / "site.yaml"
    config.write_text("endpoint: abc-ats.iot.eu-west-1.amazonaws.com\n")

    answer = device("status", "--state", sealed_device(state), "--config", config, "--json")

    assert answer.document["method"] == "claim"
    assert answer.document["region"] == "eu-west-1"
