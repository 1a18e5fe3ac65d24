"""Is a certificate kept until all speaks against it, and then replaced, with its id told?"""

from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from device.config.methods import CLAIM_METHODS
from device.errors import ExitCode, FirstbootError
from device.errors.provisioning import CERTIFICATE_IN_DOUBT
from device.lifecycle import journal
from device.provisioning import actions as act
from device.provisioning.events import Credential
from device.provisioning.evidence import ROUNDS, SPACING_SECONDS
from device.runtime.loop import Patience
from device.storage.device_storage import open_device_storage
from tests.support.effort import is_long
from tests.support.power import PowerCutError, PowerSupply
from tests.support.worlds import Diary, MemoryWorld, boot, boot_home

SERIAL = "SN-1"
CUTS = ("cut-at-hello", "cut-after-hello", "cut-after-tls", "cut-at-connect")
TWO_HOURS = 7200.0
DAY = 86_400.0
SHORT = Patience(unreachable=5.0, refused=5.0)


@pytest.fixture(params=CLAIM_METHODS)
def world(request: pytest.FixtureRequest) -> MemoryWorld:
    """An AWS that refuses a used token, with a hook that tells what it saw."""
    world = MemoryWorld()
    parameters = {"SerialNumber": "{serial}", "GivenUpCertificates": "{given_up}"}
    world.settings = msgspec.structs.replace(
        world.settings,
        method=request.param,
        claim=msgspec.structs.replace(world.settings.claim, parameters=parameters),
    )
    return world


class _CutAfterRegistering(PowerSupply):
    """Cuts the power when the reply to RegisterThing would come."""

    def __init__(self, world: MemoryWorld) -> None:
        super().__init__()
        self._world = world

    def tick(self) -> None:
        if SERIAL in self._world.cloud.things:
            raise PowerCutError


def register_and_lose_power(world: MemoryWorld, state: Path) -> None:
    """RegisterThing is applied, its reply is lost, the power is cut, two hours pass."""
    world.make_device(state, SERIAL)
    with pytest.raises(PowerCutError):
        boot(world, state, supply=_CutAfterRegistering(world))
    world.cloud.age_tokens(TWO_HOURS)


def stage_and_lose_power(world: MemoryWorld, state: Path) -> None:
    """The certificate is staged and never registered; AWS deletes it after an hour."""
    world.make_device(state, SERIAL)
    world.fault("reject", operation="provision", status_code=403, error_code="AccessDenied")
    with pytest.raises(FirstbootError):
        boot(world, state)
    world.cloud.age_tokens(TWO_HOURS)


def given_up(world: MemoryWorld, state: Path) -> tuple[str, ...]:
    with open_device_storage(state, read_only=True, mount=world.mount) as storage:
        return journal.load_given_up(storage.ps)


@pytest.mark.parametrize("connections", [1, 3])
@pytest.mark.parametrize("cut", CUTS)
def test_hang_ups_after_two_hours_leave_one_active_certificate(
    world: MemoryWorld, state: Path, cut: str, connections: int
) -> None:
    register_and_lose_power(world, state)
    world.fault(cut, operation=SERIAL, count=connections)

    identity = boot_home(world, state)

    assert world.cloud.issued() == [identity.certificate_id]
    assert world.registry(SERIAL).active_certificates == [identity.certificate_id]
    assert given_up(world, state) == ()


def test_hang_ups_for_whole_boots_make_no_certificate(world: MemoryWorld, state: Path) -> None:
    """A broker that closes the thing's connections, in bursts, with the claim's untouched."""
    register_and_lose_power(world, state)
    world.fault("cut-after-tls", operation=SERIAL, count=None)
    for _ in range(10):
        with pytest.raises(FirstbootError) as raised:
            boot(world, state, patience=SHORT)
        assert raised.value.exit_code is ExitCode.TRY_LATER
    world.cloud.faults.clear()

    identity = boot_home(world, state)

    assert world.cloud.issued() == [identity.certificate_id]


def test_a_hook_that_lets_a_serial_in_once_stops_no_registered_device(
    world: MemoryWorld, state: Path
) -> None:
    register_and_lose_power(world, state)
    world.cloud.hook_allows_each_serial_once = True
    world.fault("cut-after-tls", operation=SERIAL)

    assert boot_home(world, state).thing_name == SERIAL


def test_a_certificate_that_the_cloud_does_not_know_is_replaced_and_told(
    world: MemoryWorld, state: Path
) -> None:
    stage_and_lose_power(world, state)
    (lost,) = world.cloud.everything_issued
    began, diary = world.clock.monotonic(), Diary()

    identity = boot_home(world, state, diary=diary)

    assert world.clock.monotonic() - began > (ROUNDS - 1) * SPACING_SECONDS
    assert identity.certificate_id != lost
    assert world.registry(SERIAL).active_certificates == [identity.certificate_id]
    assert given_up(world, state) == (lost,)
    assert world.cloud.parameters[0] == {"SerialNumber": SERIAL}, "nothing to tell yet"
    assert world.cloud.parameters[-1] == {"SerialNumber": SERIAL, "GivenUpCertificates": lost}
    assert any(cause.row is CERTIFICATE_IN_DOUBT for cause, _ in diary.waits)


