"""What decides when a device renews by itself: its identity, its settings, and its clock."""

import math
from typing import TYPE_CHECKING, Final

from device.lifecycle import journal
from device.lifecycle.journal import Identity
from device.operation.renewal import Due
from device.operation.renewal_due import CertificateLife, RenewalPolicy, due_at
from device.runtime.clock import Clock, trusted_wall_time
from device.storage.device_storage import DeviceStorage
from device.storage.manufacturing_data import made_at

if TYPE_CHECKING:
    from device.config.settings import Renewal


class RenewalSchedule:
    """Tells why the certificate is to be renewed now, or when."""

    def __init__(self, storage: DeviceStorage, clock: Clock, chosen: "Renewal") -> None:
        """Look into ``storage`` and at ``clock`` each time; ``chosen`` are the settings."""
        self._storage: Final = storage
        self._made_at: Final = made_at(storage)
        self._clock: Final = clock
        self._policy: Final = RenewalPolicy(chosen.at_fraction, chosen.max_age_days, chosen.jitter)

    def look(self) -> Due | float:
        """Return why to renew the certificate, or finish something, now; or in how many seconds."""
        storage = self._storage.ps
        identity = journal.load_identity(storage)
        if identity is None:
            return math.inf
        if journal.load(storage) is not None:
            return Due("a renewal was begun and is not finished", is_new_wanted=False)
        if journal.load_to_retire(storage):
            return Due("the cloud has not retired the old certificate yet", is_new_wanted=False)
        now = self._now(identity)
        left = due_at(_life_of(identity), self._policy, now) - now
        if left > 0.0:
            return left
        return Due("the certificate has reached the age at which it is renewed")

    def due_at(self, identity: Identity) -> float:
        """Return when its certificate is to be renewed, in seconds since the epoch."""
        return due_at(_life_of(identity), self._policy, self._now(identity))

    def _now(self, identity: Identity) -> float:
        known = self._made_at, identity.not_before
        return trusted_wall_time(self._clock, *known) or identity.not_before


def _life_of(identity: Identity) -> CertificateLife:
    return CertificateLife(
        identity.certificate_id, identity.not_before, identity.not_after, identity.promoted_at
    )
