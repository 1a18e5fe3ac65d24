"""Carries out what a renewal orders about keys and certificates: each order is one commit.

The journal and the staged certificate have the places that they have in a first boot: beside a
proven identity they are those of a renewal.
"""

import msgspec
from cryptography import x509

from device.errors.renewal import NOT_PROVISIONED
from device.errors.storage import DataCorruptError
from device.identity.certificates import leaf_of
from device.identity.pem import parse_certificate
from device.lifecycle import journal
from device.lifecycle.journal import Identity, Registered, Staged
from device.provisioning import renewal_events as re
from device.provisioning.events import Event
from device.runtime.enrolment import Enrolment
from device.storage.secure_storage import SecureStorage, Uid


class RenewalEnrolment(Enrolment):
    """The device's side of a renewal: a new key beside the current one, its certificate."""

    is_wanted = True
    """Whether a new certificate is wanted; if not, only what was begun is brought to its end."""
    recovers = False
    """Whether the current certificate is dead, so that it can have nothing retired."""

    @property
    def identity(self) -> Identity:
        """What the device is now.

        Raises:
            NotProvisionedError: it has no identity yet.
        """
        identity = journal.load_identity(self._storage.ps)
        if identity is None:
            raise NOT_PROVISIONED.error()
        return identity

    def stored(self) -> Event:
        """Return what is left to be done: what was begun first, then retirements, then a new key.

        Nothing is asked for before the cloud has retired what came to nothing: so a thing has
        two certificates at most.
        """
        progress = self.progress
        if progress is not None:
            return journal.as_event(progress)
        if self.recovers:
            return journal.as_event(None) if self.is_wanted else re.NothingLeft()
        to_retire = journal.load_to_retire(self._storage.ps)
        if to_retire:
            return re.RetirementFound(to_retire[0])
        return journal.as_event(None) if self.is_wanted else re.NothingLeft()

    def _new_subject(self) -> x509.Name:
        """The current certificate's subject: policies may depend on it."""
        if self.identity.key_made_by == "aws":
            return self._subject
        leaf = leaf_of(self._storage.ps.get(Uid.DEVICE_CERTIFICATE))
        return parse_certificate(leaf).subject

    def record_registration(self, thing_name: str, _: object) -> None:
        """Store that the cloud knows the new certificate; the evidence against it is kept."""
        progress = self.progress
        if not isinstance(progress, Staged | Registered):
            raise DataCorruptError("a certificate was registered, but none is staged")
        registered = Registered(
            progress.key,
            progress.certificate_id,
            thing_name,
            None,
            progress.csr_pem,
            progress.ownership_token,
            evidence=progress.evidence,
        )
        if registered == progress:
            return
        with self._storage.transaction(finishing=True):
            journal.save(self._storage.ps, registered)

    def promote(self, thing_name: str) -> bool:
        """Make the new certificate the identity, and destroy the old key, in one commit.

        The old certificate's id is kept until the cloud has retired it. There is no claim to
        destroy, so this returns False.
        """
        ps, old = self._storage.ps, self.identity
        key, pem, _ = self._proven()
        new = self._identity(thing_name, key, leaf_of(pem))
        with self._storage.transaction(finishing=True):
            ps.set(Uid.DEVICE_CERTIFICATE, pem)
            ps.set(Uid.IDENTITY, msgspec.msgpack.encode(new))
            journal.note_to_retire(ps, old.certificate_id)
            ps.remove(Uid.STAGED_CERTIFICATE)
            ps.remove(Uid.PROVISIONING_JOURNAL)
            self._storage.keys.destroy_key(old.key)
        self.is_wanted = self.recovers = False
        return False

    def roll_back(self, *, is_unregistered: bool = False) -> None:
        """Destroy the new key, and forget its certificate but for the id, in one commit.

        The id of one that the cloud did not register is forgotten, too: few ids are kept.
        """
        progress = self.progress
        note = _not_at_all if is_unregistered else journal.note_to_retire
        if progress is not None:
            with self._storage.transaction():
                journal.forget_progress(self._storage, progress, note)
        self.is_wanted = False

    def record_retired(self, certificate_id: str) -> None:
        """Forget the id of a certificate that the cloud retired."""
        journal.note_retired(self._storage.ps, certificate_id)


def _not_at_all(_: SecureStorage, __: str) -> None:
    """Note nothing."""
