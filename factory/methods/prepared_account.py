"""Is a device made for the account that its method was prepared in? Elsewhere it never boots.

With an endpoint given, a line may have no network: then the endpoint itself is compared with
what ``prepare`` noted, and the account is asked only if someone answers.
"""

from collections.abc import Sequence

from device.config.methods import METHODS as TABLE
from device.config.methods import Credential
from factory.account.cloud import Account, Cloud
from factory.errors import OTHER_ACCOUNT, CloudError
from factory.methods import METHODS
from factory.station.endpoint import aws_region, find_endpoint
from factory.station.station import Prepared, Station


def check_prepared(
    station: Station, method: str, clouds: Sequence[Cloud], endpoint: str | None
) -> None:
    """Refuse to make a device for another account or Region than was prepared.

    ``endpoint`` is the one that was given; None if AWS was asked for it.

    Raises:
        OtherAccountError: credentials or endpoint are of another account or Region.
        CloudError: AWS had to be asked, and did not answer.
    """
    if METHODS[method].is_for_any_account:
        return
    prepared = _prepared(station, method)
    if not prepared:
        return
    if endpoint is not None:
        _check_endpoint(prepared, method, endpoint)
    for cloud in clouds:
        account = _account(cloud, is_needed=endpoint is None)
        if account is not None:
            _check_account(prepared, method, account)


def check_endpoint_of(cloud: Cloud, given: str | None) -> None:
    """Refuse to register a device in one account and have it connect to another.

    Raises:
        OtherAccountError: ``given`` is an endpoint of AWS, and not the account's own.
        CloudError: AWS did not answer, or said no.
    """
    if given is None or aws_region(given) is None:
        return
    own = find_endpoint(cloud)
    if _host(given) == _host(own):
        return
    raise OTHER_ACCOUNT.error(
        f"the device would be registered in {cloud.account}, whose endpoint is {_host(own)}, and "
        f"connect to {_host(given)}"
    )


def _prepared(station: Station, method: str) -> list[Prepared]:
    noted = station.prepared(method)
    if noted or TABLE[method].begins_with is not Credential.CLAIM:
        return noted
    if record := station.record:  # prepared before stations noted where
        return [Prepared(method, record.account_id, record.region, "")]
    return noted


def _check_endpoint(prepared: Sequence[Prepared], method: str, endpoint: str) -> None:
    region = aws_region(endpoint)
    if region is None:
        return  # a local AWS, or a domain of the customer's own
    here = [each for each in prepared if each.region == region]
    is_one = any(_host(each.endpoint) in {"", _host(endpoint)} for each in here)
    if not is_one and not any(aws_region(each.endpoint) is None for each in here if each.endpoint):
        known = " or ".join(
            f"{_host(each.endpoint) or 'unknown'} (account {each.account_id}, {each.region})"
            for each in prepared
        )
        raise OTHER_ACCOUNT.error(
            f"{method} was prepared for the endpoint {known}, and the device would connect to "
            f"{_host(endpoint)}"
        )


def _check_account(prepared: Sequence[Prepared], method: str, account: Account) -> None:
    if (account.account_id, account.region) in {(at.account_id, at.region) for at in prepared}:
        return
    known = " and ".join(f"account {each.account_id}, {each.region}" for each in prepared)
    raise OTHER_ACCOUNT.error(
        f"{method} was prepared with this station in {known}, and the credentials are for "
        f"{account}: the device would never boot"
    )


def _account(cloud: Cloud, *, is_needed: bool) -> Account | None:
    try:
        return cloud.account
    except CloudError:
        if is_needed:
            raise
        return None


def _host(endpoint: str) -> str:
    return endpoint.partition(":")[0].lower()


def note_prepared(station: Station, method: str, cloud: Cloud) -> None:
    """Note that ``method`` was prepared in the account and Region of ``cloud``."""
    account = cloud.account
    endpoint = find_endpoint(cloud)
    for each in _alike(method):
        station.note_prepared(Prepared(each, account.account_id, account.region, endpoint))


def forget_prepared(station: Station, method: str | None, cloud: Cloud) -> None:
    """Forget that a method was prepared there; None for all methods."""
    for each in _alike(method) if method else METHODS:
        station.forget_prepared(each, cloud.account)


def _alike(method: str) -> Sequence[str]:
    """Return the methods that are prepared together with ``method``."""
    return [name for name, each in METHODS.items() if each is METHODS[method]]
