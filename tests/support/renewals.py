"""Renew a device of a world, and look at what became of it: on disk and in the registry."""

from contextlib import suppress
from pathlib import Path

from device.errors import FirstbootError
from device.lifecycle import journal
from device.lifecycle.journal import Identity
from device.runtime.loop import Patience
from device.storage.device_storage import open_device_storage
from device.storage.secure_storage import Uid
from tests.support.power import PowerSupply
from tests.support.worlds import PATIENCE, Diary, MemoryWorld, World, switched_on

MOST_ATTEMPTS = 12
"""A certificate that the cloud lost is only given up after minutes, over several runs."""


def renew(
    world: World,
    state: Path,
    *,
    supply: PowerSupply | None = None,
    diary: Diary | None = None,
    patience: Patience = PATIENCE,
) -> Identity:
    """Renew the certificate of the device in ``state``; return the identity after it.

    Raises:
        PowerCutError: the supply failed at the moment it was told to.
        FirstbootError: the renewal stopped.
    """
    with switched_on(world, state, supply, diary) as agent:
        agent.renew(patience)
        identity = agent.identity
        assert identity is not None
        return identity


def renew_home(world: World, state: Path, patience: Patience = PATIENCE) -> Identity:
    """Renew until it worked, as a timer would."""
    for _ in range(MOST_ATTEMPTS - 1):
        with suppress(FirstbootError):
            return renew(world, state, patience=patience)
    return renew(world, state, patience=patience)


def identity_of(world: World, state: Path) -> Identity:
    """Return the identity that is stored."""
    with open_device_storage(state, read_only=True, mount=world.mount) as storage:
        identity = journal.load_identity(storage.ps)
        assert identity is not None
        return identity


def assert_one_identity(world: World, state: Path, serial: str) -> None:
    """One thing with one ACTIVE certificate; one key; nothing of a renewal is left."""
    registry = world.registry(serial)
    identity = identity_of(world, state)
    assert registry.things == [serial]
    assert registry.active_certificates == [identity.certificate_id]
    with open_device_storage(state, read_only=True, mount=world.mount) as storage:
        assert storage.keys.keys() == [identity.key]
        assert not {Uid.STAGED_CERTIFICATE, Uid.PROVISIONING_JOURNAL} & set(storage.ps.uids())
        assert not journal.load_to_retire(storage.ps)


def active_orphans(world: MemoryWorld) -> set[str]:
    """Return the ACTIVE certificates of no thing that exists, but for the claim."""
    cloud = world.cloud
    return {
        identifier
        for identifier, certificate in cloud.certificates.items()
        if certificate.status == "ACTIVE"
        and identifier != cloud.claim_id
        and certificate.thing not in cloud.things
    }
