"""A batch on the line: processes make it, the ledger has each device, one failure is one."""

import multiprocessing
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from device.storage.device_storage import open_device_storage
from device.storage.lifecycle import Lifecycle
from factory.account.documents import CONFIG
from factory.errors import BATCH_BUSY, LINE_CUT, MACHINE_REFUSED, SERIAL_NUMBER_USED
from factory.making.admission import Wanted, admit
from factory.making.new_device import DeviceOrder, new_device_id
from factory.methods.line import Line, Piece, check_line, run_line
from factory.methods.production import maker, produce
from factory.station.ledger import Ledger, Result
from factory.station.station import Station, open_or_make_station
from tests.support.errors import raises
from tests.support.hang import SECONDS
from tests.unit.test_factory_production import Unreached

ROOT: Final = Path(__file__).parents[2]
KILLED: Final = """
import os, pathlib, signal, sys
from factory.methods.line import run_line
from factory.station.station import open_station
from tests.unit.test_factory_line import line, wanted

folder = pathlib.Path(sys.argv[1])
with open_station(folder) as station:
    for each in run_line(line(station, jobs=2), wanted(folder, [f"SN-{n}" for n in range(64)])):
        os.kill(os.getpid(), signal.SIGKILL)
"""
NOW: Final = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A station's folder, prepared for JITP."""
    with open_or_make_station(tmp_path / "station") as station:
        station.authorities.ensure(NOW, ["jitp"])
        station.authorities.want_fields("jitp", frozenset({"CommonName"}))
    return tmp_path / "station"


def wanted(folder: Path, serials: Sequence[str]) -> list[Wanted]:
    return [
        Wanted(
            DeviceOrder(each, new_device_id(), "h:1", b"roots", CONFIG / "jitp.yaml"),
            folder.parent / each,
        )
        for each in serials
    ]


def line(station: Station, jobs: int = 1, batch: str | None = "LOT") -> Line:
    return Line("jitp", station, [Unreached()], batch, jobs)


def made(folder: Path, serials: Sequence[str], jobs: int = 1) -> list[Piece]:
    with open_or_make_station(folder) as station:
        return list(run_line(line(station, jobs), wanted(folder, serials)))


def results(folder: Path, serial: str) -> list[Result]:
    return [each.result for each in Ledger(folder).entries() if each.serial_number == serial]


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_device_is_made_and_in_the_ledger_of_its_batch(folder: Path, jobs: int) -> None:
    serials = [f"SN-{number:03}" for number in range(40)]
    pieces = made(folder, serials, jobs)
    assert [each.failed for each in pieces if each.failed] == []
    assert [each.wanted.order.serial_number for each in pieces if each.product] == serials
    for each in serials:
        with open_device_storage(folder.parent / each) as storage:
            assert storage.lifecycle is Lifecycle.SECURED
        assert results(folder, each) == [Result.BEGUN, Result.MADE]
    last = Ledger(folder).entries()[-1]
    assert (last.batch, last.certificate_id) == ("LOT", pieces[-1].product.certificate_id)  # type: ignore[union-attr] # it was made
    assert last.seconds is not None


def test_process_that_is_ended_stops_the_batch_with_what_to_do_and_the_next_run_makes_the_rest(
    folder: Path,
) -> None:
    serials = [f"SN-{number:03}" for number in range(256)]
    with open_or_make_station(folder) as station:
        pieces = run_line(line(station, jobs=2), wanted(folder, serials))
        next(pieces)
        multiprocessing.active_children()[0].kill()
        with raises(LINE_CUT, match="was ended"):
            list(pieces)

    assert [each.failed for each in made(folder, serials[:32])] == [None] * 32


def test_batch_is_made_by_one_process_at_a_time(folder: Path) -> None:
    serials = ["SN-1", "SN-2"]
    with open_or_make_station(folder) as station:
        first = run_line(line(station), wanted(folder, serials))
        next(first)
        with raises(BATCH_BUSY, match="LOT"):
            list(run_line(line(station), wanted(folder, serials)))
        assert len(list(run_line(line(station, batch="OTHER"), wanted(folder, ["SN-3"])))) == 1
        list(first)
        assert len(list(run_line(line(station), wanted(folder, serials)))) == 2

    assert [results(folder, each) for each in serials] == [[Result.BEGUN, Result.MADE]] * 2
    assert list(folder.glob("batch-*")) == []


def test_processes_end_with_the_one_that_started_them(folder: Path) -> None:
    # They hold this pipe open, so it is read to its end only when all are gone.
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder)],
        cwd=ROOT, stdout=subprocess.PIPE, check=False, timeout=SECONDS,
    )  # fmt: skip

    assert done.returncode == -signal.SIGKILL


def test_device_that_fails_is_entered_with_its_cause_and_the_others_go_on(folder: Path) -> None:
    (folder.parent / "SN-2" / "fuses").mkdir(parents=True)
    (folder.parent / "SN-2" / "fuses" / "lifecycle").write_text("SECURED")
    good, bad, last = made(folder, ["SN-1", "SN-2", "SN-3"])
    assert (good.failed, last.failed) == (None, None)
    assert bad.failed is not None
    entry = [each for each in Ledger(folder).entries() if each.serial_number == "SN-2"][-1]
    assert (entry.result, entry.error) == (Result.FAILED, bad.failed.error)
    assert entry.note == bad.failed.message


def test_second_run_takes_what_is_made_and_makes_the_rest(folder: Path) -> None:
    first = made(folder, ["SN-1", "SN-2"])
    again = made(folder, ["SN-1", "SN-2", "SN-3"])
    ids = [[each.product.certificate_id for each in run if each.product] for run in (first, again)]
    assert ids[1][:2] == ids[0]
    assert len(ids[1]) == 3
    assert results(folder, "SN-1") == [Result.BEGUN, Result.MADE]


def test_device_that_was_finished_before_the_ledger_had_it_is_entered(folder: Path) -> None:
    with open_or_make_station(folder) as station:
        (each,) = wanted(folder, ["SN-1"])
        (admitted,) = admit(Ledger(folder), [replace(each, can_fail=True)], "jitp", "LOT")
        made_by_the_cut = produce_without_ledger(station, replace(each, order=admitted.order))
    (piece,) = made(folder, ["SN-1"])
    assert piece.product is not None
    assert piece.product.certificate_id == made_by_the_cut
    assert results(folder, "SN-1") == [Result.BEGUN, Result.MADE]


def produce_without_ledger(station: Station, each: Wanted) -> str | None:
    return maker("jitp", station, [Unreached()])(each.order, each.out).certificate_id


def test_batch_with_the_serial_number_of_another_device_is_refused_before_anything_is_made(
    folder: Path,
) -> None:
    with open_or_make_station(folder) as station:
        (other,) = wanted(folder, ["SN-2"])
        produce("jitp", other, station, [Unreached()])
        with raises(SERIAL_NUMBER_USED, match="SN-2"):
            check_line(line(station), wanted(folder, ["SN-1", "SN-2"]))
    assert not (folder.parent / "SN-1").exists()
    assert results(folder, "SN-1") == []


def test_check_writes_nothing(folder: Path) -> None:
    with open_or_make_station(folder) as station:
        check_line(line(station), wanted(folder, ["SN-1"]))
    assert not (folder / "ledger.jsonl").exists()
    assert not (folder / "ledger.lock").exists()


def test_folder_that_the_ledger_cannot_name_is_refused(folder: Path) -> None:
    (each,) = wanted(folder, ["SN-1"])
    with raises(MACHINE_REFUSED, match="not UTF-8"):
        replace(each, out=Path("e/\udcff"))
