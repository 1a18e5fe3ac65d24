"""``factory explain``: why AWS IoT refuses a device; it reads the account and changes nothing."""

import argparse
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import to_builtins

from device.config.methods import JUST_IN_TIME_METHODS
from device.config.regular_file import read_regular_file
from device.errors import ConfigurationError, FirstbootError
from device.errors.catalogue import document_of, explained, row_of
from device.errors.provisioning import CertificateUnacceptableError
from device.identity.certificates import leaf_of
from device.identity.pem import parse_certificate
from device.storage import installed_certificate
from device.storage.device_storage import open_device_storage
from factory.account.accounts import aws_accounts
from factory.diagnosis.explanation import Explanation, explain
from factory.diagnosis.reason import Reason, refused
from factory.diagnosis.subject import Asked, Subject
from factory.errors.catalogue import CATALOGUE
from factory.errors.diagnosis import NOTHING_TO_EXPLAIN
from factory.station.ledger import FILE, Entry, holders, read_contents
from factory.verbs import Console
from factory.verbs._options import add_account, check_one_account

SUMMARY: Final = "Name the reason why AWS IoT refuses a device; or print what an FB code means."


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of ``factory explain``."""
    command.add_argument("code", nargs="?", metavar="CODE", help="such as FB-803")
    command.add_argument("--serial", metavar="SN", help="a device, by its serial number")
    command.add_argument(
        "--certificate", type=Path, metavar="FILE", help="any client, by its certificate (PEM)"
    )
    command.add_argument(
        "--client-id", metavar="ID", help="default: the thing's name, else the common name"
    )
    command.add_argument(
        "--publish", metavar="TOPIC", action="append", default=[],
        help="a topic that the client publishes on; with --serial dt/SN/telemetry by default",
    )  # fmt: skip
    command.add_argument(
        "--subscribe", metavar="FILTER", action="append", default=[],
        help="a topic filter that the client subscribes to",
    )  # fmt: skip
    command.add_argument("--endpoint", metavar="HOST:PORT", help="what the client dials")
    command.add_argument(
        "--local-aws", type=Path, metavar="DIR",
        help="the state folder of a local AWS: also say what its broker saw",
    )  # fmt: skip
    add_account(command)


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Show every reason, the first one first; or the row of a code.

    Raises:
        DeviceRefusedError: there is a reason; the error is that of the first one.
        NothingToExplainError: nothing was named.
        UnknownCodeError: the catalogue has no such code.
        CloudError: AWS cannot be called at all.
        ConfigurationError: --local-aws names no local AWS that runs.
    """
    given = (arguments.code, arguments.serial, arguments.certificate)
    if sum(each is not None for each in given) != 1:
        raise NOTHING_TO_EXPLAIN.error("give a code, --serial or --certificate, and one of them")
    if arguments.code is not None:
        row = row_of(arguments.code, CATALOGUE)
        console.show(document_of(row), *explained(row))
        return
    check_one_account(arguments)
    asked = _asked(arguments)
    [cloud] = aws_accounts(arguments.account, os.environ)
    found = explain(Subject(cloud, asked), arguments.local_aws)
    _show(found, console)
    if found.reasons:
        raise refused(found.reasons)


def _asked(arguments: argparse.Namespace) -> Asked:
    made = _entry(arguments.station, arguments.serial)
    publish = tuple(arguments.publish)
    if arguments.serial is not None and not publish:
        publish = (f"dt/{arguments.serial}/telemetry",)
    return Asked(
        serial=arguments.serial,
        certificate_pem=_certificate(arguments.certificate),
        client_id=arguments.client_id,
        publish=publish,
        subscribe=tuple(arguments.subscribe),
        endpoint=arguments.endpoint,
        made=made,
        installed_pem=_installed(made),
    )


def _certificate(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        pem = leaf_of(read_regular_file(path))
        parse_certificate(pem)
    except CertificateUnacceptableError as error:  # its words are for what an endpoint sent
        raise ConfigurationError(str(path), "", f"{path} holds no certificate: {error}") from error
    return pem


def _entry(station: Path, serial: str | None) -> Entry | None:
    """Return the ledger's last line about a device; None where there is none."""
    ledger = station / FILE
    if serial is None or not ledger.is_file():
        return None
    entries = read_contents(ledger.read_bytes(), ledger).entries
    lines = [each for each in entries if each.serial_number == serial]
    told = holders(lines, serial) or lines
    return told[-1] if told else None


def _installed(made: Entry | None) -> bytes | None:
    """Return the certificate that a device holds which AWS IoT learns of from its connection.

    None if the device is not in its folder any more, or cannot be opened here.
    """
    if made is None or made.method not in JUST_IN_TIME_METHODS:
        return None
    with suppress(FirstbootError), open_device_storage(Path(made.folder), read_only=True) as opened:
        held = installed_certificate.load(opened.ps)
        return None if held is None else leaf_of(held.chain_pem)
    return None


def _show(found: Explanation, console: Console) -> None:
    for number, each in enumerate(found.reasons, 1):
        console.show(to_builtins(each), *lines_of(number, each))
    for check, action in found.not_looked_at.items():
        document = {"not_looked_at": check, "right": action}
        console.show(document, f"not looked at: {check} (allow {action} in IAM)")
    if not found.reasons:
        console.say("The account has no reason to refuse this client.")


def lines_of(number: int, found: Reason) -> tuple[str, str, str]:
    """Return what people read of a reason."""
    return (
        f"{number}. {found.about}: {found.reason} [{found.code}]",
        f"   seen: {found.evidence}",
        f"   next: {found.next_step}",
    )
