"""Carries out what a machine orders about keys and certificates: each order is one commit."""

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec
from cryptography import x509

from device.errors.provisioning import (
    INSTALLED_CERTIFICATE,
    CertificateUnacceptableError,
    clock_behind,
)
from device.errors.storage import DataCorruptError, KeyNotUsableError
from device.identity import csr as signing_request
from device.identity.certificates import (
    CLOCK_SKEW,
    CheckedCertificate,
    Expectation,
    certificate_id,
    check_certificate,
    check_chain,
    leaf_of,
    validity,
)
from device.lifecycle import journal
from device.lifecycle.journal import Identity, Keyed, Progress, Registered, Staged
from device.provisioning.actions import StageCertificate
from device.provisioning.events import (
    CertificateInstalled,
    CertificateStaged,
    ClockFoundBehind,
    Event,
)
from device.runtime.clock import Clock, has_certainly_expired, trusted_wall_time
from device.storage import installed_certificate
from device.storage.device_storage import DeviceStorage
from device.storage.installed_certificate import InstalledCertificate
from device.storage.keys import CLAIM_KEY, KeyId, KeyOrigin, KeyType
from device.storage.manufacturing_data import made_at
from device.storage.secure_storage import Uid

_log = logging.getLogger(__name__)

_USED_UP: Final = {
    Uid.CLAIM_CERTIFICATE,
    Uid.INSTALLED_CERTIFICATE,
    Uid.STAGED_CERTIFICATE,
    Uid.PROVISIONING_JOURNAL,
}
"""What a device no longer holds once it is proven."""


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
        self._said_clock_is_behind = False

    @property
    def progress(self) -> Progress | None:
        """The last durable step."""
        return journal.load(self._storage.ps)

    def stored(self) -> Event:
        """Return what a machine is told when the power comes, or when a retry begins.

        Raises:
            InstalledCertificateError: the station's certificate cannot be this device's.
        """
        progress = self.progress
        installed = installed_certificate.load(self._storage.ps)
        if progress is None and installed is not None:
            return self._installed(installed)
        return journal.as_event(progress, journal.load_given_up(self._storage.ps))

    def generate_key(self) -> str:
        """Make the device key and its CSR in one commit; return the CSR as PEM."""
        with self._storage.transaction():
            key = self._storage.keys.generate_key(self._next_key(), self._key_type)
            private_key = self._storage.keys.private_key(key)
            csr_pem = signing_request.build_csr(private_key, self._new_subject())
            journal.save(self._storage.ps, Keyed(key, csr_pem))
        return csr_pem

    def stage(self, order: StageCertificate) -> Event:
        """Check the certificate and store it with its token in one commit; return what came of it.

        Our own clock refuses nothing: the certificate came over a verified connection, a moment
        after AWS issued it, so one that is not yet valid says that this clock is behind.

        Raises:
            CertificateUnacceptableError: it is not one this device may use; nothing was stored.
        """
        pem, progress = order.certificate_pem.encode(), self.progress
        csr_pem = progress.csr_pem if isinstance(progress, Keyed) else None
        with self._storage.transaction():
            key = self._key_of(order, progress)
            checked = self._checked(
                check_certificate,
                pem,
                Expectation(
                    public_key=self._storage.keys.export_public_key(key),
                    certificate_id=order.certificate_id,
                    subject=signing_request.subject_of(csr_pem) if csr_pem else None,
                    issuer_pem=self._issuer_pem,
                ),
            )
            proof = self._proof_of(order.certificate_id)
            self._storage.ps.set(Uid.STAGED_CERTIFICATE, checked.pem)
            staged = Staged(key, csr_pem, order.certificate_id, order.ownership_token, proof)
            journal.save(self._storage.ps, staged)
        not_before = self._still_to_come(checked)
        if not_before is not None:
            return ClockFoundBehind(self._clock.wall(), not_before)
        return CertificateStaged(proof, journal.load_given_up(self._storage.ps))

    def record_refusal(self) -> None:
        """Add a round to the evidence against the staged certificate."""
        progress = self.progress
        if not isinstance(progress, Staged | Registered):
            return
        given_up = len(journal.load_given_up(self._storage.ps))
        evidence = progress.evidence.and_a_round(self._clock.monotonic(), given_up)
        if evidence.is_news_to(progress.evidence):
            journal.save(self._storage.ps, msgspec.structs.replace(progress, evidence=evidence))

    def give_up_staged(self) -> None:
        """Drop the staged certificate and its token, and remember its id, in one commit.

        A key that the device made stays.
        """
        progress = self.progress
        if not isinstance(progress, Staged | Registered):
            return
        with self._storage.transaction():
            journal.note_given_up(self._storage.ps, progress.certificate_id)
            self._storage.ps.remove(Uid.STAGED_CERTIFICATE)
            if progress.csr_pem is None:
                self._storage.keys.destroy_key(progress.key)
                self._storage.ps.remove(Uid.PROVISIONING_JOURNAL)
            else:
                journal.save(self._storage.ps, Keyed(progress.key, progress.csr_pem))

    def record_registration(
        self, thing_name: str, device_configuration: Mapping[str, str] | None
    ) -> None:
        """Store what RegisterThing said, and that the cloud knows the certificate.

        A ``device_configuration`` of None leaves the one that is known.
        """
        progress = self.progress
        if not isinstance(progress, Staged | Registered):
            raise DataCorruptError("a thing was registered, but no certificate is staged")
        if device_configuration is None and isinstance(progress, Registered):
            device_configuration = progress.device_configuration
        registered = Registered(
            progress.key,
            progress.certificate_id,
            thing_name,
            device_configuration,
            progress.csr_pem,
            progress.ownership_token,
            progress.proof,
        )
        if registered == progress:
            return
        with self._storage.transaction(finishing=True):
            journal.save(self._storage.ps, registered)

    def promote(self, thing_name: str) -> bool:
        """Make the proven certificate the identity and destroy the claim, in one commit.

        Returns whether there was a claim to destroy.
        """
        ps, keys = self._storage.ps, self._storage.keys
        key, pem, configuration = self._proven()
        identity = self._identity(thing_name, key, leaf_of(pem))
        claim_held = Uid.CLAIM_CERTIFICATE in ps.uids()
        with self._storage.transaction(finishing=True):
            ps.set(Uid.DEVICE_CERTIFICATE, pem)
            ps.set(Uid.IDENTITY, msgspec.msgpack.encode(identity))
            ps.set(Uid.DEVICE_CONFIGURATION, msgspec.json.encode(configuration))
            for uid in _USED_UP & set(ps.uids()):
                ps.remove(uid)
            if claim_held:
                keys.destroy_key(CLAIM_KEY)
        return claim_held

    def _new_subject(self) -> x509.Name:
        """What the next certificate is to say about the device."""
        return self._subject

    def _proven(self) -> tuple[KeyId, bytes, Mapping[str, str] | None]:
        """Return key, certificate and device configuration of what the connection was made with."""
        match self.progress:
            case Registered() as registered:
                pem = self._storage.ps.get(Uid.STAGED_CERTIFICATE)
                return registered.key, pem, registered.device_configuration
            case None if installed := installed_certificate.load(self._storage.ps):
                return installed.key, installed.chain_pem, {}
        raise DataCorruptError("there is neither a registered nor an installed certificate")

    def _identity(self, thing_name: str, key: KeyId, leaf_pem: bytes) -> Identity:
        attributes = self._storage.keys.get_key_attributes(key)
        not_before, not_after = validity(leaf_pem)
        return Identity(
            thing_name=thing_name,
            certificate_id=certificate_id(leaf_pem),
            key=key,
            key_uri=self._storage.keys.uri(key),
            key_type=attributes.key_type,
            key_made_by="aws" if attributes.origin is KeyOrigin.IMPORTED else "device",
            method=self._method,
            not_before=not_before,
            not_after=not_after,
            promoted_at=self._clock.wall(),
        )

    def _installed(self, installed: InstalledCertificate) -> CertificateInstalled:
        public_key = self._storage.keys.export_public_key(installed.key)
        expected = Expectation(public_key, issuer_pem=self._issuer_pem)
        try:
            leaf = self._checked(check_chain, installed.chain_pem, expected)
        except CertificateUnacceptableError as error:
            raise INSTALLED_CERTIFICATE.error(f"installed by the station: {error}") from None
        not_before, now = self._still_to_come(leaf), self._clock.wall()
        if not_before is not None and not self._said_clock_is_behind:
            self._said_clock_is_behind = True
            behind = clock_behind(now, not_before)
            _log.warning("%s. %s", behind, behind.next_step)
        return CertificateInstalled(leaf.certificate_id, not_before, now)

    def _checked(
        self,
        check: Callable[[bytes, Expectation], CheckedCertificate],
        pem: bytes,
        expected: Expectation,
    ) -> CheckedCertificate:
        """Check all but the times, and those only against what has passed for certain."""
        checked = check(pem, expected)
        if has_certainly_expired(checked.not_after, made_at(self._storage)):
            until = datetime.fromtimestamp(checked.not_after, UTC).isoformat()
            problem = f"the certificate expired at {until}, before the device was made"
            raise CertificateUnacceptableError(problem)
        return checked

    def _still_to_come(self, checked: CheckedCertificate) -> float | None:
        """Return from when the certificate is valid, if that is later than now by our clock."""
        now = trusted_wall_time(self._clock, made_at(self._storage))
        if now is None or now + CLOCK_SKEW.total_seconds() >= checked.not_before:
            return None
        return checked.not_before

    def _key_of(self, order: StageCertificate, progress: Progress | None) -> KeyId:
        if order.private_key_pem is not None:
            return self._imported(order.private_key_pem)
        if isinstance(progress, Keyed):
            return progress.key
        raise DataCorruptError("a certificate was issued for a key that is not stored")

    def _imported(self, private_key_pem: str) -> KeyId:
        try:
            return self._storage.keys.import_key(self._next_key(), private_key_pem.encode())
        except KeyNotUsableError as error:
            problem = f"the private key that came with the certificate: {error}"
            raise CertificateUnacceptableError(problem) from None

    def _proof_of(self, identifier: str) -> str:
        """HMAC-SHA256 over serial and certificate id: of no use for another certificate."""
        if Uid.PROOF_KEY not in self._storage.its.uids():
            return ""
        import hmac  # noqa: PLC0415 - loads OpenSSL, and not every device has such a key

        serial = self._storage.its.get(Uid.SERIAL_NUMBER)
        message = serial + b"." + identifier.encode()
        return hmac.new(self._storage.its.get(Uid.PROOF_KEY), message, "sha256").hexdigest()

    def _next_key(self) -> KeyId:
        numbers = [
            int(label.rpartition(".")[2])
            for label in self._storage.keys.keys()  # noqa: SIM118 - a KeyStore is no dict
            if label.startswith("device-key.")
        ]
        return KeyId(f"device-key.{1 + max(numbers, default=0)}")
