"""``factory bulk``: a batch of devices, made and registered by one task."""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from device.config.regular_file import read_regular_file
from device.errors import ConfigurationError
from factory.account.accounts import aws_accounts
from factory.account.cloud import Cloud
from factory.account.documents import load_template
from factory.bulk.batch import run_batch
from factory.bulk.input_file import check_columns
from factory.bulk.journal import Batch, Journal, Line, open_journal, read_batch
from factory.bulk.progress import progress_on
from factory.errors import BATCH, BATCH_UNFINISHED, OPTION_NOT_USED
from factory.making.admission import Admitted, Wanted, admit, enter_made, preview
from factory.making.device_element import share_softhsm
from factory.making.device_orders import (
    OrderOptions,
    device_orders,
    given_endpoint,
)
from factory.making.device_settings import thing_name
from factory.making.new_device import DeviceOrder
from factory.methods import bulk, recovery
from factory.methods.prepared_account import check_endpoint_of
from factory.methods.production import as_made, retire_former
from factory.station.ledger import Ledger
from factory.station.serial_list import Row, check_batch_name, counted, read_rows
from factory.verbs import Console
from factory.verbs._options import (
    add_account,
    add_again,
    add_birth,
    add_connection,
    check_one_account,
    whole,
)

_DEVICES: Final = Path(".firstboot/devices")

SUMMARY: Final = "Make a batch of devices and register it by one task; a second run resumes it."


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of ``factory bulk``."""
    command.set_defaults(method=bulk.METHOD)
    devices = command.add_mutually_exclusive_group()
    devices.add_argument(
        "--count",
        type=whole(0, 1_000_000, "devices"),
        metavar="N",
        help="number of devices; serial numbers: NAME-0001 ...",
    )
    devices.add_argument(
        "--serials", type=Path, metavar="FILE",
        help="one serial number a line, or CSV with a line of column names; the other columns are "
        "parameters of the template",
    )  # fmt: skip
    command.add_argument(
        "--batch",
        metavar="NAME",
        help="name of a new batch, or of one to continue; default: the time",
    )
    command.add_argument(
        "--template", type=Path, metavar="FILE",
        help="for a new batch: your own registration template; default: firstboot-bulk",
    )  # fmt: skip
    command.add_argument(
        "--dry-run", action="store_true", help="print what would be made, and make nothing"
    )
    command.add_argument("--retry", action="store_true", help="retry only the failed devices")
    command.add_argument(
        "--no-wait", dest="wait", action="store_false",
        help="stop if another task runs (AWS runs one in an account at a time)",
    )  # fmt: skip
    command.add_argument(
        "--out", type=Path, default=_DEVICES, metavar="DIR",
        help="the devices' folders are DIR/SN; default: %(default)s",
    )  # fmt: skip
    add_birth(command)
    add_again(command)
    add_account(command)
    add_connection(command)


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Make and register the devices of the batch, from where an earlier run has left it.

    Raises:
        BatchError: the batch is not there, or another one.
        BatchUnfinishedError: some devices were not registered.
        StationError, StorageError: the cloud or the disk refused.
    """
    check_one_account(arguments)
    cloud = aws_accounts(arguments.account, os.environ)[0]
    name = check_batch_name(arguments.batch or datetime.now(UTC).strftime("%Y%m%d-%H%M%S"))
    rows, template = _rows(arguments, name), _template(arguments)
    orders = _orders(arguments, [each.serial_number for each in rows], cloud) if rows else {}
    if arguments.dry_run:
        _show_plan(arguments, console, name, orders, cloud)
        return
    with open_journal(bulk.batch_folder(arguments.station, name)) as journal:
        batch = _batch(journal, name, cloud, _lines(rows, arguments.out.resolve()), template)
        _check_options(arguments, batch)
        orders = orders or _orders(arguments, [each.serial_number for each in batch.lines], cloud)
        share_softhsm(arguments.element, arguments.out.resolve())
        admitted = admit_batch(arguments, batch, orders)
        if arguments.retry:
            batch.retry()
        journal.save(batch)
        console.say(f"Batch {name}: {len(batch.lines)} device(s) in {cloud.account}.")
        lines = batch.by_serial_number()
        for each in admitted.values():
            out = Path(lines[each.order.serial_number].folder)
            console.say(*(f"Note: {words}" for words in retire_former(each, out, [cloud])))
        try:
            with progress_on(sys.stderr, console.say) as progress:
                by_serial = {serial: each.order for serial, each in admitted.items()}
                at = bulk.batch_context(
                    cloud, journal, by_serial.__getitem__, progress, batch.template
                )
                run_batch(replace(at, wait=arguments.wait), batch)
        finally:
            enter_batch(arguments.station, batch, admitted)
    if arguments.birth:
        _give_birth_certificates(cloud, batch, orders)
    _show(arguments, console, batch)
    if failed := len(batch.failed_lines):
        raise BATCH_UNFINISHED.error(batch=name, failed=failed, total=len(batch.lines))


