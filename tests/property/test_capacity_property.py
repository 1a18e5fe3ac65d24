"""Whatever was accepted: is there room to promote it, to remember a PIN, to reset, to end?"""

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from device.errors.storage import CAPACITY_EXCEEDED, StorageError
from device.identity.certificates import certificate_id
from device.lifecycle.reset import reset
from device.provisioning import limits
from device.provisioning.actions import StageCertificate
from device.storage.capacity import CAPACITY, PROVISIONING_ROOM, RESERVE
from device.storage.device_storage import (
    DeviceStorage,
    create_device_storage,
    open_device_storage,
)
from device.storage.lifecycle import Lifecycle
from device.storage.secure_storage import StorageFlag, Uid
from tests.support.certificates import NOW, new_key, pem_of
from tests.support.devices import enrolment_of
from tests.support.errors import suppressed
from tests.support.memory_disk import MemoryDisk

KEY: Final = new_key()
LONGEST: Final = "T" * 128
FULL: Final = {f"{n:04}": "x" * 1000 for n in range(16)}

configurations = st.dictionaries(
    st.text(max_size=40), st.text(max_size=400), max_size=40
) | st.just(FULL)


def certificate(padding: int) -> bytes:
    """Return a certificate for ``KEY``, longer by about ``padding`` bytes."""
    name = x509.Name([])
    day = timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, KEY.public_key(), 1, NOW - day, NOW + day)
    filling = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), bytes(padding))
    signed = builder.add_extension(filling, critical=False).sign(KEY, hashes.SHA256())
    return signed.public_bytes(Encoding.PEM)


CERTIFICATES: Final = {padding: certificate(padding) for padding in (0, 3000, 5100)}


def station_makes(state: Path, disk: MemoryDisk, root_ca: int) -> None:
    (state / "storage").mkdir()
    with create_device_storage(state, mount=disk.mount) as storage:
        storage.advance(Lifecycle.PSA_ROT_PROVISIONING)
        storage.its.set(Uid.SERIAL_NUMBER, b"S" * 128, StorageFlag.WRITE_ONCE)
        try:
            storage.ps.set(Uid.ROOT_CA, bytes(root_ca))
        except StorageError as error:
            assert error.row is CAPACITY_EXCEEDED  # noqa: PT017 - or it fits
            assume(condition=False)
        storage.advance(Lifecycle.SECURED)


def fill_up(storage: DeviceStorage) -> None:
    """Store as much as is accepted, as an application of the device may."""
    for uid, size in enumerate((30_000, 20_000, 10_000, 5_000, 2_000, 1_000, 500, 200, 100), 0x500):
        with suppressed(CAPACITY_EXCEEDED):
            storage.ps.set(uid, bytes(size))


def provision(
    storage: DeviceStorage, pem: bytes, token: int, configuration: dict[str, str] | None
) -> None:
    enrolment = enrolment_of(storage)
    key = pem_of(KEY).decode()
    order = StageCertificate(certificate_id(pem), pem.decode(), "t" * token, key)
    enrolment.stage(order)
    fill_up(storage)
    enrolment.record_registration(LONGEST, configuration)
    enrolment.promote(LONGEST)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(
    st.integers(0, CAPACITY - PROVISIONING_ROOM),
    st.sampled_from(sorted(CERTIFICATES)),
    st.integers(1, limits.TOKEN_CHARACTERS),
    configurations | st.none(),
)
@example(CAPACITY - PROVISIONING_ROOM - 128, 5100, limits.TOKEN_CHARACTERS, FULL)
def test_what_was_accepted_can_be_promoted_and_ended(
    root_ca: int, padding: int, token: int, configuration: dict[str, str] | None
) -> None:
    assume(len(msgspec.json.encode(configuration)) <= limits.CONFIGURATION_BYTES)
    disk = MemoryDisk()
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        station_makes(state, disk, root_ca)
        with open_device_storage(state, mount=disk.mount) as storage:
            provision(storage, CERTIFICATES[padding], token, configuration)
            storage.its.set(Uid.REFUSED_PINS, bytes(512))
            assert reset(storage, forget_identity=True)
            storage.advance(Lifecycle.DECOMMISSIONED)


def test_the_bounds_on_arrival_fit_the_room_that_is_kept() -> None:
    """The sums, without an example: what staging, registering and promoting add at most."""
    key, request, record = 2048, 4096, 512
    staging = limits.CERTIFICATE_PEM_CHARACTERS + key + request + limits.TOKEN_CHARACTERS + record
    identity, pins = 4096, 512

    assert staging <= PROVISIONING_ROOM
    assert limits.CONFIGURATION_BYTES + identity + pins <= RESERVE
