"""A device that another one replaces: its certificates are turned off, and leave its thing.

What the station cannot do, because AWS does not answer or has never heard of the certificate,
it says in words: someone has to do it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from device.config.methods import JUST_IN_TIME_METHODS
from factory.account import allow_list
from factory.account.birth_certificates import turn_off_birth_certificates
from factory.account.certificates import (
    certificate_id_of,
    describe_certificate,
    set_certificate_status,
)
from factory.account.changes import Change
from factory.account.cloud import Account, Cloud, Response
from factory.account.registered_devices import detach_from_things, principals_of, remove_thing
from factory.errors import (
    REGISTERED_ELSEWHERE,
    SERIAL_NUMBER_UNKNOWN,
    CloudError,
    NotInCloudError,
)
from factory.station.ledger import Entry, Ledger, Result, holders

_OFF: Final = frozenset({"INACTIVE", "REVOKED"})
"""A certificate that waits for a decision (PENDING_ACTIVATION) is turned off as an ACTIVE one."""


@dataclass(frozen=True)
class Retired:
    """What became of a device in one account."""

    account: Account
    certificates: tuple[str, ...]
    """None of these is ACTIVE any more, and none is attached to a thing."""
    notes: tuple[str, ...]
    """What AWS does not know of, so that someone has to see to it."""
    thing: Change | None = None
    """What became of the thing, if it was to be deleted."""

    @property
    def words(self) -> list[str]:
        """All of it for a person."""
        said = [
            f"its certificate {each} is off and detached in {self.account}"
            for each in self.certificates
        ]
        return [*said, *self.notes]

    def as_fields(self) -> dict[str, object]:
        """Return it as ``--json`` prints it."""
        thing = {"thing": self.thing.outcome} if self.thing else {}
        return {
            "account_id": self.account.account_id, "region": self.account.region,
            "certificates": self.certificates, "notes": self.notes, **thing,
        }  # fmt: skip


def devices_of(entries: Sequence[Entry], serial_number: str) -> list[Entry]:
    """Return which devices of ``serial_number`` to retire: those that have it now.

    When none has, those that were retired before: another run looks at the cloud again.

    Raises:
        SerialNumberUnknownError: no device ever had it.
    """
    last = {each.device_id: each for each in entries if each.serial_number == serial_number}
    known = [each for each in last.values() if each.result is not Result.FAILED]
    if not known:
        raise SERIAL_NUMBER_UNKNOWN.error(serial_number=serial_number)
    return holders(known, serial_number) or known


def enter_retired(ledger: Ledger, device: Entry, note: str) -> None:
    """Enter ``device`` as retired, unless it is entered so.

    Raises:
        StorageError: the disk refused.
    """
    with ledger.locked():
        held = holders(ledger.entries(), device.serial_number)
        if device.device_id in {each.device_id for each in held}:
            retired = msgspec.structs.replace(
                device, result=Result.RETIRED, at=ledger.now(), note=note
            )
            ledger.append(retired)


def retire(former: Entry, thing_name: str, clouds: Sequence[Cloud]) -> list[str]:
    """Turn off the certificates of ``former`` in each of ``clouds``; return what is to be known."""
    said = [words for cloud in clouds for words in _in_one(former, thing_name, cloud)]
    if elsewhere := _elsewhere(former, clouds):
        said.append(
            f"it is registered in {', '.join(sorted(elsewhere))}, too: run the same command with "
            "--account for each, or turn it off there by hand"
        )
    return said


def retire_for_good(
    device: Entry, thing_name: str, clouds: Sequence[Cloud], *, delete_thing: bool
) -> list[Retired]:
    """Leave nothing of ``device`` ACTIVE in any account, or raise; a second run changes nothing.

    The thing is deleted last, and only if no certificate is attached to it.

    Raises:
        RegisteredElsewhereError: it is registered in accounts that are not among ``clouds``.
        CloudError: AWS did not answer, or said no; the next run continues from there.
    """
    if elsewhere := _elsewhere(device, clouds):
        raise REGISTERED_ELSEWHERE.error(
            serial_number=device.serial_number, accounts=", ".join(sorted(elsewhere))
        )
    done = [turn_off(device, thing_name, cloud) for cloud in clouds]
    if not delete_thing:
        return done
    return [
        replace(each, thing=remove_thing(cloud, thing_name))
        for each, cloud in zip(done, clouds, strict=True)
    ]


def turn_off(former: Entry, thing_name: str, cloud: Cloud) -> Retired:
    """Set the device's certificates INACTIVE in one account, and detach them from every thing.

    Raises:
        CloudError: AWS did not answer, or said no.
    """
    found = _certificates(former, thing_name, cloud)
    for certificate_id, certificate in found.items():
        if certificate["status"] not in _OFF:
            set_certificate_status(cloud, certificate_id, "INACTIVE")
        detach_from_things(cloud, certificate_id)
    if former.method == "jitr":
        _release(former, cloud)
    off = (*found, *turn_off_birth_certificates(cloud, thing_name))
    return Retired(cloud.account, off, tuple(_unknown_to_aws(former, found, cloud)))


def _in_one(former: Entry, thing_name: str, cloud: Cloud) -> list[str]:
    try:
        return turn_off(former, thing_name, cloud).words
    except CloudError as error:
        which = former.certificate_id or f"those attached to thing {thing_name}"
        words = (
            f"its certificates could not be turned off ({error}). Do it by hand ({which}): aws iot "
            "update-certificate --new-status INACTIVE --certificate-id ID, then aws iot "
            f"detach-thing-principal --thing-name {thing_name} --principal ARN"
        )
        return [words]


def _unknown_to_aws(former: Entry, found: Mapping[str, Response], cloud: Cloud) -> Iterator[str]:
    if former.method in JUST_IN_TIME_METHODS and former.certificate_id not in found:
        yield (
            f"its certificate {former.certificate_id} is not registered in {cloud.account} yet, "
            f"and would be if it connected: destroy {former.folder}"
        )
    elif not found:
        yield f"no certificate of it is registered in {cloud.account}: destroy {former.folder}"


def _certificates(former: Entry, thing_name: str, cloud: Cloud) -> dict[str, Response]:
    """Return the certificates that are, or could be, those of ``former``."""
    attached = map(certificate_id_of, principals_of(cloud, thing_name))
    known = [former.certificate_id] if former.certificate_id else []
    found = {each: _describe(cloud, each) for each in dict.fromkeys([*known, *attached]) if each}
    return {each: certificate for each, certificate in found.items() if certificate is not None}


def _describe(cloud: Cloud, certificate_id: str) -> Response | None:
    try:
        return describe_certificate(cloud, certificate_id)
    except NotInCloudError:
        return None


def _release(former: Entry, cloud: Cloud) -> None:
    try:
        allow_list.release(cloud, former.serial_number)
    except NotInCloudError:
        return


def _elsewhere(former: Entry, clouds: Sequence[Cloud]) -> set[str]:
    """Return the accounts where it is registered, and that nobody reached."""
    return set(former.accounts) - set(_reached(clouds))


def _reached(clouds: Sequence[Cloud]) -> Iterator[str]:
    for cloud in clouds:
        try:
            yield cloud.account.words
        except CloudError:
            continue