def _check_options(arguments: argparse.Namespace, batch: Batch) -> None:
    """Refuse options that a new batch, or a batch that is continued, cannot use."""
    if arguments.retry and not any(line.is_begun or line.problem for line in batch.lines):
        step = f"Leave it out: factory bulk --batch {batch.name} starts the devices."
        raise OPTION_NOT_USED.error(
            f"nothing has failed in batch {batch.name}", option="--retry", next_step=step
        )
    out = arguments.out.resolve()
    elsewhere = [each for each in batch.lines if Path(each.folder) != out / each.serial_number]
    if "out" in arguments.given and elsewhere:
        problem = f"the devices of batch {batch.name} are in {Path(elsewhere[0].folder).parent}"
        raise OPTION_NOT_USED.error(
            problem, option="--out", next_step="Leave it out: they stay where they are."
        )


def admit_batch(
    arguments: argparse.Namespace, batch: Batch, orders: Mapping[str, DeviceOrder]
) -> Mapping[str, Admitted]:
    """Enter the devices of ``batch`` in the ledger as begun: all, or none.

    Raises:
        SerialNumberUsedError: a device of another make has one of the serial numbers.
    """
    wanted = [
        Wanted(
            orders[line.serial_number], Path(line.folder),
            again=arguments.again and not line.is_begun, completes=line.is_begun,
        )
        for line in batch.lines
    ]  # fmt: skip
    admitted = admit(Ledger(arguments.station), wanted, bulk.METHOD, batch.name)
    return {each.order.serial_number: each for each in admitted}


def enter_batch(station: Path, batch: Batch, admitted: Mapping[str, Admitted]) -> None:
    """Enter the devices that are finished in the ledger as made."""
    made = []
    for line in batch.lines:
        device = admitted[line.serial_number]
        if line.certificate_id and not device.is_entered_as_made:
            made.append((device, as_made(device.order, Path(line.folder)).entry()))
    enter_made(Ledger(station), made)


def _give_birth_certificates(cloud: Cloud, batch: Batch, orders: Mapping[str, DeviceOrder]) -> None:
    for line in batch.lines:
        if line.certificate_id:
            name = thing_name(orders[line.serial_number])
            recovery.give_birth_certificate(cloud, Path(line.folder), name)


def _rows(arguments: argparse.Namespace, name: str) -> list[Row]:
    """Return the devices that were named; none where a batch is continued."""
    if arguments.serials:
        rows = list(read_rows(arguments.serials))
        check_columns(rows, _template(arguments), str(arguments.template or bulk.TEMPLATE))
        return rows
    if arguments.count is not None:
        return [Row(each) for each in counted(name, arguments.count)]
    if not bulk.batch_folder(arguments.station, name).is_dir():
        raise BATCH.error(f"batch {name} does not exist; use --count or --serials to start it")
    return []


