"""Is what older firmware stored read, moved on and booted? See tests/data/storages/README.md."""

import shutil
from pathlib import Path

import msgspec
import pytest

from device.config.settings import load_with_sources
from device.errors import ConfigurationError
from device.identity.certificates import certificate_id, leaf_of
from device.lifecycle import journal
from device.lifecycle.journal import Keyed, Registered, Staged
from device.lifecycle.made_for import check_made_for
from device.lifecycle.status import read_status
from device.provisioning.events import Credential
from device.runtime.credentials import Credentials, InstalledClaim
from device.storage import installed_certificate
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.filesystem import OsFs
from device.storage.formats import FORMAT
from device.storage.manufacturing_data import sealed_settings
from device.storage.sealed import COPIES
from device.storage.secure_storage import Uid
from tests.support.certificates import NOW
from tests.support.devices import SERIAL
from tests.support.simulated_cloud import Certificate
from tests.support.worlds import MemoryWorld, boot

FORMAT_1 = Path(__file__).parents[1] / "data" / "storages" / "format-1"
BY_CLAIM = sorted(each.name for each in FORMAT_1.iterdir() if each.name != "installed")
UNPROVEN = [name for name in BY_CLAIM if name != "proven"]
KEY = "device-key.1"


def old_device(name: str, state: Path) -> Path:
    """Return a copy of a kept storage, with the modes that Git does not keep."""
    shutil.copytree(FORMAT_1 / name, state)
    for path in [state, *state.rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
    return state


def format_of(state: Path) -> set[int]:
    """Return the formats of both copies, from their headers: after the magic, two bytes."""
    return {int.from_bytes((state / "storage" / name).read_bytes()[8:10], "big") for name in COPIES}


def content(state: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in state.rglob("*") if path.is_file()}


def entries(storage: DeviceStorage) -> dict[tuple[str, int], bytes]:
    services = {"its": storage.its, "ps": storage.ps}
    return {(name, uid): s.get(uid) for name, s in services.items() for uid in s.uids()}


def world_that_knows(state: Path) -> MemoryWorld:
    """Return a world whose cloud is where it was when the device was switched off."""
    world = MemoryWorld()
    world.mount = OsFs  # the disk of this machine, for once
    world.clock.set_wall(NOW.timestamp())
    cloud = world.cloud
    with open_device_storage(state, read_only=True) as storage:
        if Uid.CLAIM_CERTIFICATE in storage.ps.uids():
            claim = storage.ps.get(Uid.CLAIM_CERTIFICATE)
            cloud.certificates[certificate_id(claim)] = Certificate(claim.decode(), "ACTIVE")
        progress = journal.load(storage.ps)
        if isinstance(progress, Staged):
            pem = storage.ps.get(Uid.STAGED_CERTIFICATE).decode()
            cloud.certificates[progress.certificate_id] = Certificate(pem, "PENDING_ACTIVATION")
            cloud.tokens[progress.ownership_token] = (progress.certificate_id, 0.0)
        if isinstance(progress, Registered):
            cloud.register_leaf(storage.ps.get(Uid.STAGED_CERTIFICATE).decode(), SERIAL)
        if installed := installed_certificate.load(storage.ps):
            world.settings = msgspec.structs.replace(world.settings, method="single-thing")
            cloud.register_leaf(leaf_of(installed.chain_pem).decode(), SERIAL)
    return world


def test_the_images_are_of_format_1() -> None:
    assert {name: format_of(FORMAT_1 / name) for name in [*BY_CLAIM, "installed"]} == {
        name: {1} for name in [*BY_CLAIM, "installed"]
    }
    assert len(BY_CLAIM) == 8


def test_the_station_s_certificate_is_no_longer_staged(tmp_path: Path) -> None:
    state = old_device("installed", tmp_path / "device")
    with open_device_storage(state, read_only=True) as storage:
        held, installed = storage.ps.uids(), installed_certificate.load(storage.ps)
        check_made_for(storage, "jitp", "test")
        assert installed is not None
        connecting = Credentials(storage, InstalledClaim(storage))
        presented = connecting.tls_identity(Credential.INSTALLED)

    assert Uid.STAGED_CERTIFICATE not in held
    assert installed.key == KEY
    assert installed.chain_pem.count(b"BEGIN CERTIFICATE") == 2
    assert presented.certificate_pem == installed.chain_pem


@pytest.mark.parametrize(
    ("name", "step", "has_token"),
    [
        ("made", type(None), False),
        ("keyed", Keyed, False),
        ("staged", Staged, True),
        ("staged-key-by-aws", Staged, True),
        ("staged-older-journal", Staged, True),
        ("registered", Registered, True),
        ("registered-older-journal", Registered, False),
        ("proven", type(None), False),
    ],
)
def test_the_journal_of_a_claim_device_names_its_key(
    tmp_path: Path, name: str, step: type, *, has_token: bool
) -> None:
    state = old_device(name, tmp_path / "device")
    with open_device_storage(state, read_only=True) as storage:
        progress = journal.load(storage.ps)
        staged = Uid.STAGED_CERTIFICATE in storage.ps.uids()
        assert installed_certificate.load(storage.ps) is None

    assert type(progress) is step
    assert progress is None or progress.key == KEY
    assert staged == isinstance(progress, Staged | Registered)
    assert bool(getattr(progress, "ownership_token", "")) is has_token


@pytest.mark.parametrize("name", [*BY_CLAIM, "installed"])
def test_looking_changes_nothing_and_opening_only_what_is_in_memory(
    tmp_path: Path, name: str
) -> None:
    state = old_device(name, tmp_path / "device")
    before = content(state)

    seen = read_status(state)
    with open_device_storage(state) as storage:
        found = entries(storage)
    (state / "storage" / "lock").unlink()

    assert content(state) == before
    assert seen.serial == SERIAL
    assert ("ps", Uid.INSTALLED_CERTIFICATE) in found or name != "installed"


@pytest.mark.parametrize("name", [*BY_CLAIM, "installed"])
def test_the_next_commit_writes_the_format_of_today(tmp_path: Path, name: str) -> None:
    state = old_device(name, tmp_path / "device")
    with open_device_storage(state) as storage:
        found = entries(storage)
        storage.ps.set(Uid.ENDPOINT, b"elsewhere:8883")

    assert format_of(state) == {FORMAT}
    with open_device_storage(state) as storage:
        assert entries(storage) == found | {("ps", Uid.ENDPOINT): b"elsewhere:8883"}


@pytest.mark.parametrize("name", [*UNPROVEN, "installed"])
def test_it_boots_until_it_is_proven_with_the_key_it_had(tmp_path: Path, name: str) -> None:
    state = old_device(name, tmp_path / "device")
    world = world_that_knows(state)

    identity = boot(world, state)

    assert world.registry(SERIAL).active_certificates == [identity.certificate_id]
    assert identity.key == KEY
    assert identity.key_made_by == ("aws" if name == "staged-key-by-aws" else "device")
    with open_device_storage(state, read_only=True) as storage:
        left = {Uid.INSTALLED_CERTIFICATE, Uid.STAGED_CERTIFICATE, Uid.PROVISIONING_JOURNAL}
        assert left.isdisjoint(storage.ps.uids())
        assert storage.keys.keys() == [KEY]
    assert format_of(state) == {FORMAT}


def test_a_proven_device_is_who_it_was(tmp_path: Path) -> None:
    state = old_device("proven", tmp_path / "device")
    with open_device_storage(state) as storage:
        identity = journal.load_identity(storage.ps)
        assert identity is not None
        presented = Credentials(storage, InstalledClaim(storage)).tls_identity(Credential.DEVICE)

    assert (identity.thing_name, identity.key) == (SERIAL, KEY)
    assert certificate_id(presented.certificate_pem) == identity.certificate_id


@pytest.mark.parametrize("name", [*BY_CLAIM, "installed"])
def test_it_has_no_sealed_settings_and_a_file_is_asked_for(tmp_path: Path, name: str) -> None:
    state = old_device(name, tmp_path / "device")
    with open_device_storage(state, read_only=True) as storage:
        sealed = sealed_settings(storage)

    with pytest.raises(ConfigurationError, match="no settings file given"):
        load_with_sources(None, {}, {}, sealed)
