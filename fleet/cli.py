"""``scripts/fleet``: many devices on this machine, and what a batch of them does to an account."""

import argparse
import json
import logging
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from io import TextIOWrapper
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from device.errors import FirstbootError
from fleet.errors import FleetError, MisuseError
from fleet.order import METHODS, OPERATING, WORDS, FleetOrder, Scenario
from pytest_firstboot.extra import LOCAL_AWS, STATION, ExtraMissingError, check_installed

if TYPE_CHECKING:
    from fleet.account import Permission
    from fleet.report import Run

_OUT: Final = Path(".firstboot", "fleet")
_FAILED, _MISUSE = 1, 2
_LEAST: Final = {"spread": 0.0, "rate": 0.0, "seconds": 0.0, "interval": 0.1, "limit": 1.0}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a fleet; return 0 if every device is proven and every invariant holds, 1 if not."""
    if isinstance(sys.stdout, TextIOWrapper):  # of ASCII, or for a name that is not UTF-8
        sys.stdout.reconfigure(errors="backslashreplace")
    options = parser().parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell started it with &
        signal.signal(number, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # not under nohup
        signal.signal(signal.SIGHUP, signal.default_int_handler)
    try:
        return _run(options)
    except FleetError as error:
        print(f"scripts/fleet: {error}\nnext: {error.next_step}", file=sys.stderr)
        return _MISUSE if isinstance(error, MisuseError) else _FAILED
    except FirstbootError as error:
        print(f"scripts/fleet: {error.row.code} {error}\nnext: {error.next_step}", file=sys.stderr)
        return _FAILED
    except ExtraMissingError as error:
        print(f"scripts/fleet: {error}", file=sys.stderr)
        return _FAILED
    except OSError as error:
        print(f"scripts/fleet: this machine refused: {error}", file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:
        print("scripts/fleet: stopped before a device was switched on", file=sys.stderr)
        return _FAILED


def _run(options: argparse.Namespace) -> int:
    # --help is answered before there is a .venv; the rest needs what is in it.
    check_installed("fleet", *STATION, *(() if options.account else LOCAL_AWS))
    from fleet.page import page_of  # noqa: PLC0415
    from fleet.progress import Screen  # noqa: PLC0415
    from fleet.report import document_of, write_csv, write_json  # noqa: PLC0415
    from fleet.running import run_fleet  # noqa: PLC0415

    order, out = order_of(options), Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    with _place(options.keep) as folder, _silent_devices(), Screen(order.devices) as screen:
        run = run_fleet(
            order, folder, _permission(options), screen.hearer, with_quotas=options.quotas == "aws"
        )
    document = document_of(run)
    write_json(document, out / "report.json")
    write_csv(run, out / "devices.csv")
    (out / "report.html").write_text(page_of(run, document), encoding="utf-8")
    print(json.dumps(document) if options.json else _words(run, document, out))
    return 0 if run.is_good else _FAILED


@contextmanager
def _silent_devices() -> Iterator[None]:
    """Keep what each of many devices logs off the screen; the report counts it."""
    log = logging.getLogger("device")
    log.propagate = False
    try:
        yield
    finally:
        log.propagate = True


def order_of(options: argparse.Namespace) -> FleetOrder:
    """Return what the options order.

    Raises:
        MisuseError: a number makes no sense.
    """
    if options.devices < 1:
        raise MisuseError("a fleet needs at least one device", "Give --devices 1 or more.")
    for name, least in _LEAST.items():
        if not least <= getattr(options, name) < inf:
            raise MisuseError(
                f"--{name} must be a number of {least:g} or more", f"Give {least:g} or more."
            )
    if options.at_once is not None:
        _check_at_once(options)
    return FleetOrder(
        options.devices, options.method, Scenario(options.scenario), options.seed, options.name,
        in_memory=options.storage == "memory", spread=options.spread, rate=options.rate,
        seconds=options.seconds, interval=options.interval,
        limit=options.limit, at_once=options.at_once,
    )  # fmt: skip


def _check_at_once(options: argparse.Namespace) -> None:
    if options.at_once < 1:
        raise MisuseError("--at-once is less than 1", "Give 1 or more.")
    if Scenario(options.scenario) in OPERATING and options.at_once < options.devices:
        raise MisuseError(
            f"in {options.scenario} every device stays on, so --at-once cannot be less than "
            "--devices",
            "Leave --at-once out, or use the scenario first-boot or power-cuts.",
        )


def _permission(options: argparse.Namespace) -> "Permission":
    from fleet.account import Permission  # noqa: PLC0415 - see _run

    return Permission(
        options.endpoint, options.account, options.profile, options.most_devices,
        options.most_calls,
    )  # fmt: skip


@contextmanager
def _place(keep: str | None) -> Iterator[Path]:
    """Lend a folder for station, devices and local AWS; it is gone afterwards, or kept."""
    if keep is not None:
        folder = Path(keep).resolve()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="firstboot-fleet-") as name:
        yield Path(name)


def _words(run: "Run", document: dict[str, Any], out: Path) -> str:
    devices, memory = document["devices"], document["memory"]
    proven = (
        f"{devices['proven']:,} of {devices['ordered']:,} devices proven in "
        f"{devices['seconds_until_all_proven']:,.1f} s ({devices['proven_a_second']} a second); "
        f"ended by: {run.ended_by}"
    )
    lines = [
        proven,
        f"{'step, since the one before':<28}{'count':>8}{'p50 ms':>11}{'p99 ms':>11}",
        *(
            f"{each['step']:<28}{each['count']:>8,}{each['p50_ms']:>11,.1f}{each['p99_ms']:>11,.1f}"
            for each in document["steps"]
        ),
        "calls: " + ", ".join(f"{name} {n:,}" for name, n in document["calls"].items()),
        f"retries: {document['retries']:,}, waiting {document['waited_seconds']:,.0f} s in all",
        *(f"  {count:>8,}  {cause}" for cause, count in document["refusals"].items()),
        f"memory a device: {memory['kib_a_device']} KiB; local AWS: {document['local_aws']}",
    ]
    if document["storm"]:
        lines.append(f"after the storm: {document['storm']}")
    lines += [f"violated: {each.invariant}: {each.detail}" for each in run.violations[:5]]
    verdict = "hold" if not run.violations else f"{len(run.violations)} violations"
    return "\n".join([*lines, f"invariants: {verdict}; report: {out / 'report.html'}"])


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    scenarios = "; ".join(f"{name}: {words}" for name, words in WORDS.items())
    found = argparse.ArgumentParser(
        prog="scripts/fleet",
        description=f"{__doc__} Scenarios: {scenarios}.",
        formatter_class=partial(argparse.HelpFormatter, width=80),
    )
    add = found.add_argument
    add("--devices", type=int, default=100, metavar="N", help="how many; default: 100")
    add("--method", choices=METHODS, default=METHODS[0], help="default: claim")
    add("--scenario", choices=list(Scenario), default=Scenario.FIRST_BOOT,
        metavar="NAME", help="default: first-boot")  # fmt: skip
    add("--seed", type=int, default=1, metavar="N", help="of jitter and power cuts; default: 1")
    add("--spread", type=float, default=0.0, metavar="S",
        help="first_connect_spread of the devices, in seconds; default: 0")  # fmt: skip
    add("--rate", type=float, default=20.0, metavar="N",
        help="devices switched on a second, 0 for all at once; default: 20")  # fmt: skip
    add("--at-once", type=int, metavar="N",
        help="devices that are on at the same time, at most; default: all")  # fmt: skip
    add("--seconds", type=float, default=30.0, metavar="S",
        help="how long a fleet works in steady and after a storm; default: 30")  # fmt: skip
    add("--interval", type=float, default=5.0, metavar="S",
        help="between two messages of a device; default: 5")  # fmt: skip
    add("--limit", type=float, default=1800.0, metavar="S",
        help="stop after so many seconds; default: 1800")  # fmt: skip
    add("--storage", choices=("memory", "folder"), default="memory",
        help="where devices write, by the same code; default: memory")  # fmt: skip
    add("--quotas", choices=("aws", "none"), default="aws",
        help="requests a second that the local AWS allows; default: aws")  # fmt: skip
    add("--name", default="FLEET", help="how serial numbers begin; default: FLEET")
    add("--out", default=str(_OUT), metavar="DIR",
        help=f"report.html, report.json, devices.csv; default: {_OUT}")  # fmt: skip
    add("--keep", metavar="DIR", help="keep station, devices and local AWS in this folder")
    add("--json", action="store_true", help="print the report as one JSON object")
    real = found.add_argument_group(
        "a real account", "--account needs --most-devices and --most-calls"
    )
    real.add_argument("--account", metavar="ID", help="its number, twelve digits")
    real.add_argument("--endpoint", metavar="HOST[:PORT]", help="default: what AWS answers")
    real.add_argument("--profile", metavar="NAME", help="default: boto3's own chain")
    real.add_argument("--most-devices", type=int, metavar="N", help="refuse a larger fleet")
    real.add_argument("--most-calls", type=int, metavar="N", help="stop after so many MQTT calls")
    return found
