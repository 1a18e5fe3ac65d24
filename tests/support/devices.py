"""Devices as the station hands them over, and at each later step, without a station or a cloud."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from device.identity.certificates import certificate_id
from device.identity.csr import subject_name
from device.provisioning.actions import StageCertificate
from device.runtime.clock import Clock
from device.runtime.enrolment import Enrolment
from device.storage import installed_certificate
from device.storage.device_storage import (
    DeviceStorage,
    create_device_storage,
    open_device_storage,
)
from device.storage.keys import CLAIM_KEY, KeyId, KeyType
from device.storage.lifecycle import Lifecycle
from device.storage.secure_storage import StorageFlag, Uid
from tests.support.certificates import NOW, DeviceAuthority, new_key, pem_of
from tests.support.clock import FakeClock

SERIAL = "SN-1"
DEVICE_ID = "00112233445566778899aabbccddeeff"
ENDPOINT = "localhost:8883"
TOKEN = "an-ownership-token"
STEPS = ("made", "keyed", "staged", "registered", "proven")
"""The durable states of a device, in order."""

AUTHORITY = DeviceAuthority()
CLAIM_PRIVATE_KEY = new_key()
CLAIM_KEY_PEM = pem_of(CLAIM_PRIVATE_KEY)
CLAIM_PEM = AUTHORITY.issue(CLAIM_PRIVATE_KEY.public_key(), {"common_name": "claim"})


def make_device(
    state: Path,
    *,
    serial: str = SERIAL,
    endpoint: str | None = ENDPOINT,
    root_ca: bytes | None = AUTHORITY.certificate_pem,
    claim: tuple[bytes, bytes] | None = (CLAIM_PEM, CLAIM_KEY_PEM),
) -> Path:
    """Make a SECURED device in ``state`` and return ``state``; ``claim`` is certificate and key."""
    with create_device_storage(state) as storage:
        storage.advance(Lifecycle.PSA_ROT_PROVISIONING)
        with storage.transaction():
            storage.its.set(Uid.SERIAL_NUMBER, serial.encode(), StorageFlag.WRITE_ONCE)
            storage.its.set(Uid.DEVICE_ID, DEVICE_ID.encode(), StorageFlag.WRITE_ONCE)
            if endpoint is not None:
                storage.ps.set(Uid.ENDPOINT, endpoint.encode())
            if root_ca is not None:
                storage.ps.set(Uid.ROOT_CA, root_ca)
            if claim is not None:
                storage.ps.set(Uid.CLAIM_CERTIFICATE, claim[0])
                storage.keys.import_key(CLAIM_KEY, claim[1])
        storage.advance(Lifecycle.SECURED)
    return state


@contextmanager
def open_device(tmp_path: Path) -> Iterator[DeviceStorage]:
    """Make a device below ``tmp_path`` and open it."""
    with open_device_storage(make_device(tmp_path / "device")) as storage:
        yield storage


def installed_chain(storage: DeviceStorage) -> bytes:
    """Return the certificates (PEM) that the station installed."""
    installed = installed_certificate.load(storage.ps)
    assert installed is not None
    return installed.chain_pem


def enrolment_of(
    storage: DeviceStorage,
    clock: Clock | None = None,
    *,
    key_type: KeyType = KeyType.EC_P256,
    issuer_pem: bytes | None = None,
) -> Enrolment:
    """Return the enrolment of a device whose subject is its serial number."""
    return Enrolment(
        storage,
        clock or FakeClock(NOW.timestamp()),
        method="claim",
        key_type=key_type,
        subject=subject_name({"common_name": SERIAL}),
        issuer_pem=issuer_pem,
    )


def issued_for(storage: DeviceStorage, key: str = "device-key.1") -> StageCertificate:
    """Return the order that follows an honest CreateCertificateFromCsr."""
    public_key = storage.keys.export_public_key(KeyId(key))
    pem = AUTHORITY.issue(public_key, {"common_name": SERIAL})
    return StageCertificate(certificate_id(pem), pem.decode(), TOKEN)


def issued_with_key() -> StageCertificate:
    """Return the order that follows an honest CreateKeysAndCertificate."""
    key = new_key()
    pem = AUTHORITY.issue(key.public_key(), {"common_name": "AWS IoT Certificate"})
    return StageCertificate(certificate_id(pem), pem.decode(), TOKEN, pem_of(key).decode())


def advance_to(storage: DeviceStorage, step: str, *, keys_made_by_aws: bool = False) -> None:
    """Bring a device that was just made to one of `STEPS`."""
    enrolment = enrolment_of(storage)
    reached = STEPS.index(step)
    if reached >= 1 and not keys_made_by_aws:
        enrolment.generate_key()
    if reached >= 2:
        enrolment.stage(issued_with_key() if keys_made_by_aws else issued_for(storage))
    if reached >= 3:
        enrolment.record_registration(SERIAL, {"greeting": "hello"})
    if reached >= 4:
        enrolment.promote(SERIAL)
