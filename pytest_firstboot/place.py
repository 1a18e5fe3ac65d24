"""Where the tests run: the local AWS, or an account that is named by its number."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from factory import Station

_KEPT: Final = ("AWS_", "DEVICE_ENDPOINT", "DEVICE_ROOT_CA")
"""The variables that lead to an account."""
_ACCOUNT: Final = re.compile(r"[0-9]{12}")


class PlaceError(Exception):
    """The options do not say in which account the tests may work."""


@dataclass(frozen=True)
class RealAccount:
    """An AWS account in which the tests may make and delete devices."""

    account_id: str
    profile: str | None = None
    endpoint: str | None = None

    @property
    def environment(self) -> Mapping[str, str]:
        """What the station works with: this process's credentials, or those of the profile."""
        kept = {name: os.environ[name] for name in os.environ if name.startswith(_KEPT)}
        if self.profile is not None:
            kept = {name: value for name, value in kept.items() if "KEY" not in name}
            kept["AWS_PROFILE"] = self.profile
        if self.endpoint is not None:
            kept["DEVICE_ENDPOINT"] = self.endpoint
        return kept

    def check(self, station: "Station") -> None:
        """Refuse credentials of another account than the one that was named.

        Raises:
            PlaceError: they are; nothing was changed.
        """
        found = station.clouds[0].account.account_id
        if found != self.account_id:
            raise PlaceError(
                f"--firstboot-account is {self.account_id}, and the credentials are for {found}: "
                "nothing was done"
            )


def place_of(
    account_id: str | None, profile: str | None, endpoint: str | None
) -> RealAccount | None:
    """Return the account that the options name; None for the local AWS.

    Raises:
        PlaceError: a profile or an endpoint is given without the number of the account.
    """
    if account_id is None:
        if profile or endpoint:
            raise PlaceError(
                "--firstboot-profile and --firstboot-endpoint need --firstboot-account ID: the "
                "tests make and delete devices, so the account has to be named"
            )
        return None
    if not _ACCOUNT.fullmatch(account_id):
        raise PlaceError(f"--firstboot-account: {account_id!r} is not the twelve digits of one")
    return RealAccount(account_id, profile, endpoint)
