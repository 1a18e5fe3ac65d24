"""``factory claim``: claims by name, and what a trusted user's app does for one waiting device."""

import argparse
import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from factory.account.accounts import aws_accounts
from factory.account.aws import acting_as
from factory.account.cloud import Cloud
from factory.account.roles import role_arn
from factory.account.temporary_claim import (
    TemporaryClaim,
    create_claim,
    is_file,
    waiting_device,
    write_claim,
)
from factory.errors import OPTION_NOT_USED, StationNotPreparedError
from factory.methods import trusted_user
from factory.methods.named_claims import expire_claim, expire_due_claims, new_claim
from factory.methods.prepared_account import check_prepared
from factory.station.named_claim import NamedRecord
from factory.station.serial_list import check_batch_name
from factory.station.station import Station, open_station
from factory.verbs import Console
from factory.verbs._options import add_account, check_one_account, whole

_DEFAULT_DAYS: Final = 30
_WAYS: Final = (
    "factory claim new --name NAME [--days N]; factory claim list; factory claim expire [--name "
    "NAME]; or factory claim --trusted-user with --device DIR or --to PATH."
)
SUMMARY: Final = (
    "Make a claim for a batch, list claims, turn them off; or, with --trusted-user, give a waiting "
    "device a claim for five minutes."
)


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of ``factory claim``."""
    command.add_argument(
        "action", nargs="?", choices=["new", "list", "expire"],
        help="new: make a claim with a name and an end, which devices made from then on get; list: "
        "show the claims; expire: turn off the claim --name, or every claim that has ended",
    )  # fmt: skip
    command.add_argument("--name", metavar="NAME", help="the claim's name, such as the batch's")
    command.add_argument(
        "--days",
        type=whole(1, 3650, "days"),
        metavar="N",
        help=f"new: days until it ends; default: {_DEFAULT_DAYS}",
    )
    command.add_argument(
        "--trusted-user", action="store_true",
        help="act as a trusted user's app; needs --device or --to",
    )  # fmt: skip
    place = command.add_mutually_exclusive_group()
    place.add_argument(
        "--device", type=Path, metavar="DIR", help="the state folder of the waiting device"
    )
    place.add_argument(
        "--to", type=Path, metavar="PATH",
        help="the socket where the device waits, or a file to write if PATH ends in .json",
    )  # fmt: skip
    command.add_argument(
        "--template", default=trusted_user.TEMPLATE, metavar="NAME", help="default: %(default)s"
    )
    command.add_argument(
        "--own-credentials", action="store_true",
        help=f"call with your own credentials; default: in the app's role, {trusted_user.APP}",
    )  # fmt: skip
    add_account(command)


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Do what was asked for.

    Raises:
        OptionNotUsedError: the options do not belong together.
        ClaimNameError: there is no claim of this name, or there is one already.
        StationError, StorageError: the cloud or the disk refused.
    """
    check_one_account(arguments)
    _check_options(arguments)
    if arguments.action is None:
        _hand_over(arguments, console)
        return
    if arguments.action == "list":
        with open_station(arguments.station, read_only=True) as station:
            _list(station, console)
        return
    cloud = aws_accounts(arguments.account, os.environ)[0]
    with open_station(arguments.station) as station:
        if arguments.action == "new":
            _new(arguments, cloud, station, console)
        else:
            _expire(arguments, cloud, station, console)


def _check_options(arguments: argparse.Namespace) -> None:
    """Refuse options of one way with another."""
    action, is_app = arguments.action, arguments.trusted_user
    has_place = bool(arguments.device or arguments.to)
    given = {
        "--trusted-user": (is_app, action is None),
        "--device": (arguments.device is not None, is_app),
        "--to": (arguments.to is not None, is_app),
        "--own-credentials": (arguments.own_credentials, is_app),
        "--template": ("template" in arguments.given, is_app),
        "--name": (arguments.name is not None, action in {"new", "expire"}),
        "--days": (arguments.days is not None, action == "new"),
    }
    for option, (is_given, is_used) in given.items():
        if is_given and not is_used:
            way = f"factory claim {action}" if action else "this"
            problem = f"{way} does not use it"
            raise OPTION_NOT_USED.error(problem, option=option, next_step=_WAYS)
    if action is None and not (is_app and has_place):
        problem = "nothing was asked for"
        raise OPTION_NOT_USED.error(problem, option="factory claim", next_step=_WAYS)
    if action == "new" and arguments.name is None:
        problem = "a new claim needs a name"
        raise OPTION_NOT_USED.error(problem, option="--name", next_step=_WAYS)


