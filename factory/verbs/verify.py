"""``factory verify``: is a manifest as the station signed it?"""

import argparse
from pathlib import Path
from typing import Final

from cryptography import x509

from device.config.regular_file import read_regular_file
from factory.errors import MANIFEST
from factory.station.manifest import check_manifest
from factory.station.station import open_station
from factory.verbs import Console

SUMMARY = "Check that every entry of a manifest is as this station, or another signer, signed it."
_MOST_BYTES: Final = 1 << 30
"""Some 300,000 devices."""


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of ``factory verify``."""
    command.add_argument("manifest", type=Path, metavar="MANIFEST", help="the manifest's file")
    command.add_argument(
        "--signer", type=Path, metavar="FILE",
        help="the signer's certificate, as PEM; default: this station's own",
    )  # fmt: skip


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Check all entries.

    Raises:
        ManifestError: one of them is not as it was signed.
        StationNotPreparedError: no signer was named, and this station has signed nothing.
        ConfigurationError: a file cannot be read.
    """
    certificate = _certificate(arguments)
    content = read_regular_file(arguments.manifest, max_bytes=_MOST_BYTES)
    serial_numbers = check_manifest(content, certificate)
    console.show(
        {"manifest": str(arguments.manifest), "valid": True, "devices": len(serial_numbers)},
        f"{arguments.manifest}: {len(serial_numbers)} device(s), every entry is as it was signed",
    )


def _certificate(arguments: argparse.Namespace) -> x509.Certificate:
    if arguments.signer is None:
        with open_station(arguments.station, read_only=True) as station:
            return station.manifest_signer.certificate()
    try:
        return x509.load_pem_x509_certificate(read_regular_file(arguments.signer))
    except ValueError as error:
        raise MANIFEST.error(f"{arguments.signer} does not hold a certificate: {error}") from error
