"""Claims with a name and an end: made beside those that are in use, and turned off one by one."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from factory.account.changes import Change
from factory.account.cloud import Cloud
from factory.errors import StationNotPreparedError
from factory.methods import METHODS, claim, claim_own_ca
from factory.methods.claim_certificate import ensure_claim_certificate, turn_off_claim
from factory.station.named_claim import NamedClaim
from factory.station.station import Station

_POLICIES: Final = {
    claim.METHOD: claim.CLAIM_POLICY,
    claim_own_ca.METHOD: claim_own_ca.CLAIM_POLICY,
}
"""What lets a claim provision, by the method that it is for."""

Now = Callable[[], datetime]


def _utc_now() -> datetime:
    return datetime.now(UTC)


def new_claim(
    cloud: Cloud, station: Station, name: str, life: timedelta, now: Now = _utc_now
) -> list[Change]:
    """Make the claim ``name``, for every method by claim that is prepared; others stay as they are.

    A run that was stopped is completed by the next one with the same name.

    Raises:
        StationNotPreparedError: no method by claim is prepared here.
        ClaimNameError: the name is taken, or there are too many claims.
        CloudError: AWS did not answer, or said no; the next run continues from there.
    """
    methods = [method for method in _POLICIES if station.prepared(method)]
    if not methods:
        raise StationNotPreparedError("no method by claim is prepared with this station")
    begun = now()
    made = station.named_claims.begin(name, cloud.account, begun, begun + life)
    changes = [ensure_claim_certificate(cloud, made, _POLICIES[each], now) for each in methods]
    if claim_own_ca.METHOD in methods:  # its Lambda knows the claims that it signs for
        changes += METHODS[claim_own_ca.METHOD].prepare(cloud, station).changes
    return changes


def expire_claim(cloud: Cloud, station: Station, name: str) -> Change:
    """Turn the claim ``name`` off in the cloud, then destroy its key here.

    Raises:
        ClaimNameError: there is none of this name.
        OtherAccountError: it belongs to another account.
        CloudError: AWS did not answer, or said no; the next run does the rest.
    """
    claims = station.named_claims
    change = turn_off_claim(cloud, NamedClaim(claims, claims.record(name).name))
    if not claims.record(name).is_off:
        claims.turn_off(name)
    return change


def expire_due_claims(cloud: Cloud, station: Station, now: Now = _utc_now) -> list[str]:
    """Turn off every claim of this account whose time is over; return their names.

    Raises:
        CloudError: AWS did not answer, or said no; the next run does the rest.
    """
    here = cloud.account.account_id, cloud.account.region
    due = [
        each.name
        for each in station.named_claims
        if not each.is_off and each.expires_at <= now() and (each.account_id, each.region) == here
    ]
    for name in due:
        expire_claim(cloud, station, name)
    return due
