"""Does the device know, after any power cut, how far it had come?"""

from pathlib import Path

import msgspec
import pytest

from device.errors.storage import DataCorruptError
from device.lifecycle import journal
from device.lifecycle.journal import Keyed, Progress, Registered, Staged
from device.provisioning import events as ev
from device.provisioning.evidence import ROUNDS, Evidence
from device.runtime.clock import EARLIEST_PLAUSIBLE, trusted_wall_time
from device.storage.keys import KeyId
from device.storage.secure_storage import Uid
from tests.support.clock import FakeClock
from tests.support.devices import open_device

NOW = 1_790_000_000.0
KEY = KeyId("device-key.1")
KEYED = Keyed(KEY, "csr")
STAGED = Staged(KEY, "csr", "id", "token", "proof", Evidence(1, 2.0, 3.0))
DOUBTED = Staged(KEY, "csr", "id", "token", "proof", Evidence(ROUNDS))
REGISTERED = Registered(KEY, "id", "SN-1", {"greeting": "hello"}, "csr", "token", "proof")
UNCONFIGURED = Registered(KEY, "id", "SN-1", None)


@pytest.mark.parametrize("progress", [KEYED, STAGED, REGISTERED, UNCONFIGURED])
def test_a_step_is_read_as_it_was_written(tmp_path: Path, progress: Progress) -> None:
    with open_device(tmp_path) as storage:
        assert journal.load(storage.ps) is None
        journal.save(storage.ps, progress)

        assert journal.load(storage.ps) == progress


@pytest.mark.parametrize(
    ("progress", "event"),
    [
        (None, ev.NothingStored()),
        (KEYED, ev.KeyFound("csr")),
        (STAGED, ev.StagedCertificateFound("token", "proof", "id", ("old",))),
        (DOUBTED, ev.StagedCertificateDoubted("id")),
        (REGISTERED, ev.RegistrationFound("SN-1", "id", "token", "proof", ("old",))),
        (
            msgspec.structs.replace(REGISTERED, evidence=Evidence(ROUNDS)),
            ev.StagedCertificateDoubted("id", "SN-1"),
        ),
    ],
)
def test_what_a_machine_is_told(progress: Progress | None, event: ev.Event) -> None:
    assert journal.as_event(progress, ("old",)) == event


def test_the_record_of_the_former_firmware_is_read(tmp_path: Path) -> None:
    former = {
        "type": "certificate-staged", "key": KEY, "csr_pem": None, "certificate_id": "id",
        "ownership_token": "t", "issued_at": NOW, "proof": "p",
    }  # fmt: skip
    with open_device(tmp_path) as storage:
        storage.ps.set(Uid.PROVISIONING_JOURNAL, msgspec.msgpack.encode(former))

        assert journal.load(storage.ps) == Staged(KEY, None, "id", "t", "p")


def test_what_was_given_up_is_kept_beside_the_steps(tmp_path: Path) -> None:
    with open_device(tmp_path) as storage:
        assert journal.load_given_up(storage.ps) == ()
        for number in range(10):
            journal.note_given_up(storage.ps, f"id-{number}")
        journal.note_given_up(storage.ps, "id-5")
        journal.save(storage.ps, KEYED)

        kept = journal.load_given_up(storage.ps)

    assert kept == ("id-2", "id-3", "id-4", "id-6", "id-7", "id-8", "id-9", "id-5")


@pytest.mark.parametrize("garbage", [b"", b"\xc1", b"\x81\xa4type\xa5keyed", b"\x80"])
def test_an_entry_of_another_firmware(tmp_path: Path, garbage: bytes) -> None:
    with open_device(tmp_path) as storage:
        storage.ps.set(Uid.PROVISIONING_JOURNAL, garbage)
        storage.ps.set(Uid.IDENTITY, garbage)

        with pytest.raises(DataCorruptError, match="journal cannot be read"):
            journal.load(storage.ps)
        with pytest.raises(DataCorruptError, match="identity cannot be read"):
            journal.load_identity(storage.ps)


@pytest.mark.parametrize("garbage", [b"", b"[]", b'{"a": 1}', b"\xff"])
def test_a_configuration_of_another_firmware(tmp_path: Path, garbage: bytes) -> None:
    with open_device(tmp_path) as storage:
        storage.ps.set(Uid.DEVICE_CONFIGURATION, garbage)

        with pytest.raises(DataCorruptError, match="configuration cannot be read"):
            journal.load_configuration(storage.ps)


def test_the_token_is_not_shown() -> None:
    assert "token" not in repr(STAGED).replace("Staged", "")
    assert "proof" not in repr(STAGED)
    assert "token" not in repr(REGISTERED)


@pytest.mark.parametrize(
    ("wall", "trusted"),
    [
        (0.0, None),
        (EARLIEST_PLAUSIBLE - 1, None),
        (EARLIEST_PLAUSIBLE, EARLIEST_PLAUSIBLE),
        (NOW, NOW),
    ],
)
def test_a_clock_that_was_never_set_is_not_believed(wall: float, trusted: float | None) -> None:
    assert trusted_wall_time(FakeClock(wall)) == trusted


@pytest.mark.parametrize(
    ("wall", "known", "now"),
    [
        (NOW, (NOW - 1,), NOW),
        (NOW, (NOW + 86_400, None), NOW + 86_400),
        (0.0, (NOW,), NOW),
        (0.0, (None,), None),
    ],
)
def test_it_is_no_earlier_than_what_has_passed_for_certain(
    wall: float, known: tuple[float | None, ...], now: float | None
) -> None:
    assert trusted_wall_time(FakeClock(wall), *known) == now
