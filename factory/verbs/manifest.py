"""``factory manifest``: which devices a batch has, signed, for those who import or receive them."""

import argparse
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from device.storage.filesystem import storage_errors, sync_folder
from factory.making.manifest_device import manifest_devices
from factory.station.ledger import Ledger, made_in_batch
from factory.station.manifest import write_entries
from factory.station.serial_list import check_batch_name
from factory.station.station import open_station
from factory.verbs import Console

SUMMARY = "Write a signed manifest of a batch, in the format of Microchip's Trust Platform."


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of ``factory manifest``."""
    command.add_argument("batch", metavar="BATCH", help="the name of the batch")
    command.add_argument(
        "--out", type=_out, metavar="FILE",
        help="the manifest; the signer's certificate is written beside it as .crt; "
        "default: BATCH.manifest.json",
    )  # fmt: skip


def _out(text: str) -> Path:
    """Return the file of ``--out``; what is no regular file, such as /dev/null, is not replaced.

    Raises:
        ArgumentTypeError: the manifest and the certificate cannot be put there.
    """
    out = Path(text)
    if out.name in {"", ".."}:
        raise argparse.ArgumentTypeError(f"{text} names no file")
    if out.suffix == ".crt":
        raise argparse.ArgumentTypeError(f"{text} is where the signer's certificate goes")
    if not out.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {out.parent}")
    for each in (out, out.with_suffix(".crt")):
        if each.exists() and not each.is_file():
            raise argparse.ArgumentTypeError(f"{each} is not a regular file")
    return out


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Sign an entry for each device that is made, and write the file in one step.

    Raises:
        BatchUnknownError: the ledger has no such batch.
        ManifestDeviceError: a device of the batch is gone, or not as it was made.
        StationError, StorageError: the station or the disk cannot be used.
    """
    batch = check_batch_name(arguments.batch)
    made = made_in_batch(Ledger(arguments.station).entries(), batch)
    out = arguments.out or Path(f"{batch}.manifest.json")
    with open_station(arguments.station) as station:
        signer = station.manifest_signer.ensure(datetime.now(UTC))
        _write(out, write_entries(manifest_devices(made), signer))
    certificate = out.with_suffix(".crt")
    _write(certificate, [signer.certificate.public_bytes(Encoding.PEM)])
    console.show(
        {
            "batch": batch, "devices": len(made), "manifest": str(out),
            "signer": str(certificate),
        },
        f"{out}: {len(made)} device(s) of batch {batch}, signed; check it with {certificate}",
    )  # fmt: skip


def _write(file: Path, pieces: Iterable[bytes]) -> None:
    """Write a file that is there whole, or not at all."""
    new = file.with_name(f"{file.name}.new")
    with storage_errors(file):
        with new.open("wb") as opened:
            for piece in pieces:
                opened.write(piece)
            opened.flush()
            os.fsync(opened.fileno())
        new.replace(file)
    sync_folder(file.parent)
