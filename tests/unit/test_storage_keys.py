"""Do keys stay what they are, usable by TLS and CSR, and out of every text?"""

import logging
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from device.errors.storage import (
    INVALID_ARGUMENT,
    KEY_EXISTS,
    DataCorruptError,
    DoesNotExistError,
    KeyNotUsableError,
)
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.keys import (
    KeyAttributes,
    KeyId,
    KeyLocation,
    KeyOrigin,
    KeyType,
    MemoryIdentity,
)
from device.storage.sealed_keys import FIRST_KEY_UID, _Record
from tests.support.errors import raises
from tests.support.recording_fs import RecordingDisk
from tests.support.sealed_device import make_device

KEY = KeyId("device-key.1")
CLAIM = KeyId("claim-key")
RSA_2048 = rsa.generate_private_key(65537, 2048)


@pytest.fixture
def disk(tmp_path: Path) -> RecordingDisk:
    """A disk in memory, since hundreds of syncs take their time; only the lock is a file."""
    (tmp_path / "storage").mkdir()
    disk = RecordingDisk()
    make_device(tmp_path, disk.mount)
    return disk


@pytest.fixture
def storage(tmp_path: Path, disk: RecordingDisk) -> Iterator[DeviceStorage]:
    with open_device_storage(tmp_path, mount=disk.mount) as storage:
        yield storage


