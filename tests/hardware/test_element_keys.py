"""Are keys made in the element, used there, and shut in it? The same on SoftHSM and on a TPM."""

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec.structs import replace

from device.errors.element import DUPLICATE_KEY, ELEMENT_KEY_MISSING, CryptokiError
from device.identity.csr import build_csr, subject_name
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.element.cryptoki import Template
from device.storage.element.cryptoki_codes import Attribute, Mechanism, ObjectClass, ReturnValue
from device.storage.element.installation import (
    ElementPlan,
    attach_element,
    install_element,
    installed_element,
    plan_of,
)
from device.storage.element.pin import RefusedPins
from device.storage.element.secure_element import ElementSession, SecureElement
from device.storage.keys import KeyAttributes, KeyId, KeyLocation, KeyOrigin, KeyProof, KeyType
from tests.support import hang
from tests.support.elements import ElementBench, module_of
from tests.support.errors import raises
from tests.support.sealed_device import make_device

KEY = KeyId("device-key.1")
P256 = bytes.fromhex("06082a8648ce3d030107")


@pytest.fixture
def plan(bench: ElementBench, label: str) -> ElementPlan:
    return plan_of(bench.new_token(label))


@pytest.fixture
def storage(plan: ElementPlan, tmp_path: Path) -> Iterator[DeviceStorage]:
    with open_device_storage(make_device(tmp_path / "device")) as storage:
        attach_element(storage, plan)
        yield storage


@pytest.fixture
def stranger(plan: ElementPlan, tmp_path: Path) -> Iterator[SecureElement]:
    """Someone else who is logged in to the same token."""
    with open_device_storage(make_device(tmp_path / "stranger")) as storage:
        refused = RefusedPins(storage.its, storage.root_of_trust)
        yield SecureElement(module_of(plan), plan.uri, plan.pin, refused)


def private_keys(element: SecureElement) -> list[str]:
    """Return the labels of all private keys in the token, sorted."""

    def labels(session: ElementSession) -> list[str]:
        template: Template = {Attribute.CLASS: ObjectClass.PRIVATE_KEY}
        found = session.module.find(session.handle, template)
        return [
            session.module.attribute(session.handle, each, Attribute.LABEL).decode()
            for each in found
        ]

    return sorted(element.run(labels))


def objects(element: SecureElement) -> int:
    return len(element.run(lambda session: session.module.find(session.handle, {})))


def make_key(element: SecureElement, label: bytes, identifier: bytes) -> None:
    """Make a key as another program would."""

    def generate(session: ElementSession) -> None:
        names: Template = {
            Attribute.TOKEN: True,
            Attribute.LABEL: label,
            Attribute.ID: identifier,
        }
        public: Template = {**names, Attribute.VERIFY: True, Attribute.EC_PARAMS: P256}
        private: Template = {
            **names,
            Attribute.PRIVATE: True,
            Attribute.SENSITIVE: True,
            Attribute.EXTRACTABLE: False,
            Attribute.SIGN: True,
        }
        mechanism = Mechanism.EC_KEY_PAIR_GEN
        session.module.generate_key_pair(session.handle, mechanism, public, private)

    element.run(generate)


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
        ["openssl", "req", "-noout", "-verify"],
        input=csr.encode(),
        capture_output=True,
        check=True,
        timeout=hang.SECONDS,
    )
    assert b"verify OK" in verified.stderr


def test_the_element_does_not_tell_the_private_key(
    storage: DeviceStorage, stranger: SecureElement
) -> None:
    storage.keys.generate_key(KEY, KeyType.EC_P256)

    def read(session: ElementSession) -> bytes:
        template: Template = {Attribute.CLASS: ObjectClass.PRIVATE_KEY}
        handle = session.module.find(session.handle, template)[0]
        return session.module.attribute(session.handle, handle, Attribute.VALUE)

    with pytest.raises(CryptokiError) as raised:
        stranger.run(read)
    assert raised.value.return_value in {
        ReturnValue.ATTRIBUTE_SENSITIVE,
        ReturnValue.ATTRIBUTE_TYPE_INVALID,
    }


