"""The station's command line: one function a verb; the only place here that prints."""

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from device.errors import ExitCode, FirstbootError
from factory.arguments import DEVICES, build_parser
from factory.aws import Aws
from factory.changes import Report
from factory.cloud import Account, Cloud
from factory.documents import CONFIG
from factory.endpoint import find_endpoint, parse_endpoint
from factory.errors import StationNotPreparedError
from factory.manufacture import DeviceOrder, make_device, new_device_id
from factory.methods import METHODS
from factory.root_ca import AMAZON_ROOTS, load_root_ca
from factory.serial_number import check_serial_number
from factory.station import Station, open_or_make_station, open_station

_SDK_LOGGERS = ("boto3", "botocore", "urllib3")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code (``device.errors.ExitCode``)."""
    arguments = build_parser((prepare, make, teardown)).parse_args(argv)
    _log_to_stderr(arguments.log_level)
    try:
        arguments.verb(arguments)
    except FirstbootError as error:
        _say(f"factory: {error}", f"  next: {error.next_step}")
        return error.exit_code
    except OSError as error:
        _say(f"factory: {error.filename or 'this machine'}: {error.strerror or error}")
        return ExitCode.FAILED
    except KeyboardInterrupt:
        _say("factory: stopped; the same command goes on where it stopped")
        return ExitCode.FAILED
    return ExitCode.DONE


def prepare(arguments: argparse.Namespace) -> None:
    """Make the cloud side of a method; what is there and right stays as it is."""
    cloud = Aws()
    with open_or_make_station(arguments.station) as station:
        report = METHODS[arguments.method].prepare(cloud, station)
    _show(arguments, cloud.account, report)
    if not arguments.json:
        state = "Prepared." if report.is_change else "Nothing to change: all is prepared."
        _say(f"{state} Next: factory make --method {arguments.method} --serial SN-0001")


def make(arguments: argparse.Namespace) -> None:
    """Make a device: fuses, identity, credentials, lifecycle SECURED."""
    cloud = Aws()
    order = DeviceOrder(
        serial_number=check_serial_number(arguments.serial),
        device_id=arguments.device_id or new_device_id(),
        endpoint=_endpoint(arguments.endpoint, cloud),
        root_ca=load_root_ca(_root_ca(arguments.root_ca)),
        config=arguments.config or CONFIG / _config_name(arguments.method),
    )
    out = arguments.out or DEVICES / order.serial_number
    method = METHODS[arguments.method]
    with open_station(arguments.station, read_only=True) as station:
        make_device(order, out, lambda storage: method.install(cloud, station, storage, order))
    if arguments.json:
        _put(
            method=arguments.method, serial=order.serial_number, device_id=order.device_id,
            state=str(out), endpoint=order.endpoint, lifecycle="SECURED",
        )  # fmt: skip
        return
    config = arguments.config or Path("config", _config_name(arguments.method))
    _say(
        f"Made {order.serial_number} in {out}: lifecycle SECURED, connects to {order.endpoint}.",
        f"Next: device boot --config {config} --state {out}",
    )


def teardown(arguments: argparse.Namespace) -> None:
    """Remove from the cloud what prepare made, and nothing else."""
    cloud = Aws()
    methods = [METHODS[arguments.method]] if arguments.method else dict.fromkeys(METHODS.values())
    with ExitStack() as stack:
        station = _station_if_any(stack, arguments.station)
        reports = [method.teardown(cloud, station, devices=arguments.devices) for method in methods]
    report = Report.of(reports)
    _show(arguments, cloud.account, report)
    if not arguments.json:
        _say("Gone." if report.is_change else "Nothing to remove.")


def _station_if_any(stack: ExitStack, folder: Path) -> Station | None:
    try:
        return stack.enter_context(open_station(folder))
    except StationNotPreparedError:
        return None


def _endpoint(given: str | None, cloud: Cloud) -> str:
    if given:
        return parse_endpoint("--endpoint", given)
    if os.environ.get("DEVICE_ENDPOINT"):
        return parse_endpoint("DEVICE_ENDPOINT", os.environ["DEVICE_ENDPOINT"])
    return find_endpoint(cloud)


def _config_name(method: str) -> str:
    return f"{method.removesuffix('-aws-keys')}.yaml"


def _root_ca(given: Path | None) -> Path:
    return given or Path(os.environ.get("DEVICE_ROOT_CA") or AMAZON_ROOTS)


def _show(arguments: argparse.Namespace, account: Account, report: Report) -> None:
    if arguments.json:
        _put(
            method=arguments.method, account_id=account.account_id, region=account.region,
            changed=report.is_change, notes=report.notes,
            resources=[each.as_fields() for each in report.changes],
        )  # fmt: skip
        return
    _say(f"In {account}:")
    for change in report.changes:
        note = f"  ({change.note})" if change.note else ""
        _say(f"  {change.outcome:<10} {change.kind:<22} {change.name}{note}")
    _say(*(f"Note: {note}" for note in report.notes))


def _put(**fields: object) -> None:
    print(json.dumps(fields))


def _say(*lines: str) -> None:
    for line in lines:
        print(line, file=sys.stderr)


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(level=level.upper(), format="%(levelname)s %(name)s: %(message)s")
    # At DEBUG the SDK prints whole requests, and a session token is one of their headers.
    for name in _SDK_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
