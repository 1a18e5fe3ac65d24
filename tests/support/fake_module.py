"""A PKCS #11 module in memory: one token, which forgets, refuses and loses power on cue."""

import hmac
import os
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from device.errors.element import CryptokiError
from device.storage.element.cryptoki import Module, Template, TokenInfo
from device.storage.element.cryptoki_codes import (
    Attribute,
    Mechanism,
    ObjectClass,
    ReturnValue,
    TokenFlag,
)
from tests.support.power import PowerSupply

CURVES = {
    bytes.fromhex("06082a8648ce3d030107"): ec.SECP256R1(),
    bytes.fromhex("06052b81040022"): ec.SECP384R1(),
}
PROOFS = (Attribute.LOCAL, Attribute.NEVER_EXTRACTABLE, Attribute.ALWAYS_SENSITIVE)
READY = TokenFlag.LOGIN_REQUIRED | TokenFlag.USER_PIN_INITIALIZED | TokenFlag.TOKEN_INITIALIZED


class FakeModule(Module):
    """Behaves as SoftHSM does where this device can see it; a test edits its fields."""

    def __init__(self, pin: str = "1234", label: str = "dev") -> None:
        self.path = Path("/fake/module.so")
        self.pin = pin
        self.tokens = [TokenInfo(7, label, "Fake maker", "Fake model", "0001", READY)]
        self.objects: dict[int, dict[Attribute, bytes]] = {}
        self.mechanisms = dict.fromkeys(Mechanism, range(256, 4097))
        self.maker = "SoftHSM"
        self.vouches: dict[Attribute, bytes | None] = dict.fromkeys(PROOFS, b"\1")
        self.sessions: set[int] = set()
        self.is_initialized = True
        self.is_user = False
        self.calls: Counter[str] = Counter()
        self.failures: dict[str, deque[ReturnValue]] = {}
        self.supply = PowerSupply()
        self._keys: dict[bytes, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey] = {}
        self._numbers = count(1)

    # --- for tests ---------------------------------------------------------------------

    def fail(self, function: str, *codes: ReturnValue) -> None:
        """Let the next calls of ``function`` end with ``codes``, one after the other."""
        self.failures.setdefault(function, deque()).extend(codes)

    def reboot(self, supply: PowerSupply) -> None:
        """Take the power away and give it back: keys stay, sessions do not."""
        self.supply = supply
        self.lose_sessions()

    def lose_sessions(self) -> None:
        """Forget all sessions, as a token does that was pulled and put back."""
        self.sessions.clear()
        self.is_user = False

    def labels(self, object_class: ObjectClass = ObjectClass.PRIVATE_KEY) -> list[str]:
        """Return the labels of all private keys in the token, sorted."""
        of_class = bytes([object_class]).ljust(8, b"\0")
        found = (each for each in self.objects.values() if each[Attribute.CLASS] == of_class)
        return sorted(each[Attribute.LABEL].decode() for each in found)

    # --- what the device calls ------------------------------------------------------------

    def initialize(self) -> None:
        self.is_initialized = True

    @property
    def manufacturer(self) -> str:
        return self.maker

    def slots(self, *, with_token: bool = True) -> list[int]:
        with self._called("C_GetSlotList"):
            return [token.slot_id for token in self.tokens]

    def token_info(self, slot: int) -> TokenInfo:
        with self._called("C_GetTokenInfo"):
            return next(token for token in self.tokens if token.slot_id == slot)

    def key_sizes(self, slot: int, mechanism: Mechanism) -> range | None:
        return self.mechanisms.get(mechanism)

    def open_session(self, slot: int) -> int:
        with self._called("C_OpenSession"):
            session = next(self._numbers)
            self.sessions.add(session)
            return session

    def close_session(self, session: int) -> None:
        with self._called("C_CloseSession", session):
            self.sessions.discard(session)
            self.is_user &= bool(self.sessions)

    def login(self, session: int, pin: str, *, as_security_officer: bool = False) -> None:
        with self._called("C_Login", session):
            if self.is_user:
                raise error_of("C_Login", ReturnValue.USER_ALREADY_LOGGED_IN)
            if pin != self.pin:
                raise error_of("C_Login", ReturnValue.PIN_INCORRECT)
            self.is_user = True

    def is_logged_in(self, session: int) -> bool:
        with self._called("C_GetSessionInfo", session):
            return self.is_user

    def find(self, session: int, template: Template) -> list[int]:
        with self._called("C_FindObjects", session):
            wanted = {name: _encoded(value) for name, value in template.items()}
            return [
                handle
                for handle, found in self.objects.items()
                if all(found.get(name) == value for name, value in wanted.items())
                and (self.is_user or found.get(Attribute.PRIVATE) != b"\1")
            ]

    def attribute(self, session: int, handle: int, attribute: Attribute) -> bytes:
        with self._called("C_GetAttributeValue", session):
            if attribute not in self._object(handle):
                raise error_of("C_GetAttributeValue", ReturnValue.ATTRIBUTE_TYPE_INVALID)
            return self.objects[handle][attribute]

    def generate_key(self, session: int, mechanism: Mechanism, template: Template) -> int:
        with self._called("C_GenerateKey", session):
            handle, value = next(self._numbers), os.urandom(32)
            proofs = {name: proof for name, proof in self.vouches.items() if proof is not None}
            given = {name: _encoded(value) for name, value in template.items()}
            self.objects[handle] = {**given, **proofs, Attribute.VALUE: value}
            return handle

    def generate_key_pair(
        self, session: int, mechanism: Mechanism, public: Template, private: Template
    ) -> tuple[int, int]:
        with self._called("C_GenerateKeyPair", session):
            shared, halves = self._new_key(mechanism, public)
            made = []
            for object_class, template, own in zip(
                (ObjectClass.PUBLIC_KEY, ObjectClass.PRIVATE_KEY),
                (public, private),
                halves,
                strict=True,
            ):
                handle = next(self._numbers)
                self.objects[handle] = {
                    Attribute.CLASS: _encoded(int(object_class)),
                    **{name: _encoded(value) for name, value in template.items()},
                    **own,
                    Attribute.VALUE: shared,
                }
                made.append(handle)
                self.supply.tick()
            return made[0], made[1]

    def sign(self, session: int, key: int, mechanism: Mechanism, data: bytes) -> bytes:
        with self._called("C_Sign", session):
            if mechanism is Mechanism.SHA256_HMAC:
                return hmac.digest(self._object(key)[Attribute.VALUE], data, "sha256")
            secret = self._keys[self._object(key)[Attribute.VALUE]]
            if isinstance(secret, rsa.RSAPrivateKey):
                return secret.sign(data[-32:], padding.PKCS1v15(), utils.Prehashed(hashes.SHA256()))
            algorithm = ec.ECDSA(utils.Prehashed(hashes.SHA256()))
            half = (secret.key_size + 7) // 8
            numbers = utils.decode_dss_signature(secret.sign(data, algorithm))
            return b"".join(number.to_bytes(half, "big") for number in numbers)

    def destroy(self, session: int, handle: int) -> None:
        with self._called("C_DestroyObject", session):
            del self.objects[handle]

    def _new_key(
        self, mechanism: Mechanism, public: Template
    ) -> tuple[bytes, tuple[dict[Attribute, bytes], dict[Attribute, bytes]]]:
        secret: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
        if mechanism is Mechanism.RSA_PKCS_KEY_PAIR_GEN:
            secret = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            modulus = secret.public_key().public_numbers().n.to_bytes(256, "big")
            shown = {Attribute.MODULUS: modulus}
        else:
            secret = ec.generate_private_key(CURVES[_encoded(public[Attribute.EC_PARAMS])])
            numbers, size = secret.public_key().public_numbers(), (secret.key_size + 7) // 8
            point = b"\x04" + numbers.x.to_bytes(size, "big") + numbers.y.to_bytes(size, "big")
            shown = {Attribute.EC_POINT: bytes([4, len(point)]) + point}
        reference = next(self._numbers).to_bytes(4, "big")
        self._keys[reference] = secret
        proofs = {name: value for name, value in self.vouches.items() if value is not None}
        return reference, (shown, proofs)

    def _object(self, handle: int) -> dict[Attribute, bytes]:
        if handle not in self.objects:
            raise error_of("C_GetAttributeValue", ReturnValue.OBJECT_HANDLE_INVALID)
        return self.objects[handle]

    @contextmanager
    def _called(self, function: str, session: int | None = None) -> Iterator[None]:
        self.calls[function] += 1
        self.supply.tick()
        if self.failures.get(function):
            raise error_of(function, self.failures[function].popleft())
        if not self.is_initialized:
            raise error_of(function, ReturnValue.CRYPTOKI_NOT_INITIALIZED)
        if session is not None and session not in self.sessions:
            raise error_of(function, ReturnValue.SESSION_HANDLE_INVALID)
        yield
        self.supply.tick()


def error_of(function: str, code: ReturnValue) -> CryptokiError:
    """Return what the binding raises for ``code``."""
    return CryptokiError(function, code, f"CKR_{code.name}")


def _encoded(value: bytes | int) -> bytes:
    if isinstance(value, bytes):
        return value
    return bytes([value]) if isinstance(value, bool) else value.to_bytes(8, "little")
