"""Devices a second on the production line, against what OpenSSL and the disk allow.

The yardstick makes what every durable device with a key of its own needs, and nothing else: a key,
a CSR and a leaf by the same library, then files of the same names and sizes, written and synced in
as many processes. The disk and OpenSSL alone say which of the two bounds it.
"""

import multiprocessing
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from factory.account.accounts import aws_accounts
from factory.making.admission import Wanted
from factory.making.device_orders import OrderOptions
from factory.making.line_orders import BatchOrder, line_orders
from factory.methods.line import Line, default_jobs, plan_line, run_line
from factory.station.serial_list import read_rows
from factory.station.station import open_or_make_station, open_station
from scripts.benchmarks.comparison import Figures, Quantity, Row, Side, alternate, compare
from scripts.benchmarks.processes import BenchError
from scripts.benchmarks.workbench import CHECKOUT

_DEVICES: Final = 1000
"""In a round, so that starting the processes counts for little."""
_MANY, _FEW = 100_000, 10_000
_METHOD: Final = "jitp"
_JOBS: Final = default_jobs()
_WALL: Final = "wall"
_BOUND: Final = (Quantity(_WALL, "wall time a device", "ms", 1.25),)
_PART: Final = (Quantity(_WALL, "wall time a device", "ms"),)
_SCALE: Final = (
    Quantity(_WALL, "time a device", "ms", 1.25),
    Quantity("memory", "peak memory", "MiB", 1.25),
)

Files = Mapping[str, int]
"""The files of a device, with their sizes."""


def line(rounds: int) -> Mapping[str, list[Row]]:
    """Measure the line and its bounds in each round, then the lists of serial numbers.

    Raises:
        BenchError: a device was not made.
    """
    place = CHECKOUT / ".firstboot"  # on a disk, and not in memory as /tmp may be
    place.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-line-", dir=place) as name:
        folder = Path(name)
        station = _prepared(folder / "station")
        with _processes() as pool:
            files = _files_of_one(station, folder / "one")
            bare = _Bare(pool, folder / "bare", files)
            line_side = partial(_ours, station, folder)
            sides: list[Side] = [line_side, bare.both, bare.disk, bare.keys]
            ours, both, disk, keys = alternate(sides, rounds)
        many, few = (_listed(station, folder, count) for count in (_MANY, _FEW))
    return {
        f"line, {_JOBS} processes, against both": compare(_BOUND, ours, both),
        "both, against the disk alone": compare(_PART, both, disk),
        "both, against OpenSSL alone": compare(_PART, both, keys),
        f"{_MANY:,} serials against {_FEW:,}": compare(_SCALE, [many], [few]),
    }


def _prepared(folder: Path) -> Path:
    """Return a station that makes devices by JITP; no cloud is needed for that."""
    now = datetime.now(UTC)
    with open_or_make_station(folder) as station:
        station.authorities.ensure(now, [_METHOD])
        station.authorities.want_fields(_METHOD, frozenset({"CommonName"}))
    return folder


def _options() -> OrderOptions:
    return OrderOptions(_METHOD, endpoint="localhost:8883")


def _made(station: Path, folder: Path, count: int) -> None:
    serials = folder.parent / f"{folder.name}.csv"
    serials.write_text("".join(f"{folder.name}-{number}\n" for number in range(count)))
    order = BatchOrder(folder.name, _options(), read_rows(serials), folder.joinpath)
    clouds = aws_accounts([], os.environ)
    with open_station(station, read_only=True) as opened:
        at = Line(_METHOD, opened, clouds, order.name, _JOBS)
        for piece in run_line(at, order.wanted(clouds[0])):
            if piece.failed is not None:
                raise BenchError(f"{piece.wanted.out}: {piece.failed.message}")


def _files_of_one(station: Path, folder: Path) -> Files:
    _made(station, folder, 1)
    device = folder / f"{folder.name}-0"
    files = [each for each in device.rglob("*") if each.is_file()]
    return {str(each.relative_to(device)): each.stat().st_size for each in files}


