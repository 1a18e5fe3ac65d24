"""The AWS that a fleet works in: a local one of its own, or an account that is named by its number.

A fleet makes things and certificates by the thousand, so an account that costs money is only used
when it is named, with ceilings; what the fleet made is removed from it at the end.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fleet.errors import FleetError, MisuseError
from fleet.order import FleetOrder
from pytest_firstboot.local_aws import LocalAWS, LocalAWSError
from pytest_firstboot.place import PlaceError, RealAccount, place_of

if TYPE_CHECKING:
    from factory import Registry, Station

_PREPARED: Final = "firstboot-"
"""How the names of all templates and policies begin that ``factory prepare`` makes."""
_NOT_OURS: Final = ("AWS_", "DEVICE_")
QUOTAS: Final[Mapping[str, int]] = {"create-from-csr": 20, "create": 10, "provision": 10}
"""Requests a second over MQTT that an account may make (docs/aws-iot-facts.md; adjustable)."""


@dataclass(frozen=True)
class Permission:
    """What somebody allowed who knows whose account it is."""

    endpoint: str | None = None
    account_id: str | None = None
    profile: str | None = None
    most_devices: int | None = None
    most_calls: int | None = None

    def real_account(self, order: FleetOrder) -> RealAccount | None:
        """Return the account that was named; None for a local AWS.

        Raises:
            MisuseError: an account was meant, and not everything was said that it needs.
        """
        if (self.endpoint or self.profile) and not self.account_id:
            raise MisuseError(
                f"{self.endpoint or self.profile} is not the fleet's own local AWS: "
                "a fleet makes things and certificates in whatever account answers there",
                "Name the account: --account ID --most-devices N --most-calls N. For a local AWS "
                "of its own: leave --endpoint and --profile out.",
            )
        if self.account_id is None:
            return None
        if self.most_devices is None or self.most_calls is None:
            raise MisuseError(
                "--account needs limits on what the fleet may do in the account",
                "Add --most-devices N and --most-calls N (a first boot by claim is 6 calls, "
                "without retries).",
            )
        if order.devices > self.most_devices:
            raise MisuseError(
                f"{order.devices:,} devices, and --most-devices is {self.most_devices:,}",
                "Order fewer devices, or raise --most-devices.",
            )
        try:
            return place_of(self.account_id, self.profile, self.endpoint)
        except PlaceError as error:
            raise MisuseError(
                str(error), "Give the twelve digits of the account: --account ID."
            ) from None


class Place:
    """Where the fleet is: the station that makes its devices, and the cloud that they meet."""

    def __init__(self, station: "Station", devices: Path, local_aws: LocalAWS | None) -> None:
        """Join the parts; use `open_place`."""
        self.station: Final = station
        self.devices: Final = devices
        self.local_aws: Final = local_aws

    def make(self, order: FleetOrder) -> list[Path]:
        """Have the station prepare the cloud and make the devices; return their folders.

        A second run makes what is missing.

        Raises:
            FleetError: the station could not.
        """
        common = ["--method", order.method, "--station", str(self.station.folder), "--json"]
        self._factory("prepare", *common, *(["--renewal"] if order.renews else []))
        serials = self.devices.parent / "serials.csv"
        serials.write_text("serial\n" + "".join(f"{each}\n" for each in order.serials))
        listed = ["--serials", str(serials), "--batch", order.name, "--out", str(self.devices)]
        self._factory("make", *common, *listed)
        return [self.devices / serial for serial in order.serials]

    def apply_quotas(self) -> None:
        """Have the local AWS refuse what is above AWS's default quotas."""
        if self.local_aws is not None:
            for operation, per_second in QUOTAS.items():
                self.local_aws.fault("throttle", operation=operation, per_second=per_second)

    def _factory(self, *words: str) -> None:
        done = subprocess.run(  # noqa: S603 - our own interpreter and arguments
            [sys.executable, "-m", "factory", *words],
            env={**_others(), **self.station.environment},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise _station_error(done.stdout, done.stderr)


def _others() -> dict[str, str]:
    """Return this process's environment without what would lead to another AWS or device."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_NOT_OURS)}


def _station_error(said: str, words: str) -> FleetError:
    """Return what the station's last object says, or its words."""
    last = (said.strip().splitlines() or ["{}"])[-1]
    try:
        found = json.loads(last)
    except ValueError:
        found = {}
    problem = found.get("message") or words.strip() or "factory failed"
    return FleetError(f"the station: {problem}", str(found.get("next_step") or "See above."))


@contextmanager
def open_place(folder: Path, account: RealAccount | None) -> Iterator[Place]:
    """Start a local AWS in ``folder``, or use ``account``; the local AWS ends with this.

    Raises:
        FleetError: the local AWS did not start, or the credentials are for another account.
    """
    from factory import Station  # noqa: PLC0415 - loads boto3, and --help needs none

    if account is not None:
        station = Station(folder / "station", environment=account.environment)
        _check_account(account, station)
        yield Place(station, folder / "devices", None)
        return
    try:
        with LocalAWS(folder / "cloud", outlives_ctrl_c=True) as local_aws:
            station = Station(folder / "station", environment=local_aws.environment)
            yield Place(station, folder / "devices", local_aws)
    except LocalAWSError as error:
        raise FleetError(str(error), f"Read {folder / 'cloud.log'}.") from error


def refuse_used_account(registry: "Registry", serials: Sequence[str]) -> None:
    """Refuse an account that somebody else's devices or stations are in.

    A fleet removes from an account what it needed there; what others prepared by the same names,
    and things of the same names, would be changed by it and removed with it.

    Raises:
        MisuseError: there is something of Firstboot's, or a thing of the fleet's names.
    """
    iot = registry.client("iot")
    templates = _each(iot, "list_provisioning_templates", "templates", "templateName")
    policies = _each(iot, "list_policies", "policies", "policyName")
    prepared = [name for name in (*templates, *policies) if name.startswith(_PREPARED)]
    things = sorted(set(serials).intersection(registry.things()))
    if found := [*prepared, *things]:
        raise MisuseError(
            f"account {registry.account} is in use: it has {', '.join(found[:5])}; a fleet would "
            "change it, and remove it at the end",
            "Use an account that is only for tests. To remove what an earlier fleet left: factory "
            "teardown. If the account has only things of these names, use another --name.",
        )


def _each(iot: Any, operation: str, items: str, name: str) -> Iterator[str]:
    for page in iot.get_paginator(operation).paginate():
        yield from (each[name] for each in page[items])


def _check_account(account: RealAccount, station: "Station") -> None:
    found = station.clouds[0].account.account_id
    if found != account.account_id:
        raise MisuseError(
            f"--account is {account.account_id}, and the credentials are for {found}: "
            "nothing was done",
            "Check --account, --profile and AWS_PROFILE.",
        )