def test_what_a_new_certificate_does_not_cure_makes_few_of_them(
    world: MemoryWorld, state: Path
) -> None:
    """The template's policy lets nobody in, for a day; the device boots again and again."""
    world.cloud.used_tokens_are_refused = True
    world.cloud.attaches_policy = False
    world.make_device(state, SERIAL)
    while world.clock.monotonic() < DAY:
        with suppress(FirstbootError):
            boot(world, state)
        world.clock.advance(600.0 if is_long() else 1800.0)

    assert len(world.cloud.issued()) <= 9
    world.cloud.attaches_policy = True
    boot_home(world, state)


def test_short_boots_come_to_the_evidence_too(world: MemoryWorld, state: Path) -> None:
    stage_and_lose_power(world, state)
    for _ in range(15):
        world.clock.advance(20.0)
        with suppress(FirstbootError):
            boot(world, state, patience=SHORT)

    assert len(world.registry(SERIAL).active_certificates) == 1


def test_power_cuts_anywhere_in_the_evidence_lose_none_of_it(
    world: MemoryWorld, state: Path
) -> None:
    stage_and_lose_power(world, state)
    for moment in range(3, 60, 4):
        with suppress(PowerCutError, FirstbootError):
            boot(world, state, supply=PowerSupply(cut_at=moment))
        world.clock.advance(30.0)

    identity = boot_home(world, state)

    assert world.registry(SERIAL).active_certificates == [identity.certificate_id]


def test_a_registered_certificate_that_was_deleted_comes_home_through_the_claim(
    world: MemoryWorld, state: Path
) -> None:
    world.make_device(state, SERIAL)
    world.cloud.attaches_policy = False
    with pytest.raises(FirstbootError):
        boot(world, state)
    (lost,) = world.registry(SERIAL).active_certificates
    world.cloud.delete_certificates(SERIAL)
    world.cloud.attaches_policy = True

    identity = boot_home(world, state)

    assert world.registry(SERIAL).active_certificates == [identity.certificate_id]
    assert given_up(world, state) == (lost,)


def test_while_the_claim_does_not_work_nothing_is_given_up(world: MemoryWorld, state: Path) -> None:
    stage_and_lose_power(world, state)
    world.fault("cut-after-tls", operation=f"claim-{SERIAL}", count=None)
    for _ in range(3):
        with pytest.raises(FirstbootError):
            boot(world, state)
        world.clock.advance(300.0)

    assert given_up(world, state) == ()


def test_without_a_claim_a_refused_certificate_is_tried_again(
    memory: MemoryWorld, state: Path
) -> None:
    """A trusted user's claim is gone after five minutes; a hang-up must not ask for another."""
    memory.settings = msgspec.structs.replace(memory.settings, method="trusted-user")
    register_and_lose_power(memory, state)
    memory.user_is_there = False
    memory.fault("cut-after-tls", operation=SERIAL, count=2)

    assert boot(memory, state).thing_name == SERIAL


def test_a_clock_that_is_behind_is_named_and_asks_for_no_second_certificate(
    world: MemoryWorld, state: Path
) -> None:
    world.make_device(state, SERIAL)
    world.cloud.clock_ahead = 86_400.0

    with pytest.raises(FirstbootError, match="clock is behind") as raised:
        boot(world, state, patience=Patience(unreachable=0.0, refused=0.0))
    assert raised.value.exit_code is ExitCode.TRY_LATER
    assert "NTP" in raised.value.next_step

    identity = boot_home(world, state)
    assert world.cloud.issued() == [identity.certificate_id]


def test_a_clock_in_the_future_stops_nothing(world: MemoryWorld, state: Path) -> None:
    world.make_device(state, SERIAL)
    world.clock.set_wall(4_000_000_000.0)  # 2096: claim and certificate have expired by then
    world.cloud.clock_ahead = 1_790_000_000.0 - 4_000_000_000.0

    if world.settings.method != "trusted-user":
        assert boot(world, state).thing_name == SERIAL


def test_a_clock_that_is_wrong_does_not_age_a_token(memory: MemoryWorld, state: Path) -> None:
    memory.make_device(state, SERIAL)
    memory.fault("reject", operation="provision", status_code=403, error_code="AccessDenied")
    with pytest.raises(FirstbootError):
        boot(memory, state)
    memory.clock.set_wall(1_790_000_000.0 + TWO_HOURS)

    identity = boot(memory, state)

    assert memory.cloud.issued() == [identity.certificate_id]


def test_a_token_refused_at_once_keeps_the_certificate(world: MemoryWorld, state: Path) -> None:
    world.make_device(state, SERIAL)
    world.fault(
        "reject", operation="provision", status_code=400,
        error_code="InvalidCertificateOwnershipToken", count=2,
    )  # fmt: skip

    identity = boot_home(world, state)

    assert world.cloud.issued() == [identity.certificate_id]


def test_an_expired_token_is_replaced_with_the_same_key(memory: MemoryWorld, state: Path) -> None:
    stage_and_lose_power(memory, state)
    diary = Diary()

    boot_home(memory, state, diary=diary)

    assert "KeyGenerated" not in diary.types()
    assert diary.types().count("CertificateIssued") == 1


def test_the_certificate_is_tried_before_anything_else(memory: MemoryWorld, state: Path) -> None:
    register_and_lose_power(memory, state)
    memory.sessions.clear()

    boot(memory, state)

    first = memory.sessions[0].orders[0]
    assert first == act.Connect(Credential.STAGED, SERIAL)
