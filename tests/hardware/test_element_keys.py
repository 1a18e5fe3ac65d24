"""Are keys made in the element, used there, and shut in it? The same on SoftHSM and on a TPM."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.identity.csr import build_csr, subject_name
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.elements import attach_element, install_element, plan_of
from device.storage.keys import KeyAttributes, KeyId, KeyLocation, KeyOrigin, KeyProof, KeyType
from tests.support.elements import ElementBench
from tests.support.sealed_device import make_device

KEY = KeyId("device-key.1")


@pytest.fixture
def storage(bench: ElementBench, label: str, tmp_path: Path) -> Iterator[DeviceStorage]:
    """A device with an element of its own."""
    element = bench.new_token(label)
    with open_device_storage(make_device(tmp_path / "device")) as storage:
        install_element(storage, element)
        attach_element(storage, plan_of(element))
        yield storage


@pytest.mark.parametrize("key_type", KeyType)
def test_a_csr_is_signed_by_a_key_that_the_element_vouches_for(
    storage: DeviceStorage, key_type: KeyType
) -> None:
    storage.keys.generate_key(KEY, key_type)

    csr = build_csr(storage.keys.private_key(KEY), subject_name({"common_name": "SN-1"}))

    assert storage.keys.get_key_attributes(KEY) == KeyAttributes(
        key_type,
        KeyLocation.PRIMARY_SECURE_ELEMENT,
        KeyOrigin.GENERATED,
        exportable=False,
        proofs=(KeyProof.LOCAL, KeyProof.NEVER_EXTRACTABLE, KeyProof.ALWAYS_SENSITIVE),
    )
    verified = subprocess.run(
        ["openssl", "req", "-noout", "-verify"], input=csr.encode(), capture_output=True, check=True
    )
    assert b"verify OK" in verified.stderr