def _ours(station: Path, folder: Path, number: int) -> Figures:
    place = folder / f"r{number}"
    return _timed(partial(_made, station, place, _DEVICES), place)


@dataclass(frozen=True)
class _Bare:
    """The yardstick, in as many processes as the line has."""

    pool: ProcessPoolExecutor
    folder: Path
    files: Files

    def both(self, number: int) -> Figures:
        """Make keys, CSRs and leaves, and write files."""
        return self._write(self.folder / f"both-{number}", with_keys=True)

    def disk(self, number: int) -> Figures:
        """Write files alone."""
        return self._write(self.folder / f"disk-{number}", with_keys=False)

    def keys(self, _: int) -> Figures:
        """Make keys, CSRs and leaves alone."""
        return _timed(lambda: list(self.pool.map(_sign_devices, [_DEVICES // _JOBS] * _JOBS)))

    def _write(self, place: Path, *, with_keys: bool) -> Figures:
        place.mkdir(parents=True)
        shares = [range(job, _DEVICES, _JOBS) for job in range(_JOBS)]
        write = partial(_write_devices, place, self.files, with_keys)
        return _timed(lambda: list(self.pool.map(write, shares)), place)


def _timed(work: Callable[[], object], place: Path | None = None) -> Figures:
    begun = time.perf_counter()
    work()
    elapsed = time.perf_counter() - begun
    if place is not None:
        shutil.rmtree(place)
    return {_WALL: elapsed / _DEVICES * 1000}


@contextmanager
def _processes() -> Iterator[ProcessPoolExecutor]:
    """Lend processes that have loaded what they need."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(_JOBS, context) as pool:
        list(pool.map(_sign_devices, [1] * _JOBS))
        yield pool


def _sign_devices(count: int) -> None:
    issuer, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    for number in range(count):
        _leaf(issuer, now, f"SN-{number}")


def _leaf(issuer: ec.EllipticCurvePrivateKey, now: datetime, serial: str) -> bytes:
    """Make key, CSR and leaf, as tersely as the library allows."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, serial)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name)
    csr = request.sign(key, hashes.SHA256())
    if not csr.is_signature_valid:
        raise BenchError("a CSR is not signed by its own key")
    builder = x509.CertificateBuilder(name, csr.subject, csr.public_key(), 1, now, now)
    return builder.sign(issuer, hashes.SHA256()).public_bytes(Encoding.PEM)


def _write_devices(place: Path, files: Files, with_keys: bool, numbers: range) -> None:  # noqa: FBT001 - mapped
    issuer, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    for number in numbers:
        if with_keys:
            _leaf(issuer, now, f"SN-{number}")
        device = place / str(number)
        for folder in (device, *(device / each for each in sorted(_folders(files)))):
            folder.mkdir()
        for name, size in files.items():
            _write(device / name, os.urandom(size))
        for folder in (*(device / each for each in _folders(files)), device, place):
            _sync(folder)


def _folders(files: Files) -> set[str]:
    return {name.partition("/")[0] for name in files if "/" in name}


def _write(file: Path, data: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _listed(station: Path, folder: Path, count: int) -> Figures:
    """Check a list of ``count`` devices as ``--dry-run`` does, in a process of its own."""
    file = folder / f"{count}.csv"
    file.write_text("serial\n" + "".join(f"SN-{number:06}\n" for number in range(count)))
    with ProcessPoolExecutor(1, multiprocessing.get_context("forkserver")) as pool:
        seconds, memory = pool.submit(_plan, station, file).result()
    return {_WALL: seconds / count * 1000, "memory": memory / 1024}


def _plan(station: Path, file: Path) -> tuple[float, int]:
    begun = time.perf_counter()
    clouds = aws_accounts([], os.environ)
    with open_station(station, read_only=True) as opened:
        at = Line(_METHOD, opened, clouds, "LIST")
        orders = line_orders(_options(), read_rows(file), clouds[0])
        wanted = (Wanted(each, file.parent / each.serial_number) for each in orders)
        for _ in plan_line(at, wanted):
            continue
    return time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
