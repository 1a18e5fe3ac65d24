"""``localcloud up``: start the local AWS."""

import argparse
import shlex
import threading
from contextlib import suppress
from importlib.util import find_spec
from typing import Final

from localcloud.door.callers import LOOPBACK
from localcloud.errors import ALREADY_RUNNING, MISSING_EXTRA, LocalCloudError
from localcloud.faults.rude import MOST_PERCENT, Rude
from localcloud.process import lifecycle
from localcloud.process.ports import choose_ports
from localcloud.process.server import serve
from localcloud.process.state_folder import Ports, Server, StateFolder
from localcloud.verbs import Console

SUMMARY: Final = "Start the local AWS, if it is not running."
_WARNING: Final = "NOT FOR PRODUCTION: Lambda functions run here as you, without isolation."
_USUAL_PERCENT: Final = 5
_EXTRA: Final = ("ministack", "hypercorn", "botocore", "cbor2", "cryptography")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``localcloud up``."""
    parser.add_argument("--api-port", type=_port, metavar="N", help="default: as before, or 4566")
    parser.add_argument("--mqtt-port", type=_port, metavar="N", help="default: as before, or 8883")
    parser.add_argument(
        "--detach",
        action="store_true",
        help="run in the background; the command returns when the local AWS answers",
    )
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="warning",
        help="how much the server logs; default: %(default)s",
    )
    parser.add_argument(
        "--rude",
        type=_percent,
        nargs="?",
        const=_USUAL_PERCENT,
        default=0,
        metavar="PERCENT",
        help="throttle, delay, repeat and reorder this share of all answers, 0 to 50; "
        f"{_USUAL_PERCENT} if no number is given; each start makes a new root CA",
    )
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="seed of --rude's random choices"
    )


def run(options: argparse.Namespace, folder: StateFolder, console: Console) -> None:
    """Start it, and tell where it answers."""
    _refuse_half_an_installation()
    folder.create()
    running = folder.server()
    if running:
        console.say(f"Already running on {folder.path}.")
        _check_same_ports(folder, options, running.ports)
        ready = lifecycle.wait_until_ready(folder, lambda: folder.server() is None)
        _check_same_manners(folder, options)
        _announce(folder, ready, console)
        return
    remembered = folder.remembered_ports()
    ports = choose_ports(options.api_port, options.mqtt_port, remembered, console.say)
    console.say(_WARNING)
    if options.detach:
        _announce(folder, lifecycle.start_detached(folder, ports, _passed_on(options)), console)
    else:
        threading.Thread(target=_announce_when_ready, args=(folder, console), daemon=True).start()
        serve(folder, ports, options.log_level, Rude(options.rude, options.seed))


def _passed_on(options: argparse.Namespace) -> list[str]:
    rude = ["--rude", str(options.rude), "--seed", str(options.seed)] if options.rude else []
    return ["--log-level", options.log_level, *rude]


def _refuse_half_an_installation() -> None:
    missing = [name for name in _EXTRA if find_spec(name) is None]
    if missing:
        raise MISSING_EXTRA.error(missing=", ".join(missing))


def _check_same_ports(folder: StateFolder, options: argparse.Namespace, running: Ports) -> None:
    for asked, actual, flag in (
        (options.api_port, running.api, "--api-port"),
        (options.mqtt_port, running.mqtt, "--mqtt-port"),
    ):
        if asked not in {None, actual}:
            raise ALREADY_RUNNING.error(f"it already runs with {flag} {actual}", path=folder.path)


def _check_same_manners(folder: StateFolder, options: argparse.Namespace) -> None:
    match lifecycle.call(folder, "GET", "status"):
        case {"rude_percent": percent, "seed": seed} if options.rude:
            if (options.rude, options.seed) == (percent, seed):
                return
            problem = f"it already runs with --rude {percent} --seed {seed}"
            raise ALREADY_RUNNING.error(problem, path=folder.path)


def _announce_when_ready(folder: StateFolder, console: Console) -> None:
    with suppress(LocalCloudError):  # the thread that serves says why
        _announce(folder, lifecycle.wait_until_ready(folder, lambda: False), console)


def _announce(folder: StateFolder, server: Server, console: Console) -> None:
    api, mqtt = server.ports.api, server.ports.mqtt
    console.say(
        f"Local AWS: API on {LOOPBACK}:{api}, MQTT on {LOOPBACK}:{mqtt}, process {server.pid}, "
        f"state in {folder.path}",
        f'To use it: eval "$(localcloud env --state {shlex.quote(str(folder.path))})"',
    )
    console.show({"state": str(folder.path), "pid": server.pid, "api_port": api, "mqtt_port": mqtt})


def _percent(text: str) -> int:
    percent = int(text)
    if not 0 <= percent <= MOST_PERCENT:
        raise ValueError(text)
    return percent


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 65536:
        raise ValueError(text)
    return port
