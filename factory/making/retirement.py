"""A device that another one replaces: its certificates are turned off, and leave its thing.

What the station cannot do, because AWS does not answer or has never heard of the certificate,
it says in words: someone has to do it.
"""

from collections.abc import Iterator, Sequence

from device.config.methods import JUST_IN_TIME_METHODS
from factory.account import allow_list
from factory.account.certificates import (
    certificate_id_of,
    describe_certificate,
    set_certificate_status,
)
from factory.account.cloud import Cloud, Response
from factory.account.registered_devices import detach_from_things, principals_of
from factory.errors import CloudError, NotInCloudError
from factory.station.ledger import Entry


def retire(former: Entry, thing_name: str, clouds: Sequence[Cloud]) -> list[str]:
    """Turn off the certificates of ``former`` in each of ``clouds``; return what is to be known."""
    said = [words for cloud in clouds for words in _in_one(former, thing_name, cloud)]
    elsewhere = set(former.accounts) - set(_reached(clouds))
    if elsewhere:
        said.append(
            f"it is registered in {', '.join(sorted(elsewhere))}, too: run the same command with "
            "--account for each, or turn it off there by hand"
        )
    return said


def _in_one(former: Entry, thing_name: str, cloud: Cloud) -> Iterator[str]:
    try:
        yield from _turn_off(former, thing_name, cloud)
    except CloudError as error:
        which = former.certificate_id or f"those attached to thing {thing_name}"
        yield (
            f"its certificates could not be turned off ({error}). Do it by hand ({which}): aws iot "
            "update-certificate --new-status INACTIVE --certificate-id ID, then aws iot "
            f"detach-thing-principal --thing-name {thing_name} --principal ARN"
        )


def _turn_off(former: Entry, thing_name: str, cloud: Cloud) -> Iterator[str]:
    found = _certificates(former, thing_name, cloud)
    for certificate_id, certificate in found.items():
        if certificate["status"] == "ACTIVE":
            set_certificate_status(cloud, certificate_id, "INACTIVE")
        detach_from_things(cloud, certificate_id)
        yield f"its certificate {certificate_id} is off and detached in {cloud.account}"
    if former.method == "jitr":
        _release(former, cloud)
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


def _reached(clouds: Sequence[Cloud]) -> Iterator[str]:
    for cloud in clouds:
        try:
            yield cloud.account.words
        except CloudError:
            continue
