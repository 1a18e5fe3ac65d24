"""The ``KeyStore`` of a device with a secure element.

Keys that the device makes are made in the element and stay there. Keys that come from outside
(a claim, a key made by AWS) were seen by others already; they go where software keys go, into
the sealed store, and ``get_key_attributes`` says so.

A key must not be lost, left over, or there twice, whatever is cut. Making one: the book holds
the ``CKA_ID`` that it will carry since before; it is made; the book takes it up in the commit
around. A key with that id that the book does not list was cut short, and is destroyed before
another is made, and at each boot. Destroying one: the book gives it up in the commit around;
it is destroyed afterwards, at the next boot at the latest.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec.structs import replace as changed

from device.errors.element import (
    ElementError,
    ElementNotOpenError,
    KeyMismatchError,
    KeyNotConfinedError,
    MechanismMissingError,
)
from device.errors.storage import KeyExistsError
from device.storage.decoding import decoding
from device.storage.element import element_book, objects
from device.storage.element.element_book import ElementBook, ElementKey
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

_log = logging.getLogger(__name__)

_ID_BYTES: Final = 16
DEFAULT_LABEL: Final = "device-key"


class Pkcs11KeyStore:
    """Keys in a secure element, and beside them those that came from outside."""

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

    def settle(self) -> None:
        """Bring the element in line with the book, after whatever was cut; call it at boot.

        Raises:
            ElementError: the element cannot be used.
        """
        book = self._book()
        doomed = [key.identifier for key in book.keys if key.doomed and not key.adopted]

        def clear(session: ElementSession) -> int:
            return sum(objects.destroy(session, each) for each in [book.reserved, *doomed])

        if count := self._element.run(clear):
            _log.info("%s objects of unfinished keys were destroyed in the element", count)
        if element_book.load(self._storage.ps) is None or len(book.living()) < len(book.keys):
            self._save(changed(book, keys=tuple(book.living().values())))

    def generate_key(self, key: KeyId, key_type: KeyType) -> KeyId:
        """See ``KeyStore``; an ``id`` in the URI names a key that the station made before.

        Raises:
            MechanismMissingError, TokenFullError, DuplicateKeyError: the element cannot.
            KeyNotConfinedError: it can, but does not protect the key.
        """
        if key in self.keys():
            raise KeyExistsError(f"the key {key!r} already exists")
        book, uri, element = self._settled_book(), self._element.uri, self._element
        if key_type not in element.profile.key_types:
            raise MechanismMissingError(key_type, element.profile.name)
        label, identifier = self._label(key), uri.id or book.reserved
        make = _adoption if uri.id else _generation
        made, vouched = element.run(make(key_type, label, identifier))
        record = ElementKey(
            name=key,
            label=label,
            identifier=identifier,
            key_type=key_type,
            uri=str(replace(uri, object=label, pin_source=None)),
            public_key=objects.encoded(made),
            proofs=vouched,
            adopted=uri.id is not None,
        )
        self._save(ElementBook(os.urandom(_ID_BYTES), (*book.keys, record)))
        return key

    def import_key(self, key: KeyId, pem: bytes) -> KeyId:
        """See ``KeyStore``; the key goes to the sealed store."""
        if key in self._book().living():
            raise KeyExistsError(f"the key {key!r} already exists")
        return self._sealed.import_key(key, pem)

    def get_key_attributes(self, key: KeyId) -> KeyAttributes:
        """See ``KeyStore``."""
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
        """See ``KeyStore``."""
        record = self._find(key)
        return self._sealed.export_public_key(key) if record is None else element_public_key(record)

    def private_key(self, key: KeyId) -> PrivateKey:
        """See ``KeyStore``; the object signs in the element."""
        record = self._find(key)
        if record is None:
            return self._sealed.private_key(key)
        return element_private_key(self._element, record)

    def tls_identity(self, key: KeyId, certificate_pem: bytes) -> TlsIdentity:
        """See ``KeyStore``; the element is asked for the key first, since awscrt's errors say less.

        Raises:
            KeyMismatchError: the certificate, or the element, belongs to another key.
            ElementKeyMissingError, DuplicateKeyError: the element has not one such key.
        """
        record = self._find(key)
        if record is None:
            return self._sealed.tls_identity(key, certificate_pem)
        if _key_of(certificate_pem) != record.public_key:
            raise KeyMismatchError(f"the certificate does not belong to the key {record.uri}")

        def slot_of_the_key(session: ElementSession) -> int:
            objects.private_key(session, record.label, record.identifier)
            present = objects.public_key(session, record.key_type, record.identifier)
            if objects.encoded(present) != record.public_key:
                raise KeyMismatchError(f"{record.uri} is not the key that the device made")
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
        """See ``KeyStore``."""
        if self._find(key) is None:
            self._sealed.destroy_key(key)
            return
        book = self._book()
        keys = tuple(changed(each, doomed=True) if each.name == key else each for each in book.keys)
        with self._storage.transaction():
            self._save(changed(book, keys=keys))
            self._storage.after_commit(self._bury)

    def keys(self) -> list[KeyId]:
        """See ``KeyStore``."""
        return sorted([*self._sealed.keys(), *map(KeyId, self._book().living())])

    def uri(self, key: KeyId) -> str:
        """See ``KeyStore``; the URI holds no PIN, nor where one is."""
        record = self._find(key)
        return self._sealed.uri(key) if record is None else record.uri

    @property
    def _element(self) -> SecureElement:
        if self._maybe_element is None:
            raise ElementNotOpenError("the key is in a secure element, but no element is set")
        return self._maybe_element

    def _book(self) -> ElementBook:
        return element_book.load(self._storage.ps) or ElementBook(os.urandom(_ID_BYTES))

    def _settled_book(self) -> ElementBook:
        book = element_book.load(self._storage.ps)
        if book is None:
            raise RuntimeError("settle() comes first: it makes the next key's id durable")
        return book

    def _save(self, book: ElementBook) -> None:
        element_book.save(self._storage.ps, book)

    def _find(self, key: KeyId) -> ElementKey | None:
        return self._book().living().get(key)

    def _label(self, key: KeyId) -> str:
        """``device-key.1`` is ``LABEL.1`` in the element; an adopted key has its own name."""
        label = self._element.uri.object or DEFAULT_LABEL
        if self._element.uri.id is not None:
            return label
        return f"{label}.{key.rpartition('.')[2]}"

    def _bury(self) -> None:
        if self._maybe_element is None:
            _log.info("the key is destroyed in the element at the next boot that opens it")
            return
        try:
            self.settle()
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
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