def _new(arguments: argparse.Namespace, cloud: Cloud, station: Station, console: Console) -> None:
    name = check_batch_name(arguments.name)
    new_claim(cloud, station, name, timedelta(days=arguments.days or _DEFAULT_DAYS))
    record = station.named_claims.record(name)
    console.show(_fields(record), *_lines(record))
    console.say(f"Devices get it from now on. Next: factory make --method claim --batch {name}")


def _expire(
    arguments: argparse.Namespace, cloud: Cloud, station: Station, console: Console
) -> None:
    if arguments.name is None:
        names = expire_due_claims(cloud, station)
    else:
        expire_claim(cloud, station, arguments.name)
        names = [arguments.name]
    for name in names:
        record = station.named_claims.record(name)
        console.show(_fields(record), *_lines(record))
    console.say(f"{len(names)} claim(s) turned off.")


def _list(station: Station, console: Console) -> None:
    records = list(station.named_claims)
    if not records:
        console.say("This station has no named claim. Next: factory claim new --name NAME")
    for record in records:
        console.show(_fields(record), *_lines(record))


def _fields(record: NamedRecord) -> dict[str, object]:
    return {
        "claim": record.name, "certificate_id": record.certificate_id,
        "account_id": record.account_id, "region": record.region,
        "expires": record.expires_at.isoformat(), "state": _state(record),
    }  # fmt: skip


def _lines(record: NamedRecord) -> list[str]:
    until = f"{record.expires_at:%Y-%m-%d %H:%M} UTC"
    return [f"{record.name:<24} {_state(record):<10} until {until}  {record.certificate_id or ''}"]


def _state(record: NamedRecord) -> str:
    if record.is_off:
        return "off"
    if not record.is_active:
        return "unfinished"
    return "on" if datetime.now(UTC) < record.expires_at else "expired"


def _hand_over(arguments: argparse.Namespace, console: Console) -> None:
    """Get a claim and hand it over.

    Raises:
        NobodyWaitsError: no device waits there; no claim was asked for.
        ClaimRefusedError: the device does not want this claim.
        StationError, StorageError: the cloud or the disk refused.
    """
    cloud = aws_accounts(arguments.account, os.environ)[0]
    _check_station(arguments, cloud)
    place: Path = arguments.to or arguments.device / "claim"
    if is_file(place):
        claim = create_claim(_app(arguments, cloud), arguments.template)
        write_claim(claim, place)
    else:
        with waiting_device(place) as device:
            claim = create_claim(_app(arguments, cloud), arguments.template)
            device.hand_over(claim)
    _show(arguments, console, claim, place)


def _check_station(arguments: argparse.Namespace, cloud: Cloud) -> None:
    """Refuse another account than the station's own template was prepared in."""
    if arguments.template != trusted_user.TEMPLATE:
        return
    with (
        suppress(StationNotPreparedError),
        open_station(arguments.station, read_only=True) as station,
    ):
        check_prepared(station, trusted_user.METHOD, [cloud], None)


def _app(arguments: argparse.Namespace, cloud: Cloud) -> Cloud:
    if arguments.own_credentials:
        return cloud
    return acting_as(cloud, role_arn(cloud, trusted_user.APP))


def _show(
    arguments: argparse.Namespace, console: Console, claim: TemporaryClaim, place: Path
) -> None:
    if arguments.json:
        console.show({
            "template": arguments.template, "certificate_id": claim.certificate_id,
            "expiration": claim.expiration.isoformat(), "place": str(place),
        })  # fmt: skip
        return
    done = "Wrote a claim to" if is_file(place) else "The device took the claim at"
    console.say(f"{done} {place}; it works for one device until {claim.expiration:%H:%M:%S %Z}.")
