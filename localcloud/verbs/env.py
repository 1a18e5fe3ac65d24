"""``localcloud env``: what leads boto3, the AWS CLI and a device to the local AWS.

Any 12 digits are an account: used as access key, with the root's secret, they are its root. The
device finds the account by the name that it dials, through the proxy that the MQTT port is
(`localcloud.door.connect_tunnel`).
"""

import argparse
import os
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Final

from localcloud.door.callers import LOOPBACK
from localcloud.errors import NoAnswerError, NotRunningError
from localcloud.process import lifecycle
from localcloud.process.server import REGION
from localcloud.process.state_folder import Server, StateFolder
from localcloud.verbs import Console

SUMMARY: Final = "Print what boto3, the AWS CLI and a device need to reach the local AWS."
_THIS_MACHINE: Final = (LOOPBACK, "localhost")
_IN_THE_WAY: Final = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_CA_BUNDLE",
    "DEVICE_PROXY",
)
"""What another account, a real one or one of here, may have left: each would win over ours."""
_ENDPOINT_OF_ONE_SERVICE: Final = "AWS_ENDPOINT_URL_"
_DEFAULT_ACCOUNT: Final = "000000000000"
_MQTT_PORT: Final = 8883  # AWS's; the tunnel leads to ours whatever it says


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``localcloud env``."""
    parser.add_argument(
        "--account",
        type=account_of,
        metavar="ID",
        help="an account of 12 digits; default: 000000000000",
    )
    parser.add_argument("--region", type=region_of, help=f"default: {REGION}")


def run(options: argparse.Namespace, folder: StateFolder, console: Console) -> None:
    """Print shell commands: ``unset`` of what is in the way, ``export`` of the rest."""
    server = folder.server()
    if server is None:
        refused = NotRunningError(path=folder.path)
        if not options.json:
            # A shell that evaluates nothing succeeds, and its next command would be AWS's.
            console.show(None, f"false  # {refused}")
        raise refused
    scope = scope_variables(folder, server, options.account, options.region)
    variables = environment_of(folder, server) | scope | past_the_proxy(os.environ)
    console.show(variables, *_script(variables, in_the_way(os.environ, variables)))


def _script(variables: Mapping[str, str], unset: Iterable[str]) -> list[str]:
    exports = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return [f"unset {' '.join(unset)}", *exports]


def in_the_way(environment: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """Return the variables that would lead a client elsewhere, whatever ``wanted`` says."""
    services = [name for name in environment if name.startswith(_ENDPOINT_OF_ONE_SERVICE)]
    return [name for name in (*_IN_THE_WAY, *sorted(services)) if name not in wanted]


def environment_of(folder: StateFolder, server: Server) -> dict[str, str]:
    """Return the variables that lead a client to ``server``."""
    key = folder.access_key()
    return {
        "AWS_ENDPOINT_URL": f"http://{LOOPBACK}:{server.ports.api}",
        "AWS_ACCESS_KEY_ID": key.id,
        "AWS_SECRET_ACCESS_KEY": key.secret,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "DEVICE_ENDPOINT": f"localhost:{server.ports.mqtt}",
        "DEVICE_ROOT_CA": str(folder.root_ca),
    }


def past_the_proxy(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what keeps a client from asking a company's proxy for this machine.

    In both spellings: a program that looks for one of them does not see the other.
    """
    return {name: _with_this_machine(environment.get(name)) for name in ("NO_PROXY", "no_proxy")}


def _with_this_machine(names: str | None) -> str:
    return ",".join(dict.fromkeys([*(names.split(",") if names else ()), *_THIS_MACHINE]))


def account_of(text: str) -> str:
    """Return ``text`` if it is an account's number.

    Raises:
        ArgumentTypeError: it is not 12 digits.
    """
    if not re.fullmatch(r"[0-9]{12}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not 12 digits")
    return text


def region_of(text: str) -> str:
    """Return ``text`` if it may be a Region's name.

    Raises:
        ArgumentTypeError: it may not, such as "Ireland".
    """
    if not re.fullmatch(r"[a-z]{2,}(-[a-z]+)+-[0-9]", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a Region, such as eu-west-1")
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
    account, region = account or _DEFAULT_ACCOUNT, region or REGION
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
