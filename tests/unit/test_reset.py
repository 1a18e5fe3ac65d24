"""Does a reset bring the device back to where the station left it, from every state?"""

from pathlib import Path

import pytest

from device.errors.provisioning import RESET_REFUSED
from device.reset import reset
from device.runtime import journal
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.keys import CLAIM_KEY
from device.storage.secure_storage import Uid
from tests.support.devices import STEPS, advance_to, make_device, open_device
from tests.support.errors import raises


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


def test_an_identity_is_kept_unless_told(tmp_path: Path) -> None:
    with open_device(tmp_path) as storage:
        advance_to(storage, "proven")
        before = entries(storage)

        with raises(RESET_REFUSED, match="this device is provisioned as SN-1"):
            reset(storage, forget_identity=False)

        assert entries(storage) == before


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
