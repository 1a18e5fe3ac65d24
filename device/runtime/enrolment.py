"""Carries out what a machine orders about keys and certificates: each order is one commit."""

from collections.abc import Mapping
from typing import Final

import msgspec
from cryptography import x509

from device.errors import (
    CertificateUnacceptableError,
    ClaimMissingError,
    DataCorruptError,
    DoesNotExistError,
    KeyNotUsableError,
)
from device.identity import csr as signing_request
from device.identity.certificates import Expectation, check_certificate, validity
from device.provisioning.actions import StageCertificate
from device.provisioning.events import Credential
from device.runtime import journal
from device.runtime.clock import Clock, trusted_wall_time
from device.runtime.journal import Identity, Keyed, Progress, Registered, Staged, load_identity
from device.storage.device_storage import DeviceStorage
from device.storage.keys import CLAIM_KEY, KeyId, KeyOrigin, KeyType, TlsIdentity
from device.storage.secure_storage import Uid


class Enrolment:
    """The device's side of provisioning: its key, its certificates, its journal."""

    def __init__(  # noqa: PLR0913 - one object per collaborator, all named at the one call
        self,
        storage: DeviceStorage,
        clock: Clock,
        *,
        method: str,
        key_type: KeyType,
        subject: x509.Name,
        issuer_pem: bytes | None,
    ) -> None:
        """Work on ``storage``; ``issuer_pem`` is the CA of device certificates, where known."""
        self._storage: Final = storage
        self._clock: Final = clock
        self._method: Final = method
        self._key_type: Final = key_type
        self._subject: Final = subject
        self._issuer_pem: Final = issuer_pem

    @property
    def progress(self) -> Progress | None:
        """The last durable step."""
        return journal.load(self._storage.ps)

    def tls_identity(self, credential: Credential) -> TlsIdentity:
        """Return the certificate and key to connect with.

        Raises:
            ClaimMissingError: the station never installed a claim, or it is destroyed.
        """
        match credential:
            case Credential.CLAIM:
                try:
                    pem = self._storage.ps.get(Uid.CLAIM_CERTIFICATE)
                except DoesNotExistError:
                    raise ClaimMissingError from None
                return self._storage.keys.tls_identity(CLAIM_KEY, pem)
            case Credential.STAGED:
                progress = self.progress
                if not isinstance(progress, Staged | Registered):
                    raise DataCorruptError("no certificate is staged")
                pem = self._storage.ps.get(Uid.STAGED_CERTIFICATE)
                return self._storage.keys.tls_identity(KeyId(progress.key), pem)
            case Credential.DEVICE:
                identity = load_identity(self._storage.ps)
                if identity is None:
                    raise DataCorruptError("the device has no identity")
                pem = self._storage.ps.get(Uid.DEVICE_CERTIFICATE)
                return self._storage.keys.tls_identity(KeyId(identity.key), pem)

    def generate_key(self) -> str:
        """Make the device key and its CSR in one commit; return the CSR as PEM."""
        with self._storage.transaction():
            key = self._storage.keys.generate_key(self._next_key(), self._key_type)
            csr_pem = signing_request.build_csr(self._storage.keys.private_key(key), self._subject)
            journal.save(self._storage.ps, Keyed(key, csr_pem))
        return csr_pem

    def stage(self, order: StageCertificate) -> None:
        """Check the certificate and store it with its token in one commit.

        Raises:
            CertificateUnacceptableError: it is not one this device may use; nothing was stored.
        """
        pem = order.certificate_pem.encode()
        progress = self.progress
        csr_pem = progress.csr_pem if isinstance(progress, Keyed) else None
        with self._storage.transaction():
            if order.private_key_pem is not None:
                key = self._imported(order.private_key_pem)
            elif isinstance(progress, Keyed):
                key = KeyId(progress.key)
            else:
                raise DataCorruptError("a certificate was issued for a key that is not stored")
            now = trusted_wall_time(self._clock)
            check_certificate(
                pem,
                Expectation(
                    public_key=self._storage.keys.export_public_key(key),
                    certificate_id=order.certificate_id,
                    subject=signing_request.subject_of(csr_pem) if csr_pem else None,
                    issuer_pem=self._issuer_pem,
                    now=now,
                ),
            )
            self._storage.ps.set(Uid.STAGED_CERTIFICATE, pem)
            staged = Staged(key, csr_pem, order.certificate_id, order.ownership_token, now)
            journal.save(self._storage.ps, staged)

    def forget_staged(self) -> None:
        """Drop the staged certificate and its token; a key that the device made stays."""
        progress = self.progress
        if not isinstance(progress, Staged):
            return
        with self._storage.transaction():
            self._storage.ps.remove(Uid.STAGED_CERTIFICATE)
            if progress.csr_pem is None:
                self._storage.keys.destroy_key(KeyId(progress.key))
                self._storage.ps.remove(Uid.PROVISIONING_JOURNAL)
            else:
                journal.save(self._storage.ps, Keyed(progress.key, progress.csr_pem))

    def record_registration(
        self, thing_name: str, device_configuration: Mapping[str, str] | None
    ) -> None:
        """Store what RegisterThing said; the token has served and goes in the same commit."""
        progress = self.progress
        if not isinstance(progress, Staged):
            raise DataCorruptError("a thing was registered with no certificate staged")
        registered = Registered(
            progress.key, progress.certificate_id, thing_name, device_configuration
        )
        journal.save(self._storage.ps, registered)

    def promote(self) -> Identity:
        """Make the staged certificate the identity and destroy the claim, in one commit."""
        progress = self.progress
        if not isinstance(progress, Registered):
            raise DataCorruptError("nothing is registered that could be promoted")
        ps, keys = self._storage.ps, self._storage.keys
        pem = ps.get(Uid.STAGED_CERTIFICATE)
        not_before, not_after = validity(pem)
        key = KeyId(progress.key)
        attributes = keys.get_key_attributes(key)
        identity = Identity(
            thing_name=progress.thing_name,
            certificate_id=progress.certificate_id,
            key=key,
            key_uri=keys.uri(key),
            key_type=attributes.key_type,
            key_made_by="aws" if attributes.origin is KeyOrigin.IMPORTED else "device",
            method=self._method,
            not_before=not_before,
            not_after=not_after,
            promoted_at=self._clock.wall(),
        )
        configuration = msgspec.json.encode(progress.device_configuration)
        with self._storage.transaction():
            ps.set(Uid.DEVICE_CERTIFICATE, pem)
            ps.set(Uid.IDENTITY, msgspec.msgpack.encode(identity))
            ps.set(Uid.DEVICE_CONFIGURATION, configuration)
            ps.remove(Uid.STAGED_CERTIFICATE)
            ps.remove(Uid.PROVISIONING_JOURNAL)
            ps.remove(Uid.CLAIM_CERTIFICATE)
            keys.destroy_key(CLAIM_KEY)
        return identity

    def _imported(self, private_key_pem: str) -> KeyId:
        try:
            return self._storage.keys.import_key(self._next_key(), private_key_pem.encode())
        except KeyNotUsableError as error:
            problem = f"the private key that came with the certificate: {error}"
            raise CertificateUnacceptableError(problem) from None

    def _next_key(self) -> KeyId:
        numbers = [
            int(label.rpartition(".")[2])
            for label in self._storage.keys.keys()  # noqa: SIM118 - a KeyStore is no dict
            if label.startswith("device-key.")
        ]
        return KeyId(f"device-key.{1 + max(numbers, default=0)}")
