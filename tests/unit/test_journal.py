"""Does the device know, after any power cut, how far it had come?"""

from pathlib import Path

import pytest

from device.errors import ExitCode
from device.errors.storage import DataCorruptError
from device.provisioning import events as ev
from device.runtime import journal
from device.runtime.clock import EARLIEST_PLAUSIBLE, trusted_wall_time
from device.runtime.journal import Keyed, Progress, Registered, Staged
from device.storage.secure_storage import Uid
from tests.support.clock import FakeClock
from tests.support.devices import open_device

NOW = 1_790_000_000.0
KEYED = Keyed("device-key.1", "csr")
STAGED = Staged("device-key.1", "csr", "id", "token", NOW, "proof")
REGISTERED = Registered("device-key.1", "id", "SN-1", {"greeting": "hello"})
UNCONFIGURED = Registered("device-key.1", "id", "SN-1", None)


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
        (STAGED, ev.StagedCertificateFound("token", "proof")),
        (REGISTERED, ev.RegistrationFound("SN-1", "id")),
    ],
)
def test_what_a_machine_is_told(progress: Progress | None, event: ev.Event) -> None:
    assert journal.as_event(progress, NOW) == event


@pytest.mark.parametrize(
    ("issued_at", "now", "expired"),
    [
        (NOW, NOW, False),
        (NOW, NOW + 3540, False),
        (NOW, NOW + 3541, True),
        (NOW, NOW + 1e9, True),
        (NOW, NOW - 1e6, False),
        (NOW, None, False),
        (None, NOW, False),
        (None, None, False),
    ],
)
def test_whether_a_token_is_still_good(
    issued_at: float | None, now: float | None, *, expired: bool
) -> None:
    staged = Staged("device-key.1", "csr", "id", "token", issued_at)

    assert isinstance(journal.as_event(staged, now), ev.ExpiredTokenFound) is expired


@pytest.mark.parametrize("garbage", [b"", b"\xc1", b"\x81\xa4type\xa5keyed", b"\x80"])
def test_an_entry_of_another_firmware(tmp_path: Path, garbage: bytes) -> None:
    with open_device(tmp_path) as storage:
        storage.ps.set(Uid.PROVISIONING_JOURNAL, garbage)
        storage.ps.set(Uid.IDENTITY, garbage)

        with pytest.raises(DataCorruptError, match="journal cannot be read") as raised:
            journal.load(storage.ps)
        with pytest.raises(DataCorruptError, match="identity cannot be read"):
            journal.load_identity(storage.ps)

    assert raised.value.exit_code is ExitCode.STORAGE_UNUSABLE


@pytest.mark.parametrize("garbage", [b"", b"[]", b'{"a": 1}', b"\xff"])
def test_a_configuration_of_another_firmware(tmp_path: Path, garbage: bytes) -> None:
    with open_device(tmp_path) as storage:
        storage.ps.set(Uid.DEVICE_CONFIGURATION, garbage)

        with pytest.raises(DataCorruptError, match="configuration cannot be read"):
            journal.load_configuration(storage.ps)


def test_the_token_is_not_shown() -> None:
    assert "token" not in repr(STAGED).replace("Staged", "")
    assert "proof" not in repr(STAGED)


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