def test_a_destroyed_key_leaves_nothing_in_the_element(
    storage: DeviceStorage, stranger: SecureElement
) -> None:
    before = objects(stranger)
    storage.keys.generate_key(KEY, KeyType.EC_P256)
    storage.keys.destroy_key(KEY)
    assert objects(stranger) == before


def test_keys_outlive_the_process_and_stay_apart(
    storage: DeviceStorage, plan: ElementPlan, stranger: SecureElement, tmp_path: Path
) -> None:
    storage.keys.generate_key(KEY, KeyType.EC_P256)
    public_key = storage.keys.export_public_key(KEY)
    storage.close()
    with open_device_storage(tmp_path / "device") as again:
        attach_element(again, plan)
        again.keys.generate_key(KeyId("device-key.2"), KeyType.EC_P256)
        assert again.keys.keys() == ["device-key.1", "device-key.2"]
        assert again.keys.private_key(KEY).public_key() == public_key
    assert private_keys(stranger) == ["device-key.1", "device-key.2"]


def test_a_label_that_another_program_took_is_left_to_it(
    storage: DeviceStorage, stranger: SecureElement
) -> None:
    make_key(stranger, b"device-key.1", b"not ours")
    with raises(DUPLICATE_KEY):
        storage.keys.generate_key(KEY, KeyType.EC_P256)
    assert private_keys(stranger) == ["device-key.1"]


def test_a_second_key_of_the_same_label_stops_the_device_before_tls(
    storage: DeviceStorage, stranger: SecureElement
) -> None:
    storage.keys.generate_key(KEY, KeyType.EC_P256)
    make_key(stranger, b"device-key.1", b"not ours")
    key = storage.keys.private_key(KEY)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    with raises(DUPLICATE_KEY):
        key.sign(b"data", ec.ECDSA(hashes.SHA256()))


def test_a_key_that_somebody_erased_is_missed_by_name(
    storage: DeviceStorage, stranger: SecureElement
) -> None:
    storage.keys.generate_key(KEY, KeyType.EC_P256)

    def erase(session: ElementSession) -> None:
        for handle in session.module.find(session.handle, {}):
            session.module.destroy(session.handle, handle)

    stranger.run(erase)
    with raises(ELEMENT_KEY_MISSING, match=r"no key .device-key\.1"):
        build_csr(storage.keys.private_key(KEY), subject_name({"common_name": "SN-1"}))


def test_a_key_that_the_station_made_is_adopted(
    storage: DeviceStorage, plan: ElementPlan, stranger: SecureElement
) -> None:
    make_key(stranger, b"PIV key", b"\1")
    named = replace(plan.uri, object="PIV key", id=b"\1")
    attach_element(storage, replace(plan, uri=named))

    storage.keys.generate_key(KEY, KeyType.EC_P256)
    build_csr(storage.keys.private_key(KEY), subject_name({"common_name": "SN-1"}))
    storage.keys.destroy_key(KEY)

    assert private_keys(stranger) == ["PIV key"]


def test_threads_share_the_session(storage: DeviceStorage) -> None:
    storage.keys.generate_key(KEY, KeyType.EC_P256)
    key, algorithm = storage.keys.private_key(KEY), ec.ECDSA(hashes.SHA256())
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    signatures: list[tuple[bytes, bytes]] = []

    def sign(number: int) -> None:
        for turn in range(10):
            data = f"{number} {turn}".encode()
            signatures.append((key.sign(data, algorithm), data))

    threads = [threading.Thread(target=sign, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    hang.join(*threads)
    assert len(signatures) == 40
    for signature, data in signatures:
        key.public_key().verify(signature, data, algorithm)


def test_the_station_s_note_is_enough_to_open_the_element(
    bench: ElementBench, label: str, tmp_path: Path
) -> None:
    state = make_device(tmp_path / "noted")
    with open_device_storage(state) as storage:
        install_element(storage, bench.new_token(label))
    with open_device_storage(state) as storage:
        element = installed_element(storage)
        assert element is not None
        attach_element(storage, plan_of(element))
        storage.keys.generate_key(KEY, KeyType.EC_P256)
        assert storage.keys.uri(KEY).startswith(f"pkcs11:token={label};object=device-key.1;")
