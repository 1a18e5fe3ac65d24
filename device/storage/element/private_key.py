"""Private keys that pyca/cryptography signs with, although they never leave the element.

The library documents this way for keys in hardware: a subclass of its abstract class is taken
wherever a private key is (its page "Using a cloud HSM or other external signer").
"""

from typing import Final, NoReturn, Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils
from cryptography.hazmat.primitives.asymmetric.padding import AsymmetricPadding, PKCS1v15
from cryptography.hazmat.primitives.serialization import load_der_public_key

from device.errors.storage import KeyNotUsableError
from device.storage.decoding import decoded
from device.storage.element import objects
from device.storage.element.cryptoki_codes import Mechanism
from device.storage.element.key_records import ElementKey
from device.storage.element.secure_element import ElementSession, SecureElement
from device.storage.keys import PrivateKey, PublicKey

Data = bytes | bytearray | memoryview

_DIGEST_INFO: Final = {  # RFC 8017, 9.2, note 1
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}


def element_private_key(element: SecureElement, key: ElementKey) -> PrivateKey:
    """Return the key as an object that signs in ``element``."""
    public = element_public_key(key)
    if isinstance(public, rsa.RSAPublicKey):
        return ElementRsaKey(element, key, public)
    return ElementEcKey(element, key, public)


def element_public_key(key: ElementKey) -> PublicKey:
    """Return the public half, from the device's records."""
    public = decoded(key.public_key, load_der_public_key, f"the public key of {key.name}")
    if isinstance(public, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        return public
    raise KeyNotUsableError(f"the records hold a {type(public).__name__} for {key.name}")


class _Signer:
    """What both kinds of key share: where they are, and that they stay there."""

    def __init__(self, element: SecureElement, key: ElementKey) -> None:
        self._element: Final = element
        self._key: Final = key
        self.name: Final = key.name

    def _sign(self, mechanism: Mechanism, data: bytes) -> bytes:
        label, identifier = self._key.label, self._key.identifier

        def sign(session: ElementSession) -> bytes:
            handle = objects.private_key(session, label, identifier)
            return session.module.sign(session.handle, handle, mechanism, data)

        return self._element.run(sign)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _: dict[int, object]) -> Self:
        return self


def _refuse(signer: _Signer, *_: object, **__: object) -> NoReturn:
    raise KeyNotUsableError(f"{signer.name} signs, and never leaves the secure element")


class ElementEcKey(_Signer, ec.EllipticCurvePrivateKey):
    """An EC key in the element."""

    def __init__(
        self, element: SecureElement, key: ElementKey, public: ec.EllipticCurvePublicKey
    ) -> None:
        super().__init__(element, key)
        self._public: Final = public

    @property
    def curve(self) -> ec.EllipticCurve:
        """The curve."""
        return self._public.curve

    @property
    def key_size(self) -> int:
        """The size in bits."""
        return self._public.key_size

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Return the public half."""
        return self._public

    def sign(self, data: Data, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        """Hash here, sign in the element; it returns r and s bare, DER is what is wanted."""
        raw = self._sign(Mechanism.ECDSA, _digest(data, signature_algorithm.algorithm))
        half = len(raw) // 2
        numbers = (int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))
        return utils.encode_dss_signature(*numbers)

    exchange = private_numbers = private_bytes = _refuse


class ElementRsaKey(_Signer, rsa.RSAPrivateKey):
    """An RSA key in the element."""

    def __init__(self, element: SecureElement, key: ElementKey, public: rsa.RSAPublicKey) -> None:
        super().__init__(element, key)
        self._public: Final = public

    @property
    def key_size(self) -> int:
        """The size in bits."""
        return self._public.key_size

    def public_key(self) -> rsa.RSAPublicKey:
        """Return the public half."""
        return self._public

    def sign(self, data: Data, padding: AsymmetricPadding, algorithm: object) -> bytes:
        """Hash here, sign in the element: PKCS #1 v1.5 alone, which every element has."""
        if not isinstance(padding, PKCS1v15):
            raise KeyNotUsableError(f"{self.name} signs with PKCS #1 v1.5 padding only")
        if not isinstance(algorithm, hashes.HashAlgorithm) or algorithm.name not in _DIGEST_INFO:
            raise KeyNotUsableError(f"{self.name} signs with SHA-256, SHA-384, SHA-512 only")
        return self._sign(
            Mechanism.RSA_PKCS, _DIGEST_INFO[algorithm.name] + _digest(data, algorithm)
        )

    decrypt = private_numbers = private_bytes = _refuse


def _digest(data: Data, algorithm: utils.Prehashed | hashes.HashAlgorithm) -> bytes:
    if isinstance(algorithm, utils.Prehashed):
        return bytes(data)
    context = hashes.Hash(algorithm)
    context.update(data)
    return context.finalize()
