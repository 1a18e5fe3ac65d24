"""Does a reset bring the device back to where the station left it, from every state?"""

from collections.abc import Callable
from pathlib import Path

import pytest

from device import Device
from device.errors import ConfigurationError
from device.lifecycle import journal
from device.lifecycle.journal import Registered
from device.lifecycle.reset import clear_folder, reset
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.keys import CLAIM_KEY
from device.storage.secure_storage import Uid
from tests.support.devices import STEPS, advance_to, make_device, open_device


def entries(storage: DeviceStorage) -> dict[tuple[str, int], bytes]:
    services = {"its": storage.its, "ps": storage.ps}
    return {(name, uid): s.get(uid) for name, s in services.items() for uid in s.uids()}


def without_given_up(storage: DeviceStorage) -> dict[tuple[str, int], bytes]:
    """Everything but the ids that are kept for the cloud."""
    found = entries(storage)
    found.pop(("ps", Uid.GIVEN_UP), None)
    return found


def test_a_device_that_never_booted_has_nothing_to_undo(tmp_path: Path) -> None:
    with open_device(tmp_path) as storage:
        before = storage.generation

        assert not reset(storage, forget_identity=True)
        assert storage.generation == before


@pytest.mark.parametrize("keys_made_by_aws", [False, True])
@pytest.mark.parametrize("forget_identity", [False, True])
@pytest.mark.parametrize("step", STEPS[1:-1])
def test_a_boot_that_was_begun_is_undone_in_one_commit(
    tmp_path: Path, step: str, *, keys_made_by_aws: bool, forget_identity: bool
) -> None:
    with open_device(tmp_path) as storage:
        made = entries(storage)
        advance_to(storage, step, keys_made_by_aws=keys_made_by_aws)
        before = storage.generation

        changed = reset(storage, forget_identity=forget_identity)

        begun = step != "keyed" or not keys_made_by_aws
        assert changed is begun
        assert storage.generation == before + begun
        assert without_given_up(storage) == made
        assert len(journal.load_given_up(storage.ps)) == (step != "keyed")


def test_a_proven_certificate_waits_for_its_proof_again(tmp_path: Path) -> None:
    with open_device(tmp_path) as storage:
        advance_to(storage, "proven")
        identity, before = journal.load_identity(storage.ps), storage.generation
        certificate = storage.ps.get(Uid.DEVICE_CERTIFICATE)
        assert identity is not None
        for uid in (Uid.CHANGED_SETTINGS, Uid.JOB, Uid.COMMAND):
            storage.ps.set(uid, b"since then")

        assert reset(storage)

        assert storage.generation == before + 4
        assert journal.load_identity(storage.ps) is None
        progress = journal.load(storage.ps)
        assert isinstance(progress, Registered)
        assert (progress.key, progress.thing_name) == (identity.key, "SN-1")
        assert storage.ps.get(Uid.STAGED_CERTIFICATE) == certificate
        assert journal.load_given_up(storage.ps) == ()
        assert {Uid.CHANGED_SETTINGS, Uid.JOB, Uid.COMMAND}.isdisjoint(storage.ps.uids())


def test_a_second_reset_has_nothing_to_undo_and_costs_no_certificate(tmp_path: Path) -> None:
    with open_device(tmp_path) as storage:
        advance_to(storage, "proven")
        reset(storage)
        held = entries(storage)

        assert not reset(storage)

        assert entries(storage) == held
        assert reset(storage, forget_identity=True)
        assert storage.keys.keys() == []


def test_a_reset_that_a_job_asked_for_keeps_the_job(tmp_path: Path) -> None:
    with open_device(tmp_path) as storage:
        advance_to(storage, "proven")
        storage.ps.set(Uid.JOB, b"factory-reset")

        reset(storage, keep_job=True)

        assert storage.ps.get(Uid.JOB) == b"factory-reset"


def test_what_operation_kept_beside_the_storage_goes(tmp_path: Path) -> None:
    outbox = tmp_path / "outbox" / "telemetry"
    outbox.mkdir(parents=True)
    (outbox / "0001").write_bytes(b"x")
    (tmp_path / "metrics.prom").write_bytes(b"x")

    assert clear_folder(tmp_path)
    assert not clear_folder(tmp_path)
    assert [place for place in tmp_path.rglob("*") if place.is_file()] == []


@pytest.mark.parametrize("end", [Device.reset, Device.decommission])
def test_the_metrics_file_that_the_settings_name_goes_wherever_it_is(
    tmp_path: Path, end: Callable[[Device], bool]
) -> None:
    state, metrics = make_device(tmp_path / "device"), tmp_path / "collector" / "device.prom"
    metrics.parent.mkdir()
    metrics.write_bytes(b"x")

    assert end(Device(state, environment={"DEVICE_METRICS__FILE": str(metrics)}))

    assert list(metrics.parent.iterdir()) == []


def test_settings_that_cannot_be_read_leave_everything_as_it_is(tmp_path: Path) -> None:
    state, config = make_device(tmp_path / "device"), tmp_path / "device.yaml"
    config.write_text("metrics: 5\n")
    (state / "metrics.prom").write_bytes(b"x")

    for end in (Device.reset, Device.decommission):
        with pytest.raises(ConfigurationError):
            end(Device(state, config=config))

    assert (state / "metrics.prom").exists()
    assert Device(state).status().lifecycle != "DECOMMISSIONED"


def test_an_identity_is_forgotten_with_its_key(tmp_path: Path) -> None:
    state = make_device(tmp_path / "device")
    with open_device_storage(state) as storage:
        made = entries(storage)
        advance_to(storage, "proven")
        identity, before = journal.load_identity(storage.ps), storage.generation
        assert identity is not None
        identifier = identity.certificate_id

        assert reset(storage, forget_identity=True)

        assert storage.generation == before + 1
    with open_device_storage(state) as storage:
        left = without_given_up(storage)
        assert journal.load_given_up(storage.ps) == (identifier,)
        assert storage.keys.keys() == []
        assert CLAIM_KEY not in storage.keys.keys()  # noqa: SIM118 - a key store is no dict
        assert left.items() < made.items()
