"""When a certificate is to be renewed: a part of its life, or an age, whichever is sooner.

Each device is early by a share of its own, so that a fleet that was made in one day does not
renew in one hour. The share comes from the certificate's id, which is a hash: it is the same at
each look, and another one after each renewal.
"""

from typing import Final

from msgspec import Struct

_DAY: Final = 86_400.0
_SHARE_DIGITS: Final = 8


class RenewalPolicy(Struct, frozen=True):
    """What the settings say under ``renewal``."""

    at_fraction: float
    max_age_days: float | None
    jitter: float


class CertificateLife(Struct, frozen=True):
    """What counts of a certificate; moments are seconds since the epoch."""

    certificate_id: str
    not_before: float
    not_after: float
    since: float
    """When it became this device's identity, by the device's clock, which may have been wrong."""

    def begin(self, now: float) -> float:
        """From when its life counts: a CA may date a certificate back by much of a short life.

        A device whose clock was ahead, and has been set right, became this in the future.
        """
        return self.since if self.not_before <= self.since <= now else self.not_before

    def lasts_from(self, begin: float) -> float:
        """For how long; a device whose clock is ahead may have it since after its end."""
        return self.not_after - (begin if begin < self.not_after else self.not_before)


def due_at(life: CertificateLife, policy: RenewalPolicy, now: float) -> float:
    """Return the moment from which ``life`` is to be renewed, in seconds since the epoch.

    A clock that is ahead by years, for good, does not have each new certificate renewed at once.
    """
    early = 1.0 - policy.jitter * _share(life.certificate_id)
    begin = life.begin(now)
    moments = [begin + policy.at_fraction * life.lasts_from(begin) * early]
    if policy.max_age_days is not None:
        moments.append(begin + policy.max_age_days * _DAY * early)
    return min(moments)


def _share(certificate_id: str) -> float:
    """Return a number from 0 to 1 that looks random and stays the same."""
    return int(certificate_id[:_SHARE_DIGITS], 16) / 16.0**_SHARE_DIGITS
