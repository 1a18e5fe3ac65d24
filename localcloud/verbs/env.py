"""``localcloud env``: what leads boto3, the AWS CLI and a device to the local AWS."""

import argparse
import os
import shlex
from collections.abc import Iterable, Mapping
from typing import Final

from localcloud.console import Console
from localcloud.errors import NotRunningError
from localcloud.ports import LOOPBACK
from localcloud.server import REGION
from localcloud.state_folder import Server, StateFolder
from localcloud.verbs.account_scope import account_of, region_of, scope_variables

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


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``localcloud env``."""
    parser.add_argument(
        "--account", type=account_of, metavar="ID", help="12 digits; default: 000000000000"
    )
    parser.add_argument("--region", type=region_of, help=f"default: {REGION}")


def run(options: argparse.Namespace, folder: StateFolder, console: Console) -> None:
    """Print shell commands: ``unset`` of what is in the way, ``export`` of the rest."""
    server = folder.server()
    if server is None:
        refused = NotRunningError(folder.path)
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
