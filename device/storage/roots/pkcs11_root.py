"""A root key that a PKCS #11 token computes: an HMAC, by a key that it does not give away."""

from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import ClassVar, Final

from device.errors.element import DUPLICATE_KEY, CryptokiError, Pkcs11UriError
from device.errors.root_of_trust import HMAC_MISSING, ROOT_KEY_MISSING
from device.storage.element.cryptoki import Module, Template
from device.storage.element.cryptoki_codes import Attribute, Mechanism, ObjectClass, ReturnValue
from device.storage.element.objects import proofs
from device.storage.element.pin import pin_from_file
from device.storage.element.pkcs11_uri import parse
from device.storage.element.secure_element import ElementSession, SecureElement
from device.storage.filesystem import Fs
from device.storage.roots.fuse_files import KEY_BYTES, KeyedFuses
from device.storage.roots.refused_pin_file import RefusedPinFile
from device.storage.roots.root_of_trust import SEALED, Strength, Threat

_LABEL: Final = "firstboot-root"
_NOT_THERE: Final = frozenset({ReturnValue.FUNCTION_NOT_SUPPORTED, ReturnValue.MECHANISM_INVALID})


class Pkcs11Root(KeyedFuses):
    """An HMAC key in the token that a URI names; made there when the device is."""

    kind: ClassVar[str] = "pkcs11"
    strength: ClassVar[Strength] = Strength(
        (*SEALED, Threat.STOLEN_STATE),
        "also against a cloned disk if the token is a chip; tested with SoftHSM only",
    )

    def __init__(self, fs: Fs, uri: str, load: Callable[[Path], Module] = Module.load) -> None:
        """Open the token of ``uri`` when it is first needed.

        Raises:
            Pkcs11UriError: the URI cannot be used.
        """
        super().__init__(fs)
        self._uri = parse(uri)
        self._label = self._uri.object or _LABEL
        self._load = load

    def _hmac(self, message: bytes) -> bytes:
        return self._element.run(lambda session: self._sign(session, message))

    def _make_key(self) -> None:
        self._element.run(self._generate)
        super()._make_key()

    def _forget_key(self) -> None:
        """The key in the token may be other devices' too, and stays."""
        for name in (RefusedPinFile.NAME, f"{RefusedPinFile.NAME}.new"):
            self._fs.unlink(name)

    @cached_property
    def _element(self) -> SecureElement:
        if self._uri.module_path is None:
            raise Pkcs11UriError("module-path is missing; set the path of the token's library")
        source = self._uri.pin_source
        pin = None if source is None else partial(pin_from_file, source)
        refused = RefusedPinFile(self._fs)
        return SecureElement(self._load(self._uri.module_path), self._uri, pin, refused)

    def _sign(self, session: ElementSession, message: bytes) -> bytes:
        found = self._keys(session)
        if not found:
            raise ROOT_KEY_MISSING.error(
                f"token {session.token.label} holds no key {self._label!r}"
            )
        if len(found) > 1:
            raise DUPLICATE_KEY.error(f"the token holds {len(found)} keys {self._label!r}")
        return session.module.sign(session.handle, found[0], Mechanism.SHA256_HMAC, message)

    def _generate(self, session: ElementSession) -> None:
        """Make the key, unless it is there: several devices may stand on one."""
        if self._keys(session):
            return
        template: Template = {
            Attribute.CLASS: ObjectClass.SECRET_KEY,
            Attribute.LABEL: self._label.encode(),
            Attribute.TOKEN: True,
            Attribute.PRIVATE: True,
            Attribute.SENSITIVE: True,
            Attribute.EXTRACTABLE: False,
            Attribute.SIGN: True,
            Attribute.VALUE_LEN: KEY_BYTES,
        }
        module, mechanism = session.module, Mechanism.GENERIC_SECRET_KEY_GEN
        if module.key_sizes(session.token.slot_id, Mechanism.SHA256_HMAC) is None:
            raise HMAC_MISSING.error(token=session.token.label)
        try:
            key = module.generate_key(session.handle, mechanism, template)
        except CryptokiError as error:
            if error.return_value in _NOT_THERE:
                raise HMAC_MISSING.error(token=session.token.label) from None
            raise
        try:
            proofs(session, key)
        except BaseException:
            module.destroy(session.handle, key)
            raise

    def _keys(self, session: ElementSession) -> list[int]:
        template: Template = {
            Attribute.CLASS: ObjectClass.SECRET_KEY,
            Attribute.LABEL: self._label.encode(),
        }
        return session.module.find(session.handle, template)