def pem_of(key: PrivateKeyTypes, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    return key.private_bytes(Encoding.PEM, form, NoEncryption())


@pytest.mark.parametrize("key_type", KeyType)
def test_a_generated_key_is_of_its_type(storage: DeviceStorage, key_type: KeyType) -> None:
    assert storage.keys.generate_key(KEY, key_type) == KEY
    assert storage.keys.get_key_attributes(KEY) == KeyAttributes(
        key_type, KeyLocation.LOCAL_STORAGE, KeyOrigin.GENERATED, exportable=True
    )
    public_key = storage.keys.export_public_key(KEY)
    match key_type:
        case KeyType.RSA_2048:
            assert isinstance(public_key, rsa.RSAPublicKey)
            assert public_key.key_size == 2048
        case _:
            assert isinstance(public_key, ec.EllipticCurvePublicKey)
            assert (
                public_key.curve.name == {"ec-p256": "secp256r1", "ec-p384": "secp384r1"}[key_type]
            )


def test_the_private_key_signs_for_the_public_one(storage: DeviceStorage) -> None:
    storage.keys.generate_key(KEY, KeyType.EC_P256)
    private_key, public_key = storage.keys.private_key(KEY), storage.keys.export_public_key(KEY)
    assert isinstance(private_key, ec.EllipticCurvePrivateKey)
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    signature = private_key.sign(b"csr", ec.ECDSA(hashes.SHA256()))
    public_key.verify(signature, b"csr", ec.ECDSA(hashes.SHA256()))


def test_a_key_outlives_the_process(
    storage: DeviceStorage, tmp_path: Path, disk: RecordingDisk
) -> None:
    storage.keys.generate_key(KEY, KeyType.EC_P256)
    with open_device_storage(tmp_path, read_only=True, mount=disk.mount) as reader:
        assert reader.keys.keys() == [KEY]
        assert reader.keys.export_public_key(KEY) == storage.keys.export_public_key(KEY)


def test_tls_gets_the_certificate_and_a_pkcs8_pem_of_the_same_key(storage: DeviceStorage) -> None:
    storage.keys.generate_key(KEY, KeyType.EC_P384)
    identity = storage.keys.tls_identity(KEY, b"certificate")
    assert isinstance(identity, MemoryIdentity)
    assert identity.certificate_pem == b"certificate"
    assert identity.private_key_pem.startswith(b"-----BEGIN PRIVATE KEY-----\n")
    loaded = load_pem_private_key(identity.private_key_pem, password=None)
    assert loaded.public_key() == storage.keys.export_public_key(KEY)
    pem = loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert pem == identity.private_key_pem, "as cryptography writes it"


@pytest.mark.parametrize(
    ("key", "form", "key_type"),
    [
        (ec.generate_private_key(ec.SECP256R1()), PrivateFormat.PKCS8, KeyType.EC_P256),
        (
            ec.generate_private_key(ec.SECP256R1()),
            PrivateFormat.TraditionalOpenSSL,
            KeyType.EC_P256,
        ),
        (ec.generate_private_key(ec.SECP384R1()), PrivateFormat.PKCS8, KeyType.EC_P384),
        (RSA_2048, PrivateFormat.TraditionalOpenSSL, KeyType.RSA_2048),
        (RSA_2048, PrivateFormat.PKCS8, KeyType.RSA_2048),
    ],
    ids=["pkcs8-p256", "sec1-p256", "pkcs8-p384", "pkcs1-rsa", "pkcs8-rsa"],
)
def test_an_imported_key_is_the_same_key_and_labelled_as_imported(
    storage: DeviceStorage,
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
    form: PrivateFormat,
    key_type: KeyType,
) -> None:
    assert storage.keys.import_key(CLAIM, pem_of(key, form)) == CLAIM
    assert storage.keys.export_public_key(CLAIM) == key.public_key()
    attributes = storage.keys.get_key_attributes(CLAIM)
    assert (attributes.key_type, attributes.origin) == (key_type, KeyOrigin.IMPORTED)


@pytest.mark.parametrize(
    ("generate", "name"),
    [
        (ed25519.Ed25519PrivateKey.generate, "Ed25519"),
        (partial(ec.generate_private_key, ec.SECP521R1()), "EC secp521r1"),
        (partial(rsa.generate_private_key, 65537, 3072), "RSA-3072"),
        (ed448.Ed448PrivateKey.generate, "Ed448"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_another_type_of_key_is_refused_by_its_name(
    storage: DeviceStorage, generate: Callable[[], PrivateKeyTypes], name: str
) -> None:
    with pytest.raises(KeyNotUsableError, match=f"^{name} keys .* ec-p256, ec-p384, rsa-2048$"):
        storage.keys.import_key(CLAIM, pem_of(generate()))
    assert storage.keys.keys() == []


@pytest.mark.parametrize(
    "pem", [b"", b"no PEM", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_garbage_is_no_key_and_is_not_repeated_in_the_error(
    storage: DeviceStorage, pem: bytes
) -> None:
    with pytest.raises(KeyNotUsableError, match=r"^not a private key in PEM") as caught:
        storage.keys.import_key(CLAIM, pem)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_an_encrypted_key_is_refused_as_encrypted(storage: DeviceStorage) -> None:
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")
    )
    with pytest.raises(KeyNotUsableError, match="encrypted"):
        storage.keys.import_key(CLAIM, pem)


def test_a_name_is_taken_once(storage: DeviceStorage) -> None:
    storage.keys.generate_key(KEY, KeyType.EC_P256)
    before = storage.keys.export_public_key(KEY)
    with raises(KEY_EXISTS, match=KEY):
        storage.keys.generate_key(KEY, KeyType.EC_P256)
    with raises(KEY_EXISTS, match=KEY):
        storage.keys.import_key(KEY, pem_of(ec.generate_private_key(ec.SECP256R1())))
    assert storage.keys.export_public_key(KEY) == before


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a?pin-value=1", "ä", "k\n", "x" * 65])
def test_a_name_fits_into_a_uri(storage: DeviceStorage, name: str) -> None:
    with raises(INVALID_ARGUMENT):
        storage.keys.generate_key(KeyId(name), KeyType.EC_P256)


@pytest.mark.parametrize(
    "call", ["get_key_attributes", "export_public_key", "private_key", "destroy_key"]
)
def test_a_key_that_is_not_there_does_not_exist(storage: DeviceStorage, call: str) -> None:
    with pytest.raises(DoesNotExistError, match=KEY):
        getattr(storage.keys, call)(KEY)
    with pytest.raises(DoesNotExistError, match=KEY):
        storage.keys.tls_identity(KEY, b"")


def test_a_destroyed_key_is_gone_and_its_name_is_free(storage: DeviceStorage) -> None:
    storage.keys.generate_key(KEY, KeyType.EC_P256)
    storage.keys.generate_key(CLAIM, KeyType.EC_P256)
    old = storage.keys.export_public_key(KEY)
    storage.keys.destroy_key(KEY)
    assert storage.keys.keys() == [CLAIM]
    storage.keys.generate_key(KEY, KeyType.EC_P256)
    assert storage.keys.export_public_key(KEY) != old
    assert storage.keys.keys() == [CLAIM, KEY]


def test_keys_commit_with_the_transaction_around_them(storage: DeviceStorage) -> None:
    storage.keys.generate_key(CLAIM, KeyType.EC_P256)
    generation = storage.generation
    with storage.transaction():
        storage.keys.generate_key(KEY, KeyType.EC_P256)
        storage.keys.destroy_key(CLAIM)
    assert storage.generation == generation + 1
    assert storage.keys.keys() == [KEY]


def test_the_uri_names_the_key_and_nothing_else(storage: DeviceStorage) -> None:
    assert storage.keys.uri(KEY) == "sealed:device-key.1"


def test_something_else_in_the_range_of_keys_is_said(storage: DeviceStorage) -> None:
    storage.its.set(FIRST_KEY_UID, b"not a key")
    with pytest.raises(DataCorruptError, match="0x1000"):
        storage.keys.keys()


def test_no_repr_and_no_log_shows_the_key(
    storage: DeviceStorage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    storage.keys.generate_key(KEY, KeyType.EC_P256)
    identity = storage.keys.tls_identity(KEY, b"certificate")
    assert isinstance(identity, MemoryIdentity)
    texts = [repr(identity), repr(storage.keys.private_key(KEY)), repr(storage), caplog.text]
    secret = identity.private_key_pem.splitlines()[1].decode()
    assert not any(secret in text for text in texts)
    assert repr(identity) == "MemoryIdentity(certificate_pem=b'certificate')"
    record = _Record(KEY, KeyType.EC_P256, KeyOrigin.GENERATED, b"the secret")
    assert repr(record) == "_Record('device-key.1', ec-p256, generated)"


def test_no_file_holds_the_key_in_the_clear(storage: DeviceStorage, disk: RecordingDisk) -> None:
    storage.keys.generate_key(KEY, KeyType.EC_P256)
    der = storage.keys.private_key(KEY).private_bytes(
        Encoding.DER, PrivateFormat.PKCS8, NoEncryption()
    )
    files = [data for folder in disk.content().values() for data in folder.values()]
    assert len(files) == 5
    assert not any(der[36:68] in data for data in files)
