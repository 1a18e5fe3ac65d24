"""The ``KeyStore`` of a device with a secure element.

Keys that the device makes are made in the element and stay there. Keys that come from outside
(a claim, a key made by AWS) were seen by others already; they go where software keys go, into
the sealed store, and ``get_key_attributes`` says so.

A key must not be lost, left over or made twice, whenever the power fails. To make a key: the
records already hold the ``CKA_ID`` that it will get; the element makes it; the commit around adds
it to the records. A key with that id that is not in the records comes from an interrupted run, and
is destroyed before another is made, and at each boot. To destroy a key: the commit around marks it
in the records; it is destroyed in the element afterwards, at the next boot at the latest.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from cryptography import x509
from msgspec.structs import replace as changed

from device.errors.element import (
    ELEMENT_NOT_OPEN,
    KEY_MISMATCH,
    MECHANISM_MISSING,
    ElementError,
    KeyNotConfinedError,
)
from device.errors.log import logger
from device.errors.storage import KEY_EXISTS
from device.identity.public_key import spki
from device.storage.decoding import decoding
from device.storage.element import key_records, objects
from device.storage.element.key_records import ElementKey, KeyRecords
from device.storage.element.private_key import element_private_key, element_public_key
from device.storage.element.secure_element import ElementSession, SecureElement
from device.storage.keys import (
    KeyAttributes,
    KeyId,
    KeyLocation,
    KeyOrigin,
    KeyProof,
    KeyStore,
    KeyType,
    Pkcs11Identity,
    PrivateKey,
    PublicKey,
    TlsIdentity,
)

if TYPE_CHECKING:
    from device.storage.device_storage import DeviceStorage

_log = logger(__name__)

_ID_BYTES: Final = 16
DEFAULT_LABEL: Final = "device-key"


class Pkcs11KeyStore:
    """A `KeyStore`: keys in a secure element, and beside them those that came from outside."""

    def __init__(
        self,
        storage: "DeviceStorage",
        sealed: KeyStore,
        element: SecureElement | None,
        *,
        tls13: bool = False,
    ) -> None:
        """Without an ``element`` the keys in it can be named and given up, but not used."""
        self._storage: Final = storage
        self._sealed: Final = sealed
        self._maybe_element: Final = element
        self._tls13: Final = tls13

    def recover(self) -> None:
        """Bring the element in line with the records after an interruption; call it at boot.

        Raises:
            ElementError: the element cannot be used.
        """
        records = self._records()
        given_up = [key for key in records.keys if key.pending_destruction and not key.adopted]
        unused = [records.next_id, *(key.identifier for key in given_up)]

        def clear(session: ElementSession) -> int:
            return sum(objects.destroy(session, each) for each in unused)

        if count := self._element.run(clear):
            _log.info("%s objects of unused keys were destroyed in the element", count)
        if key_records.load(self._storage.ps) is None or len(records.active()) < len(records.keys):
            self._save(changed(records, keys=tuple(records.active().values())))

    def generate_key(self, key: KeyId, key_type: KeyType) -> KeyId:
        """Make the key, or take the one that the station made, which the URI names by ``id``.

        Only a device without a key in the element takes that one: the next key is a new one.

        Raises:
            MechanismMissingError, TokenFullError, DuplicateKeyError: the element cannot.
            KeyNotConfinedError: it can, but does not protect the key.
        """
        if key in self.keys():
            raise KEY_EXISTS.error(f"there is a key {key!r} already")
        records, uri, element = self._recovered_records(), self._element.uri, self._element
        if key_type not in element.profile.key_types:
            raise MECHANISM_MISSING.error(key_type=key_type, token=element.profile.name)
        adopted = None if records.active() else uri.id
        label, identifier = self._label(key, adopted), adopted or records.next_id
        make = _adoption if adopted else _generation
        made, vouched = element.run(make(key_type, label, identifier))
        record = ElementKey(
            name=key,
            label=label,
            identifier=identifier,
            key_type=key_type,
            uri=str(changed(uri, object=label, id=adopted, pin_source=None)),
            public_key=spki(made),
            proofs=vouched,
            adopted=adopted is not None,
        )
        self._save(KeyRecords(os.urandom(_ID_BYTES), (*records.keys, record)))
        return key

    def import_key(self, key: KeyId, pem: bytes) -> KeyId:
        """Import the key into the sealed store."""
        if key in self._records().active():
            raise KEY_EXISTS.error(f"there is a key {key!r} already")
        return self._sealed.import_key(key, pem)

    def get_key_attributes(self, key: KeyId) -> KeyAttributes:
        record = self._find(key)
        if record is None:
            return self._sealed.get_key_attributes(key)
        return KeyAttributes(
            record.key_type,
            KeyLocation.PRIMARY_SECURE_ELEMENT,
            KeyOrigin.GENERATED,
            exportable=False,
            proofs=record.proofs,
        )

    def export_public_key(self, key: KeyId) -> PublicKey:
        record = self._find(key)
        return self._sealed.export_public_key(key) if record is None else element_public_key(record)

    def private_key(self, key: KeyId) -> PrivateKey:
        """Return an object that signs in the element."""
        record = self._find(key)
        if record is None:
            return self._sealed.private_key(key)
        return element_private_key(self._element, record)

    def tls_identity(self, key: KeyId, certificate_pem: bytes) -> TlsIdentity:
        """Look for the key in the element first, since awscrt's errors say less.

        Raises:
            KeyMismatchError: the certificate, or the element, belongs to another key.
            ElementKeyMissingError, DuplicateKeyError: the element has not one such key.
        """
        record = self._find(key)
        if record is None:
            return self._sealed.tls_identity(key, certificate_pem)
        if _key_of(certificate_pem) != record.public_key:
            raise KEY_MISMATCH.error(f"the certificate does not belong to the key {record.uri}")

        def slot_of_the_key(session: ElementSession) -> int:
            objects.private_key(session, record.label, record.identifier)
            present = objects.public_key(session, record.key_type, record.identifier)
            if spki(present) != record.public_key:
                raise KEY_MISMATCH.error(f"{record.uri} is not the key that the device made")
            return session.token.slot_id

        return Pkcs11Identity(
            certificate_pem=certificate_pem,
            module_path=self._element.module_path,
            slot_id=self._element.run(slot_of_the_key),
            key_label=record.label,
            pin=self._element.pin(),
            tls13=self._tls13 and record.key_type is not KeyType.RSA_2048,
        )

    def destroy_key(self, key: KeyId) -> None:
        if self._find(key) is None:
            self._sealed.destroy_key(key)
            return
        records = self._records()
        keys = tuple(
            changed(each, pending_destruction=True) if each.name == key else each
            for each in records.keys
        )
        with self._storage.transaction():
            self._save(changed(records, keys=keys))
            self._storage.after_commit(self._destroy_pending)

    def erase(self) -> None:
        """Destroy this device's keys in the element, also those that the station made there."""
        records = self._records()
        ours = [records.next_id, *(key.identifier for key in records.keys)]
        count = self._element.run(lambda session: sum(objects.destroy(session, i) for i in ours))
        _log.info("%s objects were destroyed in the element", count)

    def keys(self) -> list[KeyId]:
        return sorted([*self._sealed.keys(), *map(KeyId, self._records().active())])

    def uri(self, key: KeyId) -> str:
        """Return a URI without a PIN and without the place of one."""
        record = self._find(key)
        return self._sealed.uri(key) if record is None else record.uri

    @property
    def _element(self) -> SecureElement:
        if self._maybe_element is None:
            raise ELEMENT_NOT_OPEN.error("the key is in a secure element, but no element is set")
        return self._maybe_element

    def _records(self) -> KeyRecords:
        return key_records.load(self._storage.ps) or KeyRecords(os.urandom(_ID_BYTES))

    def _recovered_records(self) -> KeyRecords:
        records = key_records.load(self._storage.ps)
        if records is None:
            raise RuntimeError("call recover() first: it makes the id of the next key durable")
        if len(records.active()) < len(records.keys):  # or a new key could not have the old name
            self.recover()
            return self._records()
        return records

    def _save(self, records: KeyRecords) -> None:
        key_records.save(self._storage.ps, records)

    def _find(self, key: KeyId) -> ElementKey | None:
        return self._records().active().get(key)

    def _label(self, key: KeyId, adopted: bytes | None) -> str:
        """``device-key.1`` is ``LABEL.1`` in the element; an adopted key has its own name."""
        label = self._element.uri.object or DEFAULT_LABEL
        if adopted is not None:
            return label
        return f"{label}.{key.rpartition('.')[2]}"

    def _destroy_pending(self) -> None:
        if self._maybe_element is None:
            _log.info("the key is destroyed in the element at the next boot that opens it")
            return
        try:
            self.recover()
        except ElementError as error:
            _log.warning("the key is destroyed in the element at the next boot: %s", error)


Made = tuple[PublicKey, tuple[KeyProof, ...]]


def _generation(
    key_type: KeyType, label: str, identifier: bytes
) -> Callable[[ElementSession], Made]:
    def generate(session: ElementSession) -> Made:
        objects.destroy(session, identifier)  # what was cut short before
        objects.generate(session, key_type, label, identifier)
        try:
            return _examined(session, key_type, label, identifier)
        except KeyNotConfinedError:
            objects.destroy(session, identifier)
            raise

    return generate


def _adoption(key_type: KeyType, label: str, identifier: bytes) -> Callable[[ElementSession], Made]:
    return lambda session: _examined(session, key_type, label, identifier)


def _examined(session: ElementSession, key_type: KeyType, label: str, identifier: bytes) -> Made:
    handle = objects.private_key(session, label, identifier)
    vouched = objects.proofs(session, handle)
    return objects.public_key(session, key_type, identifier), vouched


def _key_of(certificate_pem: bytes) -> bytes:
    with decoding("the certificate"):
        key = x509.load_pem_x509_certificate(certificate_pem).public_key()
    return spki(key)
