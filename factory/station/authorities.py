"""The CAs that a station keeps: one root, one issuing CA a method, keys sealed.

A CA serves either just-in-time provisioning or registration in an account and Region, so each
method has its own and all can be prepared side by side (docs/adr/0011).
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key

from device.errors.storage import DoesNotExistError
from device.storage.decoding import stored
from device.storage.device_storage import DeviceStorage
from device.storage.element.installation import element_at
from device.storage.element.pkcs11_uri import parse
from device.storage.keys import KeyId, KeyType
from factory.account.changes import Change, Outcome
from factory.errors import AUTHORITY_MISSING, ELEMENT_CHOICE
from factory.station.authority import Authority, issue_root
from factory.station.station_keys import StationKeys

KIND: Final = "certificate authority"
ROOT: Final = "root"
_CAS: Final[Mapping[str, tuple[int, str]]] = {
    ROOT: (0x100, "Root CA"),
    "jitp": (0x101, "JITP CA"),
    "jitr": (0x102, "JITR CA"),
    "multi-account": (0x103, "Multi-Account CA"),
    "claim-own-ca": (0x104, "Own CA"),
}
"""By method: where the CA's certificate is in the station's Protected Storage, and its name.

Neither may ever be changed.
"""
_KEY_IS_ELSEWHERE: Final = frozenset({"claim-own-ca"})
"""Of these CAs the station keeps the certificate alone."""
_WITH_KEY_HERE: Final = tuple(name for name in _CAS if name not in _KEY_IS_ELSEWHERE)
_LABEL: Final = "firstboot"
"""Begins the labels of the CAs' keys in an element, unless the URI names another (object=)."""
ISSUING: Final = tuple(name for name in _CAS if name not in {ROOT, *_KEY_IS_ELSEWHERE})
"""The methods whose devices hold a certificate of the station's."""
_WANTED_FIELDS: Final = 0x100
"""Added to a CA's uid: what a leaf's subject must have."""


