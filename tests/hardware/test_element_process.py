"""``device`` as a process with its key in SoftHSM: what the station left is all that it needs."""

import json
import os
from pathlib import Path

import pytest

from device.errors import ExitCode
from device.errors.element import PIN_LOCKED, WRONG_PIN, CryptokiError, ElementError
from device.storage.device_storage import open_device_storage
from device.storage.element.cryptoki_codes import ReturnValue
from device.storage.element.installation import (
    InstalledElement,
    attach_element,
    install_element,
    plan_of,
)
from factory.making.element_token import make_softhsm_element
from tests.hardware.conftest import Figures
from tests.support import elements
from tests.support.device_process import Finished, Works, boot, device, running, works_for
from tests.support.elements import PIN, ElementBench, module_of, softhsm_module, variables
from tests.support.errors import raises
from tests.support.library_faults import Function, in_front_of
from tests.support.own_process import in_own_process
from tests.support.sealed_device import make_device
from tests.wire.conftest import LocalCloud


@pytest.fixture
def works(local_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Works:
    return works_for(local_cloud, tmp_path_factory.getbasetemp() / "element-station")


@pytest.fixture
def serial(label: str) -> str:
    return label.replace("dev-", "SN-")


@pytest.fixture
def state(works: Works, serial: str, tmp_path: Path) -> Path:
    """A device by claim that has no element yet."""
    return works.make(tmp_path / "device", serial)


def installed(state: Path, element: InstalledElement) -> None:
    with open_device_storage(state) as storage:
        install_element(storage, element)


@pytest.fixture
def element(softhsm: ElementBench, state: Path, label: str) -> InstalledElement:
    """The element of the device in ``state``."""
    made = softhsm.new_token(label)
    installed(state, made)
    return made


def pin_file(element: InstalledElement) -> Path:
    place = plan_of(element).uri.pin_source
    assert place is not None
    return place


def make_element(folder: str, label: str) -> dict[str, object]:
    """Make an element as the station does, in a process that knows of no other."""
    os.environ.pop("SOFTHSM2_CONF", None)
    made = make_softhsm_element(Path(folder), label)
    return {"uri": made.uri, "environment": made.environment}


def test_a_device_that_the_station_made_needs_no_settings_for_its_element(
    state: Path, serial: str, tmp_path: Path
) -> None:
    softhsm_module()
    folder = tmp_path / "element"
    fields = in_own_process(make_element, str(folder), serial)
    installed(state, InstalledElement(**fields))
    assert (folder / "pin").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700

    with variables({"SOFTHSM2_CONF": None}):
        done = boot(state, "--log-level", "debug")
        status = device("status", "--state", state)

    assert done.code == ExitCode.DONE, done.err
    uri = f"pkcs11:token={serial};object=device-key.1;type=private"
    assert done.identity["key_uri"].startswith(uri)
    assert done.identity["key_made_by"] == "device"
    assert status.lines[0]["key_proofs"] == ["local", "never-extractable", "always-sensitive"]
    assert (folder / "pin").read_text().strip() not in done.out + done.err + status.out


def test_a_device_that_operates_with_its_element(
    state: Path, element: InstalledElement, figures: Figures
) -> None:
    settings = {"DEVICE_TELEMETRY__INTERVAL": "0.1"}
    with running("run", "--state", state, "--config", "config/claim.yaml", **settings) as device:
        proven = device.wait_for("identity proven")
        device.wait_for("telemetry acknowledged")
        assert device.stop().code == ExitCode.DONE
    figures(f"first boot with the key in SoftHSM: proven after {proven['ms']:.0f} ms")


def test_a_decommissioned_device_leaves_no_key_in_its_element(
    state: Path, element: InstalledElement
) -> None:
    boot(state)
    assert len(keys_of(element)) == 2, "a private and a public half"

    done = device("decommission", "--state", state)
    again = device("decommission", "--state", state)

    assert (done.code, again.code) == (ExitCode.DONE, ExitCode.DONE)
    assert keys_of(element) == []
    status = device("status", "--state", state).lines[0]
    assert status["lifecycle"] == "DECOMMISSIONED"


def test_a_device_whose_element_is_gone_is_decommissioned_if_that_is_said(
    state: Path, element: InstalledElement
) -> None:
    boot(state)
    pin_file(element).unlink()

    refused = device("decommission", "--state", state)
    assert refused.code != ExitCode.DONE
    assert device("status", "--state", state).lines[0]["lifecycle"] == "SECURED"

    assert device("decommission", "--state", state, "--element-is-lost").code == ExitCode.DONE


def keys_of(element: InstalledElement) -> list[Path]:
    """Return SoftHSM's files of the objects in the token."""
    text = Path(element.environment["SOFTHSM2_CONF"]).read_text()
    [folder] = [line.split("=")[1].strip() for line in text.splitlines() if "tokendir" in line]
    label = element.uri.partition("token=")[2].partition(";")[0].partition("?")[0]
    tokens = [each for each in Path(folder).glob("*/token.object") if label in said_by(each)]
    return [each for token in tokens for each in token.parent.glob("*.object") if each != token]


def said_by(token: Path) -> str:
    return token.read_bytes().decode(errors="replace")


def assert_refused(done: Finished, error: str, code: ExitCode) -> None:
    assert (done.error["error"], done.code) == (error, code), done.err
    assert done.error["next_step"]
    assert PIN not in done.out + done.err


def test_a_pin_file_that_others_can_read(state: Path, element: InstalledElement) -> None:
    pin_file(element).chmod(0o644)
    assert_refused(boot(state), "PinExposedError", ExitCode.CONFIGURATION_INVALID)


def test_a_token_that_is_not_there(
    softhsm: ElementBench, state: Path, element: InstalledElement
) -> None:
    store = f"pkcs11:token=other?module-path={softhsm.module_path}"
    assert_refused(boot(state, DEVICE_KEY__STORE=store), "TokenMissingError", ExitCode.TRY_LATER)


@pytest.mark.parametrize(
    ("store", "error"),
    [
        ("pkcs11:token=dev?module-path=/no/such.so", "NoModuleError"),
        ("pkcs11:token=dev?module-path=/etc/passwd", "NoModuleError"),
        ("pkcs11:token=dev", "Pkcs11UriError"),
        ("pkcs11:token=dev;token=dev", "ConfigurationError"),
    ],
)
def test_a_store_that_cannot_be_used(state: Path, store: str, error: str) -> None:
    done = boot(state, DEVICE_KEY__STORE=store)
    assert_refused(done, error, ExitCode.CONFIGURATION_INVALID)


def test_tls_13_with_an_rsa_key_is_refused_with_the_reason(
    state: Path, element: InstalledElement
) -> None:
    done = boot(state, DEVICE_KEY__TYPE="rsa-2048", DEVICE_KEY__TLS13="true")
    assert_refused(done, "ConfigurationError", ExitCode.CONFIGURATION_INVALID)
    assert "PSS" in done.error["message"]


def test_a_wrong_pin_ends_the_boot_and_the_right_one_mends_it(
    state: Path, element: InstalledElement
) -> None:
    pin_file(element).write_text("not-the-pin\n")
    for _ in range(2):
        assert_refused(boot(state), "WrongPinError", ExitCode.DENIED)
    pin_file(element).write_text(f"{PIN}\n")
    assert boot(state).code == ExitCode.DONE


def log_in(element: dict[str, str], state: str) -> list[str | int]:
    """Attach the element twice; return what came of it and how often the token was asked."""
    installed = InstalledElement(uri=element["uri"], environment=json.loads(element["environment"]))
    plan, story, asked = plan_of(installed), [], [0]

    def counted(login: Function) -> Function:
        def replacement(*arguments: object) -> int:
            asked[0] += 1
            return login(*arguments)

        return replacement

    assert plan.uri.module_path is not None
    for name, value in installed.environment.items():
        os.environ[name] = value
    with (
        in_front_of(plan.uri.module_path, "C_Login", counted),
        open_device_storage(Path(state)) as storage,
    ):
        for _ in range(2):
            try:
                attach_element(storage, plan)
                story.append("let in")
            except ElementError as error:
                assert error.row is WRONG_PIN  # noqa: PT017 - or it is let in
                story.append("refused")
    return [*story, *asked]


def lock_and_open(module_path: str, folder: str, label: str, state: str) -> dict[str, str]:
    """Try wrong PINs until a new token is locked; return what a device says then."""
    bench = ElementBench("tpm", Path(module_path), Path(folder), {})
    plan = plan_of(bench.new_token(label))
    module = module_of(plan)
    [slot] = [slot for slot in module.slots() if module.token_info(slot).label == label]
    session = module.open_session(slot)
    code: int = ReturnValue.OK
    for _ in range(100):
        with pytest.raises(CryptokiError) as refused:
            module.login(session, "not-the-pin")
        code = refused.value.return_value
        if code == ReturnValue.PIN_LOCKED:
            break
    assert code == ReturnValue.PIN_LOCKED
    with open_device_storage(Path(state)) as storage, raises(PIN_LOCKED) as raised:
        attach_element(storage, plan)
    return {"error": str(raised.value), "next_step": raised.value.next_step}


def test_a_tpm_that_is_locked_is_called_locked(label: str, tmp_path: Path) -> None:
    """On a TPM of its own, which nobody else needs."""
    state = str(make_device(tmp_path / "device"))
    with elements.tpm(tmp_path) as bench:
        place = str(bench.module_path), str(bench.folder)
        said = in_own_process(lock_and_open, *place, label, state)
    assert f"token {label}" in said["error"]
    assert "locked" in said["error"]
    assert "tpm2_dictionarylockout" in said["next_step"]


def test_the_token_is_asked_once_about_a_wrong_pin_whatever_restarts(
    bench: ElementBench, label: str, tmp_path: Path
) -> None:
    made, state = bench.new_token(label), str(make_device(tmp_path / "device"))
    fields = {"uri": made.uri, "environment": json.dumps(made.environment)}
    pin_file(made).write_text("not-the-pin\n")
    assert in_own_process(log_in, fields, state) == ["refused", "refused", 1]
    assert in_own_process(log_in, fields, state) == ["refused", "refused", 0]
    pin_file(made).write_text(f"{PIN}\n")
    assert in_own_process(log_in, fields, state) == ["let in", "let in", 2]
