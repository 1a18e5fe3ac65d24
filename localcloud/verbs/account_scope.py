"""What leads a client to another account or Region of a running local AWS.

Any 12 digits are an account: used as access key, with the root's secret, they are its root. The
device finds the account by the name that it dials, through the proxy that the MQTT port is
(`localcloud.gaps.connect_tunnel`).
"""

import re
from argparse import ArgumentTypeError
from typing import Final

from localcloud import lifecycle
from localcloud.errors import NoAnswerError
from localcloud.ports import LOOPBACK
from localcloud.server import REGION
from localcloud.state_folder import Server, StateFolder

DEFAULT_ACCOUNT: Final = "000000000000"
_MQTT_PORT: Final = 8883  # AWS's; the tunnel leads to ours whatever it says


def account_of(text: str) -> str:
    """Return ``text`` if it is an account's number.

    Raises:
        ArgumentTypeError: it is not 12 digits.
    """
    if not re.fullmatch(r"[0-9]{12}", text):
        raise ArgumentTypeError(f"{text!r} is not 12 digits")
    return text


def region_of(text: str) -> str:
    """Return ``text`` if it may be a Region's name.

    Raises:
        ArgumentTypeError: it may not, such as "Ireland".
    """
    if not re.fullmatch(r"[a-z]{2,}(-[a-z]+)+-[0-9]", text):
        raise ArgumentTypeError(f"{text!r} is not a Region, such as eu-west-1")
    return text


def scope_variables(
    folder: StateFolder, server: Server, account: str | None, region: str | None
) -> dict[str, str]:
    """Return the variables that differ from those of the usual account and Region.

    Raises:
        NoAnswerError: the server did not say what the account's endpoint is.
    """
    if account is None and region is None:
        return {}
    account, region = account or DEFAULT_ACCOUNT, region or REGION
    match lifecycle.call(folder, "GET", f"endpoint/{account}/{region}"):
        case {"name": str(name)}:
            return {
                "AWS_ACCESS_KEY_ID": account,
                "AWS_REGION": region,
                "AWS_DEFAULT_REGION": region,
                "DEVICE_ENDPOINT": f"{name}:{_MQTT_PORT}",
                "DEVICE_PROXY": f"http://{LOOPBACK}:{server.ports.mqtt}",
            }
    raise NoAnswerError(f"no endpoint of account {account} in {region}")
