"""``factory claim``: what the app of a trusted user does, a claim for one waiting device."""

import argparse
import os
from contextlib import suppress
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
from factory.console import Console
from factory.errors import StationNotPreparedError
from factory.methods import trusted_user
from factory.methods.prepared_account import check_prepared
from factory.station.station import open_station
from factory.verbs._options import add_account, check_one_account

SUMMARY: Final = "Give a waiting device a claim for five minutes, as a trusted user's app does."


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of ``factory claim``."""
    command.add_argument(
        "--trusted-user", action="store_true", required=True,
        help="required; other claims are installed when the device is made",
    )  # fmt: skip
    place = command.add_mutually_exclusive_group(required=True)
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
    """Get a claim and hand it over.

    Raises:
        NobodyWaitsError: no device waits there; no claim was asked for.
        ClaimRefusedError: the device does not want this claim.
        StationError, StorageError: the cloud or the disk refused.
    """
    check_one_account(arguments)
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
