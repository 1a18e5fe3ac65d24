"""The first boot of a device whose key is in an element, against the local AWS over TLS."""

import ctypes
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import msgspec
import pytest

from device.agent import Agent
from device.config.device_plan import plan_for
from device.config.settings import Key, KeyTypeName, Telemetry
from device.connection.session import Session
from device.errors import FirstbootError
from device.errors.element import TOKEN_FULL
from device.errors.provisioning import NOT_REACHABLE
from device.lifecycle.status import read_status
from device.provisioning.events import Event, ThingRegistered
from device.storage.device_storage import open_device_storage
from device.storage.element.cryptoki_codes import ReturnValue
from device.storage.element.installation import InstalledElement, install_element, plan_of
from device.storage.keys import CLAIM_KEY
from tests.hardware.conftest import Figures
from tests.support.elements import PIN, ElementBench, module_of
from tests.support.errors import raises
from tests.support.library_faults import Function, close_all_sessions, in_front_of
from tests.support.wire_world import WireWorld
from tests.support.worlds import Diary, boot
from tests.wire.conftest import LocalCloud


@pytest.fixture(scope="module")
def prepared_world(local_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> WireWorld:
    return WireWorld(local_cloud, tmp_path_factory.mktemp("station"))


@pytest.fixture
def world(prepared_world: WireWorld) -> Iterator[WireWorld]:
    """The local AWS without faults, and default settings."""
    settings = prepared_world.settings
    prepared_world.clear_faults()
    yield prepared_world
    prepared_world.settings = settings


@pytest.fixture
def serial(label: str) -> str:
    return label.replace("dev-", "SN-")


@pytest.fixture
def element(bench: ElementBench, label: str) -> InstalledElement:
    return bench.new_token(label)


@pytest.fixture
def state(world: WireWorld, element: InstalledElement, serial: str, tmp_path: Path) -> Path:
    """A device by claim, with an element of its own."""
    world.make_device(tmp_path / "device", serial)
    with open_device_storage(tmp_path / "device") as storage:
        install_element(storage, element)
    return tmp_path / "device"


def with_key(world: WireWorld, key: Key) -> None:
    world.settings = msgspec.structs.replace(world.settings, key=key)


@pytest.mark.parametrize("key_type", ["ec-p256", "ec-p384", "rsa-2048"])
def test_a_first_boot_with_a_key_in_the_element(
    world: WireWorld, state: Path, serial: str, label: str, key_type: KeyTypeName
) -> None:
    with_key(world, Key(type=key_type))

    identity = boot(world, state)

    assert world.registry(serial).active_certificates == [identity.certificate_id]
    assert identity.key_uri.startswith(f"pkcs11:token={label};object=device-key.1;type=private?")
    assert (identity.key_type, identity.key_made_by) == (key_type, "device")
    with open_device_storage(state, read_only=True) as storage:
        assert storage.keys.keys() == ["device-key.1"], f"{CLAIM_KEY} is destroyed"


def test_a_first_boot_over_tls_13(world: WireWorld, state: Path, serial: str) -> None:
    with_key(world, Key(tls13=True))
    identity = boot(world, state)
    assert world.registry(serial).active_certificates == [identity.certificate_id]


def test_status_shows_what_the_element_vouched_for_without_asking_it(
    world: WireWorld, state: Path, element: InstalledElement
) -> None:
    boot(world, state)

    def absent(_: Function) -> Function:
        return lambda *_: int(ReturnValue.DEVICE_REMOVED)

    path = module_of(plan_of(element)).path
    with in_front_of(path, "C_GetSlotList", absent), in_front_of(path, "C_GetSessionInfo", absent):
        status = msgspec.to_builtins(read_status(state))

    assert status["key"].startswith("pkcs11:token=")
    assert status["key_location"] == "PRIMARY_SECURE_ELEMENT"
    assert status["key_proofs"] == ["local", "never-extractable", "always-sensitive"]


def test_nothing_that_the_device_keeps_or_shows_holds_the_pin(
    world: WireWorld, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    diary = Diary()
    identity = boot(world, state, diary=diary)
    shown = f"{identity} {diary} {json.dumps(msgspec.to_builtins(read_status(state)))}"
    assert PIN not in shown + caplog.text
    for file in state.rglob("*"):
        assert not file.is_file() or PIN.encode() not in file.read_bytes(), file


def slow(seconds: float, calls: list[float]) -> Callable[[Function], Function]:
    """Return what makes a function of the element take so long, each time it does its work."""

    def replacement(work: Function) -> Function:
        def slowed(*arguments: int) -> int:
            if arguments[3]:  # C_Sign without room only asks how long a signature is
                time.sleep(seconds)
                calls.append(seconds)
            return work(*arguments)

        return slowed

    return replacement


def test_a_first_boot_with_an_element_that_takes_its_time(
    world: WireWorld, state: Path, element: InstalledElement, figures: Figures
) -> None:
    """A chip takes tens to hundreds of milliseconds a signature, and may take seconds for a key."""
    path, calls = module_of(plan_of(element)).path, list[float]()
    with (
        in_front_of(path, "C_Sign", slow(0.3, calls)),
        in_front_of(path, "C_GenerateKeyPair", slow(2.0, calls)),
    ):
        diary, started = Diary(), time.monotonic()
        boot(world, state, diary=diary)
        figures(f"proven after {time.monotonic() - started:.1f} s, of them {sum(calls):.1f} s slow")

    assert diary.waits == [], "nothing timed out, and nothing was tried again"
    assert calls == [2.0, 0.3, 0.3], "the key, its CSR, the handshake"


def test_a_token_that_is_full_ends_the_boot_and_room_mends_it(
    world: WireWorld, state: Path, serial: str, element: InstalledElement
) -> None:
    path = module_of(plan_of(element)).path
    with (
        in_front_of(path, "C_GenerateKeyPair", lambda _: lambda *_: int(ReturnValue.DEVICE_MEMORY)),
        raises(TOKEN_FULL, match=f"token {serial.replace('SN-', 'dev-')} has no room"),
    ):
        boot(world, state)
    assert world.registry(serial).active_certificates == [], "it is said before AWS is asked"

    identity = boot(world, state)
    assert world.registry(serial).active_certificates == [identity.certificate_id]


class Slot:
    """The slot that the token is in, or not, as all users of the module see it."""

    def __init__(self, element: InstalledElement) -> None:
        self._module = module_of(plan_of(element))
        self._questions = 0

    def pull(self, questions: int) -> None:
        """Take the token out until its slot was looked at so many times."""
        for slot in self._module.slots():
            close_all_sessions(self._module.path, slot)
        self._questions = questions

    @contextmanager
    def watched(self) -> Iterator[None]:
        path = self._module.path
        with in_front_of(path, "C_GetSlotList", self._slot_list):
            yield

    def _slot_list(self, answer: Function) -> Function:
        def replacement(with_token: int, found: object, count: object) -> int:
            if self._questions <= 0:
                return answer(with_token, found, count)
            self._questions -= 1
            ctypes.cast(count, ctypes.POINTER(ctypes.c_ulong))[0] = 0  # type: ignore[arg-type]
            return int(ReturnValue.OK)

        return replacement


@dataclass
class PullingDiary(Diary):
    """Pulls the token when the thing is registered, before the device connects as itself."""

    slot: Slot | None = None

    def received(self, event: Event, state: Enum) -> None:
        super().received(event, state)
        if self.slot is not None and isinstance(event, ThingRegistered):
            self.slot.pull(questions=4)


def test_a_token_that_was_pulled_in_mid_boot_is_waited_for(
    world: WireWorld, state: Path, serial: str, element: InstalledElement
) -> None:
    slot = Slot(element)
    diary = PullingDiary(slot=slot)
    with slot.watched():
        identity = boot(world, state, diary=diary)

    assert diary.waits
    assert all(cause.row is NOT_REACHABLE for cause, _ in diary.waits)
    assert "no token matches pkcs11:token=" in str(diary.waits[0][0])
    assert world.registry(serial).active_certificates == [identity.certificate_id]


class Vandal(Diary):
    """An observer that pulls the token as soon as the device is connected."""

    def __init__(self, slot: Slot) -> None:
        super().__init__()
        self.slot = slot
        self.session: Session | None = None
        self.story: list[str] = []

    def add(self, name: str, detail: str = "") -> None:
        self.story.append(name)
        if self.story == ["operating"]:
            self.slot.pull(questions=4)
        is_back = name == "telemetry acknowledged" and "waiting" in self.story
        if is_back and self.session is not None:
            self.session.request_stop()

    def waiting(self, cause: FirstbootError, seconds: float) -> None:
        self.story.append("waiting")


def test_an_operating_device_outlives_the_loss_of_its_element(
    world: WireWorld, state: Path, element: InstalledElement
) -> None:
    world.settings = msgspec.structs.replace(world.settings, telemetry=Telemetry(interval=0.1))
    boot(world, state)
    world.fault("cut-after-packet", packets=3)
    slot = Slot(element)
    vandal = Vandal(slot)
    with slot.watched(), open_device_storage(state) as storage:
        plan = plan_for(storage, world.settings, "test")
        agent = Agent(
            storage,
            world.settings,
            plan,
            open_session=world.open_session,
            clock=world.clock,
            observer=vandal,
        )
        vandal.session = agent.session
        agent.operate()

    assert vandal.story[0] == "operating"
    assert "waiting" in vandal.story
    back = vandal.story.index("operating", 1)
    assert vandal.story[back + 1] == "telemetry acknowledged"
