"""``factory make`` for a list of devices: PASS or FAIL for each, on one screen."""

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from factory.api import Station
from factory.bulk.screen import screen_on
from factory.errors import LINE_UNFINISHED, OPTION_NOT_USED
from factory.making.admission import Wanted
from factory.making.device_orders import OrderOptions
from factory.making.line_orders import BatchOrder
from factory.methods.line import Piece, Plan
from factory.station.serial_list import Row, Rows, check_batch_name, read_rows
from factory.verbs import Console
from factory.verbs._options import check_each_once, whole

DEVICES: Final = Path(".firstboot/devices")


def add_line(command: argparse.ArgumentParser) -> None:
    """Add ``--serial`` or ``--serials``, and what a batch may be given besides."""
    devices = command.add_mutually_exclusive_group(required=True)
    devices.add_argument(
        "--serial", dest="given_serials", action="append", metavar="SN",
        help="serial number; may be given several times",
    )  # fmt: skip
    devices.add_argument(
        "--serials", type=Path, metavar="FILE",
        help="make a batch: one serial number a line, or CSV with a line of column names; the "
        "devices' folders are DIR/SN of --out DIR",
    )  # fmt: skip
    command.add_argument(
        "--batch", metavar="NAME",
        help="make a batch and enter it in the ledger under this name; default with --serials: the "
        "time. A second run with the same name and devices continues the batch",
    )  # fmt: skip
    command.add_argument(
        "--jobs",
        type=whole(1, 64, "processes"),
        metavar="N",
        help="number of processes that make a batch; default: two a core",
    )
    command.add_argument(
        "--dry-run", action="store_true", help="print what would be made, and make nothing"
    )


def is_line(arguments: argparse.Namespace) -> bool:
    """Tell whether a batch is to be made, or only looked at."""
    return bool(arguments.serials or arguments.batch or arguments.jobs or arguments.dry_run)


def make_line(arguments: argparse.Namespace, console: Console) -> None:
    """Make the batch, or say what would be made.

    Raises:
        LineUnfinishedError: some devices could not be made.
        StationError, StorageError: the batch was refused, and nothing was made.
    """
    if arguments.device_id:
        problem = "it is for one device, and a batch was ordered"
        step = "Leave it out; each gets a random one."
        raise OPTION_NOT_USED.error(problem, option="--device-id", next_step=step)
    station = Station(arguments.station, accounts=arguments.account)
    name = check_batch_name(arguments.batch or datetime.now(UTC).strftime("%Y%m%d-%H%M%S"))
    batch = _Batch(arguments, station, name)
    if arguments.dry_run:
        batch.show_plan(console)
    else:
        batch.make(console)


class _Batch:
    """The batch that the command line describes."""

    def __init__(self, arguments: argparse.Namespace, station: Station, name: str) -> None:
        self._arguments = arguments
        self._station = station
        out = Path(arguments.out or DEVICES)
        self._order = BatchOrder(
            name, OrderOptions.of(arguments), _rows(arguments), out.joinpath, arguments.again
        )

    def make(self, console: Console) -> None:
        failed = 0
        begun = time.monotonic()
        with screen_on(sys.stderr, console.say, len(self._order.rows)) as screen:
            for piece in self._station.make_batch(self._order, self._arguments.jobs or 0):
                is_good = piece.failed is None
                failed += not is_good
                screen.show(piece.wanted.order.serial_number, _words(piece), is_good=is_good)
                if self._arguments.json:
                    console.show(_fields(self._arguments.method, piece))
        self._conclude(console, failed, time.monotonic() - begun)

    def show_plan(self, console: Console) -> None:
        count = 0
        for wanted, plan in self._station.plan_batch(self._order):
            count += plan is not Plan.THERE
            serial, out = wanted.order.serial_number, wanted.out
            fields = {"serial": serial, "state": str(out), "plan": plan}
            console.show(fields, f"{serial:<24} {plan:<9} {out}")
        method, total = self._arguments.method, len(self._order.rows)
        console.say(f"{count} of {total} device(s) would be made for {method}.")

    def _conclude(self, console: Console, failed: int, seconds: float) -> None:
        name, total = self._order.name, len(self._order.rows)
        passed = total - failed
        document = {"batch": name, "passed": passed, "failed": failed}
        console.show({**document, "seconds": round(seconds, 3)})
        rate = passed / seconds if seconds else 0.0
        console.say(
            f"Batch {name}: {passed} PASS, {failed} FAIL, in {seconds:.1f} s "
            f"({rate:.0f} devices a second). Next: factory report {name}"
        )
        if failed:
            raise LINE_UNFINISHED.error(batch=name, failed=failed, total=total)


def _rows(arguments: argparse.Namespace) -> Rows | Sequence[Row]:
    if arguments.serials:
        return read_rows(arguments.serials)
    return [Row(each) for each in check_each_once(arguments.given_serials)]


def _words(piece: Piece) -> str:
    if piece.failed is not None:
        return piece.failed.message
    words = "; ".join(piece.retired)
    return words or (piece.product.certificate_id or "")[:16] if piece.product else words


def _fields(method: str, piece: Piece) -> dict[str, object]:
    wanted: Wanted = piece.wanted
    fields: dict[str, object] = {
        "method": method, "serial": wanted.order.serial_number, "state": str(wanted.out),
        "seconds": round(piece.seconds, 3),
    }  # fmt: skip
    if piece.retired:
        fields["retired"] = list(piece.retired)
    if piece.failed is not None:
        failed = piece.failed
        return {
            **fields, "result": "FAIL", "error": failed.error, "code": failed.code,
            "message": failed.message, "next_step": failed.next_step,
        }  # fmt: skip
    order, product = wanted.order, piece.product
    if product is not None:
        order = product.order
        fields["certificate_id"] = product.certificate_id
    return {
        **fields, "result": "PASS", "device_id": order.device_id, "endpoint": order.endpoint,
        "lifecycle": "SECURED",
    }  # fmt: skip