class Authorities:
    """What the station keeps of its CAs, in front of its sealed storage."""

    def __init__(self, storage: DeviceStorage, keys: StationKeys | None = None) -> None:
        """Use ``storage``; to make CAs, it must be open for writing."""
        self._storage = storage
        self._keys = keys or StationKeys(storage)
        self._opened: dict[str, Authority] = {}
        """A CA never changes once it is made."""

    def use_element(self, uri: str) -> None:
        """Have the keys of all CAs made in the secure element that ``uri`` names, and stay there.

        The element is noted once it could be opened: a URI that is wrong can be given again.

        Raises:
            ElementChoiceError: the CAs have their keys elsewhere already, or the URI names a key.
            ElementError: the module, the token or the PIN cannot be used.
        """
        element = element_at(_for_cas(uri))
        if self._keys.element == element:
            return
        if made := list(filter(self._has, _WITH_KEY_HERE)):
            raise ELEMENT_CHOICE.error(
                f"this station has its CAs already, and the key of {made[0]} is "
                f"{self._keys.uri(_key(made[0]))}",
                next_step="Devices rely on these CAs, and their keys cannot be moved. For CAs in "
                "the element, begin another station: factory ca init --station OTHER-DIR",
            )
        self._keys.use(element)

    def ensure(self, now: datetime, methods: Iterable[str] = ISSUING) -> list[Change]:
        """Make what is missing of the root and an issuing CA for each of ``methods``.

        Each is one commit: a key that a cut has left in an element is found by the id that the
        last commit has noted for it.

        Raises:
            ElementError: the element that the keys are to be made in cannot be used.
        """
        wanted = [ROOT, *methods]
        missing = [name for name in wanted if not self._has(name)]
        for name in missing:
            with self._storage.transaction():
                self._make(name, now)
        outcomes = {True: Outcome.CREATED, False: Outcome.UNCHANGED}
        return [
            Change(KIND, _name(self.open(each).certificate), outcomes[each in missing])
            for each in wanted
        ]

    def certify(self, method: str, public_key: bytes, now: datetime) -> list[Change]:
        """Have the root sign a certificate for a CA whose key (DER) is elsewhere, once a key."""
        changes = self.ensure(now, [])
        key = load_der_public_key(public_key)
        assert isinstance(key, EllipticCurvePublicKey)  # noqa: S101 - as it was ordered
        is_right = self._has(method) and self._certificate(method).public_key() == key
        if not is_right:
            made = self.open(ROOT).issue_authority(_CAS[method][1], key, now)
            self._storage.ps.set(_uid(method), made.public_bytes(Encoding.PEM))
        outcome = Outcome.UNCHANGED if is_right else Outcome.CREATED
        return [*changes, Change(KIND, _name(self._certificate(method)), outcome)]

    def certificate_pem(self, name: str) -> bytes:
        """Return the certificate of a CA.

        Raises:
            AuthorityMissingError: it was never made.
        """
        try:
            return self._storage.ps.get(_uid(name))
        except DoesNotExistError:
            raise AUTHORITY_MISSING.error(f"this station has no {name} CA") from None

    def described(self) -> Iterator[Mapping[str, str]]:
        """Yield what a person, or AWS, may want to know of each CA."""
        for name in filter(self._has, _CAS):
            certificate = self._certificate(name)
            limits = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
            yield {
                "ca": name,
                "subject": _name(certificate),
                "certificate_id": certificate.fingerprint(hashes.SHA256()).hex(),
                "not_before": certificate.not_valid_before_utc.isoformat(),
                "not_after": certificate.not_valid_after_utc.isoformat(),
                "path_length": str(limits.path_length),
                "key": self._where(name),
                "certificate_pem": self.certificate_pem(name).decode(),
            }

    def open(self, name: str) -> Authority:
        """Return the CA of a method, or the root.

        Raises:
            AuthorityMissingError: it was never made.
            ElementError: its key is in an element that cannot be used.
        """
        if name not in self._opened:  # a batch signs with it thousands of times
            certificate = self._certificate(name)
            key = self._keys.store.private_key(_key(name))
            self._opened[name] = Authority(certificate, key)
        return self._opened[name]

    def want_fields(self, method: str, fields: frozenset[str]) -> None:
        """Note which subject fields the prepared template takes from a leaf."""
        if self.wanted_fields(method) != fields:
            self._storage.ps.set(_uid(method) + _WANTED_FIELDS, msgspec.json.encode(sorted(fields)))

    def wanted_fields(self, method: str) -> frozenset[str] | None:
        """Return what a leaf's subject must have, by AWS's names; None before ``prepare``."""
        decode = msgspec.json.Decoder(frozenset[str]).decode
        what = f"the list of the fields that {method} needs"
        return stored(self._storage.ps, _uid(method) + _WANTED_FIELDS, decode, what)

    def _where(self, name: str) -> str:
        if name in _KEY_IS_ELSEWHERE:
            return "AWS KMS"
        return self._keys.uri(_key(name))

    def _certificate(self, name: str) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate_pem(name))

    def _has(self, name: str) -> bool:
        return _uid(name) in self._storage.ps.uids()

    def _make(self, name: str, now: datetime) -> None:
        key_id = self._keys.store.generate_key(_key(name), KeyType.EC_P256)
        key = self._keys.store.private_key(key_id)
        if name == ROOT:
            certificate = issue_root(key, now)
        else:
            certificate = self.open(ROOT).issue_authority(_CAS[name][1], key.public_key(), now)
        self._storage.ps.set(_uid(name), certificate.public_bytes(Encoding.PEM))


def _for_cas(uri: str) -> str:
    """Return the element's URI with a label for the keys.

    Raises:
        ElementChoiceError: it names one key, and each CA has its own.
        Pkcs11UriError: it cannot be used.
    """
    parsed = parse(uri)
    if parsed.id is not None:
        raise ELEMENT_CHOICE.error(
            "the URI names one key by its id, and each CA has a key of its own",
            next_step="Leave out id=; the station makes the keys in the token.",
        )
    return str(msgspec.structs.replace(parsed, object=parsed.object or _LABEL))


def _uid(name: str) -> int:
    return _CAS[name][0]


def _key(name: str) -> KeyId:
    return KeyId(f"{name}-ca-key")


def _name(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()