def _template(arguments: argparse.Namespace) -> str:
    """Return the template's text.

    Raises:
        ConfigurationError: it cannot be read, or is not JSON.
    """
    if arguments.template is None:
        return load_template(bulk.TEMPLATE)
    body = read_regular_file(arguments.template)
    try:
        json.loads(body)
    except ValueError as error:
        problem = f"is not usable JSON: {error}"
        raise ConfigurationError(str(arguments.template), "", problem) from error
    return body.decode()


def _lines(rows: Sequence[Row], out: Path) -> list[Line]:
    return [
        Line(each.serial_number, str(out / each.serial_number), attributes=dict(each.values))
        for each in rows
    ]


def _orders(
    arguments: argparse.Namespace, serial_numbers: Sequence[str], cloud: Cloud
) -> Mapping[str, DeviceOrder]:
    options = OrderOptions.of(arguments)
    orders = device_orders(options, serial_numbers, cloud)
    check_endpoint_of(cloud, given_endpoint(options))
    return {order.serial_number: order for order in orders}


def _batch(journal: Journal, name: str, cloud: Cloud, lines: list[Line], template: str) -> Batch:
    batch = journal.load()
    if batch is None:
        own = "" if template == load_template(bulk.TEMPLATE) else template
        account = cloud.account
        return Batch(name, account.account_id, account.region, lines, template=own)
    batch.check_account(cloud.account)
    wanted = [(each.serial_number, each.attributes) for each in lines]
    if lines and wanted != [(each.serial_number, each.attributes) for each in batch.lines]:
        raise BATCH.error(f"batch {name} has other devices")
    return batch


def _show_plan(
    arguments: argparse.Namespace, console: Console, name: str,
    orders: Mapping[str, DeviceOrder], cloud: Cloud,
) -> None:  # fmt: skip
    """Say what would be made; nothing is written.

    Raises:
        SerialNumberUsedError: a device of another make has one of the serial numbers.
    """
    known = read_batch(bulk.batch_folder(arguments.station, name))
    lines = (
        known.lines if known else _lines([Row(each) for each in orders], arguments.out.resolve())
    )
    is_made = {each.serial_number for each in lines if each.certificate_id}
    orders = orders or _orders(arguments, [each.serial_number for each in lines], cloud)
    wanted = [
        Wanted(orders[each.serial_number], Path(each.folder), arguments.again, each.is_begun)
        for each in lines
    ]
    for each, admission in zip(wanted, preview(Ledger(arguments.station), wanted), strict=True):
        serial = each.order.serial_number
        plan = "there" if serial in is_made else "resumed" if admission.own else "new"
        fields = {"serial": serial, "state": str(each.out), "plan": plan}
        console.show(fields, f"{serial:<24} {plan:<9} {each.out}")
    console.say(f"{len(lines) - len(is_made)} of {len(lines)} device(s) would be made for bulk.")


def _show(arguments: argparse.Namespace, console: Console, batch: Batch) -> None:
    secured = [line for line in batch.lines if line.certificate_id]
    if arguments.json:
        for line in batch.lines:
            console.show(_fields(line))
        failed = len(batch.failed_lines)
        console.show({"batch": batch.name, "secured": len(secured), "failed": failed})
        return
    for line in batch.failed_lines:
        console.say(f"  {line.serial_number}: {line.problem}", f"    next: {line.next_step}")
    console.say(f"{len(secured)} of {len(batch.lines)} device(s) are registered and SECURED.")
    if secured:
        console.say(f"Next: device boot --state {shlex.quote(str(secured[0].folder))}")


def _fields(line: Line) -> Mapping[str, object]:
    return {
        "serial": line.serial_number,
        "state": line.folder,
        "lifecycle": "SECURED" if line.certificate_id else "PSA_ROT_PROVISIONING",
        "certificate_id": line.certificate_id,
        "problem": line.problem,
    }
