"""AWS on this machine, for devices under development. NOT FOR PRODUCTION."""

import argparse
import json
import os
import shlex
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from localcloud import lifecycle
from localcloud.account_scope import account_of, region_of, scope_variables
from localcloud.errors import AlreadyRunningError, ExitCode, LocalCloudError, NotRunningError
from localcloud.ports import LOOPBACK, choose_ports
from localcloud.server import REGION, serve
from localcloud.state_folder import Ports, Server, StateFolder

_DEFAULT_STATE: Final = Path(".firstboot/cloud")
_THIS_MACHINE: Final = (LOOPBACK, "localhost")
_WARNING: Final = "NOT FOR PRODUCTION: Lambda functions here run as you, without isolation."


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    options = _parser().parse_args(arguments)
    try:
        options.verb(options)
    except LocalCloudError as error:
        _say(f"localcloud: {error}")
        _say(f"  next: {error.next_step}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(ExitCode.FAILED)


def up(options: argparse.Namespace) -> None:
    """Start the local AWS of a state folder, unless it runs."""
    folder = StateFolder(options.state)
    folder.create()
    running = folder.server()
    if running:
        _say(f"Already running on {folder.path}.")
        _check_same_ports(folder, options, running.ports)
        _announce(folder, lifecycle.wait_until_ready(folder, lambda: folder.server() is None))
        return
    ports = choose_ports(options.api_port, options.mqtt_port, folder.remembered_ports(), _say)
    _say(_WARNING)
    if options.detach:
        _announce(folder, lifecycle.start_detached(folder, ports, options.log_level))
    else:
        threading.Thread(target=_announce_when_ready, args=(folder,), daemon=True).start()
        serve(folder, ports, options.log_level)


def env(options: argparse.Namespace) -> None:
    """Print what boto3, the AWS CLI and a device need to reach the local AWS."""
    folder = StateFolder(options.state)
    server = _running(folder)
    scope = scope_variables(folder, server, options.account, options.region)
    variables = environment_of(folder, server) | scope | past_the_proxy(os.environ)
    if options.json:
        print(json.dumps(variables))
        return
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")


def environment_of(folder: StateFolder, server: Server) -> dict[str, str]:
    """Return the variables that lead a client to ``server``."""
    key = folder.access_key()
    return {
        "AWS_ENDPOINT_URL": f"http://{LOOPBACK}:{server.ports.api}",
        "AWS_ACCESS_KEY_ID": key.id,
        "AWS_SECRET_ACCESS_KEY": key.secret,
        "AWS_DEFAULT_REGION": REGION,
        "DEVICE_ENDPOINT": f"localhost:{server.ports.mqtt}",
        "DEVICE_ROOT_CA": str(folder.root_ca),
    }


def past_the_proxy(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what keeps a client from asking a company's proxy for this machine.

    In both spellings: who has set one of them is not heard in the other.
    """
    return {name: _with_this_machine(environment.get(name)) for name in ("NO_PROXY", "no_proxy")}


def _with_this_machine(names: str | None) -> str:
    return ",".join(dict.fromkeys([*(names.split(",") if names else ()), *_THIS_MACHINE]))


def reset(options: argparse.Namespace) -> None:
    """Forget every thing, certificate, policy and object; the ports stay."""
    folder = StateFolder(options.state)
    server = folder.server()
    if server:
        lifecycle.reset(folder)
    else:
        folder.empty()
    _say(f"Empty: {folder.path}. Devices made before must be made anew.")


def down(options: argparse.Namespace) -> None:
    """Save and stop the local AWS of a state folder."""
    folder = StateFolder(options.state)
    server = folder.server()
    if server is None:
        _say(f"Nothing runs on {folder.path}.")
        return
    lifecycle.stop(folder, server)
    _say(f"Stopped; the state is kept in {folder.path}.")


def _check_same_ports(folder: StateFolder, options: argparse.Namespace, running: Ports) -> None:
    for asked, actual, flag in (
        (options.api_port, running.api, "--api-port"),
        (options.mqtt_port, running.mqtt, "--mqtt-port"),
    ):
        if asked not in {None, actual}:
            raise AlreadyRunningError(folder.path, f"it already runs with {flag} {actual}")


def _running(folder: StateFolder) -> Server:
    server = folder.server()
    if server is None:
        raise NotRunningError(folder.path)
    return server


def _announce_when_ready(folder: StateFolder) -> None:
    with suppress(LocalCloudError):  # the thread that serves says why
        _announce(folder, lifecycle.wait_until_ready(folder, lambda: False))


def _announce(folder: StateFolder, server: Server) -> None:
    _say(
        f"Local AWS: API on {LOOPBACK}:{server.ports.api}, MQTT on {LOOPBACK}:{server.ports.mqtt}, "
        f"process {server.pid}, state in {folder.path}"
    )
    _say(f'To use it: eval "$(localcloud env --state {shlex.quote(str(folder.path))})"')


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="localcloud", description=__doc__)
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--state", type=Path, default=_DEFAULT_STATE, metavar="DIR", help="default: %(default)s"
    )
    for verb in (up, env, reset, down):
        sub = verbs.add_parser(
            verb.__name__, parents=[common], help=verb.__doc__, description=verb.__doc__
        )
        sub.set_defaults(verb=verb)
        if verb is up:
            _add_up_options(sub)
        if verb is env:
            _add_env_options(sub)
    return parser


def _add_env_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--account", type=account_of, metavar="ID", help="12 digits; default: 000000000000"
    )
    parser.add_argument("--region", type=region_of, help=f"default: {REGION}")


def _add_up_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--api-port", type=_port, metavar="N", help="default: as before, or 4566")
    parser.add_argument("--mqtt-port", type=_port, metavar="N", help="default: as before, or 8883")
    parser.add_argument(
        "--detach", action="store_true", help="return when it answers, and leave it running"
    )
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="warning",
        help="of the server's log, default: %(default)s",
    )


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 65536:
        raise ValueError(text)
    return port
