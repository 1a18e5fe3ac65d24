"""``factory report``: what became of a batch."""

import argparse
from pathlib import Path
from typing import Final

from factory.bulk.journal import read_batch
from factory.errors import OPTION_NOT_USED
from factory.methods.bulk import batch_folder
from factory.station.batch_report import report_of
from factory.station.ledger import Ledger
from factory.station.serial_list import check_batch_name
from factory.verbs import Console

SUMMARY: Final = "Show a batch: yield, times, and failures by cause."


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of ``factory report``."""
    command.add_argument("batch", metavar="BATCH", help="the name of the batch")
    command.add_argument(
        "--junit", action="store_true", help="print JUnit XML, for a CI server; default: text"
    )


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Count what the ledger says of the batch.

    Raises:
        BatchUnknownError: the ledger has no such batch.
        OptionNotUsedError: two forms were asked for.
        LedgerError, StorageError: the ledger cannot be read.
    """
    if arguments.junit and arguments.json:
        problem = "it is one form of the report, and --json is another"
        raise OPTION_NOT_USED.error(problem, option="--junit", next_step="Give one of them.")
    batch = check_batch_name(arguments.batch)
    report = report_of(
        Ledger(arguments.station).entries(), batch, _refused(arguments.station, batch)
    )
    lines = [report.as_junit()] if arguments.junit else report.as_lines()
    console.show(report.as_fields(), *lines)


def _refused(station: Path, name: str) -> dict[str, str]:
    """Return why AWS registered devices of a bulk batch not, by serial number."""
    batch = read_batch(batch_folder(station, name))
    failed = batch.failed_lines if batch else []
    return {line.serial_number: line.problem or "" for line in failed}
