"""The ledger: one serial number, one device, whatever is cut, torn, or done at the same time."""

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from device.errors.storage import StorageError
from factory.account.cloud import Account
from factory.errors import (
    AUTHORITY_MISSING,
    DEVICE_ID,
    LEDGER,
    REPLACED_MEANWHILE,
    SERIAL_NUMBER_USED,
    StationError,
)
from factory.making.admission import Admitted, Made, Wanted, admit, decide
from factory.making.new_device import DeviceOrder, new_device_id
from factory.station.ledger import Entry, Ledger, Result, holders, read_contents
from tests.support import hang
from tests.support.errors import raises

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FILE = Path("ledger.jsonl")


def order(serial: str = "SN-1", device_id: str = "") -> DeviceOrder:
    return DeviceOrder(serial, device_id or new_device_id(), "localhost:8883", b"a CA")


def ledger(folder: Path) -> Ledger:
    return Ledger(folder, lambda: NOW)


def begin(
    folder: Path, out: str = "d", *, again: bool = False, completes: bool = False
) -> Admitted:
    wanted = Wanted(order(), folder / out, again=again, completes=completes, can_fail=True)
    (admitted,) = admit(ledger(folder), [wanted], "claim")
    return admitted


def results(folder: Path) -> list[str]:
    return [each.result.value for each in ledger(folder).entries()]


@pytest.mark.parametrize("is_emptied", [True, False])
def test_ledger_that_is_gone_is_not_begun_anew(tmp_path: Path, is_emptied: bool) -> None:
    begin(tmp_path)
    ledger(tmp_path).file.unlink()
    if is_emptied:
        ledger(tmp_path).file.touch()

    with raises(LEDGER, match="is gone, or empty"):
        begin(tmp_path, "other")

    (tmp_path / "ledger.lock").unlink()  # as the next step says
    ledger(tmp_path).file.unlink(missing_ok=True)
    begin(tmp_path, "other")
    assert results(tmp_path) == ["begun"]


def test_ledger_without_an_end_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(ledger(tmp_path).file)
    with raises(LEDGER, match="not a regular file"):
        begin(tmp_path)


def test_a_long_ledger_is_nothing_that_the_garbage_collector_walks_through() -> None:
    assert not gc.is_tracked(entry("1"))


def test_line_has_what_is_to_be_known_of_a_device(tmp_path: Path) -> None:
    admitted = begin(tmp_path)
    admitted.made(Made(admitted.order.device_id, "c0ffee", ("123456789012:eu-central-1",)))
    begun, made = ledger(tmp_path).entries()
    assert (begun.result, made.result) == (Result.BEGUN, Result.MADE)
    assert (made.serial_number, made.device_id) == ("SN-1", admitted.order.device_id)
    assert (made.at, made.method, made.batch) == (NOW, "claim", None)
    assert (made.certificate_id, made.accounts) == ("c0ffee", ("123456789012:eu-central-1",))
    assert made.folder == str(tmp_path / "d")


def test_keys_of_a_line_are_those_that_the_command_line_prints(tmp_path: Path) -> None:
    begin(tmp_path)
    line = (tmp_path / "ledger.jsonl").read_text()
    assert line.startswith('{"serial":"SN-1","device_id":"')
    for key in ("when", "method", "batch", "result", "state"):
        assert f'"{key}":' in line


def test_ledger_is_for_its_owner_alone(tmp_path: Path) -> None:
    begin(tmp_path)
    assert (tmp_path / "ledger.jsonl").stat().st_mode & 0o077 == 0


def test_second_device_is_refused_with_the_first_one_named(tmp_path: Path) -> None:
    first = begin(tmp_path, "one")
    first.made(Made(first.order.device_id))
    with raises(SERIAL_NUMBER_USED) as raised:
        begin(tmp_path, "two")
    assert first.order.device_id in str(raised.value)
    assert str(tmp_path / "one") in str(raised.value)
    assert "2026-03-01 12:00:00 UTC" in str(raised.value)
    assert results(tmp_path) == ["begun", "made"]


def test_second_device_in_the_same_folder_is_refused_too(tmp_path: Path) -> None:
    first = begin(tmp_path)
    first.made(Made(first.order.device_id))
    with raises(SERIAL_NUMBER_USED):
        begin(tmp_path)


def test_interrupted_make_is_resumed_with_its_device_id(tmp_path: Path) -> None:
    cut = begin(tmp_path)
    again = begin(tmp_path)
    assert again.is_resumed
    assert again.order.device_id == cut.order.device_id
    assert results(tmp_path) == ["begun"]


def test_device_that_was_begun_elsewhere_is_named_with_its_folder(tmp_path: Path) -> None:
    begin(tmp_path, "one")
    with raises(SERIAL_NUMBER_USED) as raised:
        begin(tmp_path, "two")
    assert f"--out {tmp_path / 'one'}" in raised.value.next_step


def test_given_device_id_takes_the_place_of_that_of_an_interrupted_make(tmp_path: Path) -> None:
    begin(tmp_path)
    chosen = DeviceOrder("SN-1", "f" * 32, "h:1", b"", is_id_given=True)
    (admitted,) = admit(ledger(tmp_path), [Wanted(chosen, tmp_path / "d")], "claim")
    assert admitted.order.device_id == "f" * 32
    held = holders(ledger(tmp_path).entries(), "SN-1")
    assert [each.device_id for each in held] == ["f" * 32]


def test_device_id_of_another_device_is_refused(tmp_path: Path) -> None:
    first = begin(tmp_path)
    other = Wanted(order("SN-2", first.order.device_id), tmp_path / "e")
    with raises(DEVICE_ID, match=first.order.device_id):
        admit(ledger(tmp_path), [other], "claim")


def test_finished_device_is_completed_where_its_method_registers_it(tmp_path: Path) -> None:
    first = begin(tmp_path)
    first.made(Made(first.order.device_id))
    second = begin(tmp_path, completes=True)
    assert second.order.device_id == first.order.device_id
    assert second.is_entered_as_made


def test_again_names_the_former_device_and_keeps_its_lines(tmp_path: Path) -> None:
    first = begin(tmp_path, "one")
    first.made(Made(first.order.device_id, "c0ffee"))
    before = (tmp_path / "ledger.jsonl").read_bytes()
    second = begin(tmp_path, "two", again=True)
    (former,) = second.former
    second.retired(former, "its certificate is off")
    second.made(Made(second.order.device_id))
    assert (former.device_id, former.certificate_id) == (first.order.device_id, "c0ffee")
    assert (tmp_path / "ledger.jsonl").read_bytes().startswith(before)
    assert results(tmp_path) == ["begun", "made", "begun", "retired", "made"]


def test_again_that_was_cut_retires_the_former_device_when_it_is_resumed(tmp_path: Path) -> None:
    first = begin(tmp_path, "one")
    first.made(Made(first.order.device_id))
    begin(tmp_path, "two", again=True)
    resumed = begin(tmp_path, "two")
    assert [each.device_id for each in resumed.former] == [first.order.device_id]


def test_device_that_was_replaced_while_it_was_made_does_not_count(tmp_path: Path) -> None:
    slow = begin(tmp_path, "one")
    fast = begin(tmp_path, "two", again=True)
    for former in fast.former:
        fast.retired(former, "")
    fast.made(Made(fast.order.device_id))
    with raises(REPLACED_MEANWHILE):
        slow.made(Made(slow.order.device_id))
    held = holders(ledger(tmp_path).entries(), "SN-1")
    assert [each.device_id for each in held] == [fast.order.device_id]


def test_failed_make_gives_the_serial_number_back(tmp_path: Path) -> None:
    with pytest.raises(StationError), begin(tmp_path, "one"):
        raise AUTHORITY_MISSING.error("no CA")
    assert not begin(tmp_path, "two").is_resumed
    assert results(tmp_path) == ["begun", "failed", "begun"]


def test_failed_make_of_which_aws_may_know_keeps_it(tmp_path: Path) -> None:
    wanted = Wanted(order(), tmp_path / "one", can_fail=False)
    (admitted,) = admit(ledger(tmp_path), [wanted], "bulk")
    with pytest.raises(StationError), admitted:
        raise AUTHORITY_MISSING.error("no answer")
    assert results(tmp_path) == ["begun"]


def test_failed_completion_does_not_unmake_a_device(tmp_path: Path) -> None:
    first = begin(tmp_path)
    first.made(Made(first.order.device_id))
    with pytest.raises(StationError), begin(tmp_path, completes=True):
        raise AUTHORITY_MISSING.error("no answer")
    assert results(tmp_path) == ["begun", "made"]


def test_batch_is_begun_whole_or_not_at_all(tmp_path: Path) -> None:
    first = begin(tmp_path, "one")
    first.made(Made(first.order.device_id))
    batch = [Wanted(order(serial), tmp_path / serial) for serial in ("SN-0", "SN-1")]
    with raises(SERIAL_NUMBER_USED, match="SN-1"):
        admit(ledger(tmp_path), batch, "bulk", "lot")
    assert results(tmp_path) == ["begun", "made"]


def test_of_many_at_the_same_time_one_wins(tmp_path: Path) -> None:
    won: list[str] = []
    start = threading.Barrier(8)

    def one(out: str) -> None:
        start.wait(hang.SECONDS)
        try:
            begin(tmp_path, out)
        except StationError as error:
            assert error.row is SERIAL_NUMBER_USED  # noqa: PT017 - or it wins
            return
        won.append(out)

    threads = [threading.Thread(target=one, args=(f"d{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    hang.join(*threads)
    assert len(won) == 1


def entry(device_id: str, result: Result = Result.BEGUN, serial: str = "SN-1") -> Entry:
    return Entry(
        serial_number=serial, device_id=device_id, at=NOW, method="claim", batch=None,
        result=result, folder=f"/d/{device_id}",
    )  # fmt: skip


def written(folder: Path, *entries: Entry) -> bytes:
    book = ledger(folder)
    with book.locked():
        book.append(*entries)
    return book.file.read_bytes()


@given(st.integers(min_value=1))
def test_last_line_that_was_cut_short_counts_for_nothing_and_is_named(kept: int) -> None:
    whole = b'{"serial":"SN-1","device_id":"a","when":"2026-03-01T12:00:00Z","method":"claim",'
    whole += b'"batch":null,"result":"begun","state":"/d"}'
    cut = whole[: 1 + kept % (len(whole) - 1)]
    contents = read_contents(whole + b"\n" + cut, FILE)
    assert [each.device_id for each in contents.entries] == ["a"]
    assert contents.torn_line == 2


def test_ledger_that_was_torn_is_written_on_and_nothing_in_it_is_changed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    written(tmp_path, entry("a"))
    book = ledger(tmp_path)
    with book.file.open("ab") as file:
        file.write(b'{"serial":"SN-1","devi')
    torn = book.file.read_bytes()
    assert [each.device_id for each in book.entries()] == ["a"]
    assert "line 2 is incomplete" in caplog.text
    written(tmp_path, entry("b"))
    caplog.clear()
    assert [each.device_id for each in book.entries()] == ["a", "b"]
    assert caplog.text == ""
    assert book.file.read_bytes().startswith(torn)


def test_whole_last_line_that_lacks_only_its_end_counts(tmp_path: Path) -> None:
    content = written(tmp_path, entry("a"))
    (tmp_path / "ledger.jsonl").write_bytes(content.rstrip(b"\n"))
    written(tmp_path, entry("b"))
    assert [each.device_id for each in ledger(tmp_path).entries()] == ["a", "b"]


@pytest.mark.parametrize("line", [b"garbage", b"{}", b"\xff", b"[" * 5000, b'{"serial":1}'])
def test_line_in_the_middle_that_is_not_the_stations_is_an_error(
    line: bytes, tmp_path: Path
) -> None:
    content = written(tmp_path, entry("a"))
    (tmp_path / "ledger.jsonl").write_bytes(line + b"\n" + content)
    with raises(LEDGER, match="line 1"):
        begin(tmp_path)


@pytest.mark.parametrize("byte", [0x00, 0x22, 0x5B, 0x80, 0xFF])
def test_ledger_with_one_byte_changed_anywhere_is_read_or_refused(byte: int) -> None:
    """Never by an exception of a library, such as the one for what is not UTF-8."""
    content = written_line()
    refused = 0
    for position in range(len(content) - 1):
        changed = content[:position] + bytes([byte]) + content[position + 1 :]
        try:
            read_contents(changed + content, Path("ledger.jsonl"))
        except StationError as error:
            refused += error.row is LEDGER
    assert refused


def written_line() -> bytes:
    return msgspec.json.encode(entry("0" * 32)) + b"\n"


def test_account_and_region_are_one_word() -> None:
    assert Account("123456789012", "eu-central-1").words == "123456789012:eu-central-1"


@pytest.mark.parametrize(
    ("last", "is_held"),
    [(Result.BEGUN, True), (Result.MADE, True), (Result.FAILED, False), (Result.RETIRED, False)],
)
def test_serial_number_is_held_by_what_is_begun_or_made(last: Result, is_held: bool) -> None:
    assert bool(holders([entry("a"), entry("a", last)], "SN-1")) is is_held


class Line(RuleBasedStateMachine):
    """Makes, cuts, failures and replacements of one serial number, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[Entry] = []
        self.made: list[str] = []

    def _enter(self, device_id: str, result: Result, folder: str) -> None:
        self.entries.append(
            Entry(serial_number="SN-1", device_id=device_id, at=NOW, method="claim", batch=None,
                  result=result, folder=folder)
        )  # fmt: skip

    @rule(
        out=st.sampled_from(["/a", "/b", "/c"]),
        again=st.booleans(),
        end=st.sampled_from([Result.MADE, Result.FAILED, None]),
    )
    def make(self, out: str, again: bool, end: Result | None) -> None:
        wanted = Wanted(order(), Path(out), again=again)
        before = holders(self.entries, "SN-1")
        try:
            admission = decide(self.entries, wanted)
        except StationError as error:
            assert error.row is SERIAL_NUMBER_USED  # noqa: PT017 - or it is admitted
            assert before, "a free serial number was refused"
            assert not again, "what is replaced on purpose was refused"
            return
        device_id = admission.order.device_id
        if admission.own is None:
            self._enter(device_id, Result.BEGUN, out)
        for former in admission.former:
            self._enter(former.device_id, Result.RETIRED, former.folder)
        if end is not None:
            self._enter(device_id, end, out)

    @invariant()
    def one_device_at_most_has_the_serial_number(self) -> None:
        assert len(holders(self.entries, "SN-1")) <= 1


TestLine: Callable[..., object] = Line.TestCase


def test_line_is_durable_before_anybody_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, bytes]] = []
    real = os.fsync

    def watched(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append((path.name, path.read_bytes() if path.is_file() else b""))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    written(tmp_path / "station", entry("a"))
    content = (tmp_path / "station" / "ledger.jsonl").read_bytes()
    assert ("ledger.jsonl", content) in synced
    assert synced.index(("ledger.jsonl", content)) < synced.index(("station", b""))


def test_device_is_not_called_made_if_the_line_cannot_be_written(tmp_path: Path) -> None:
    admitted = begin(tmp_path)
    (tmp_path / "ledger.jsonl").unlink()
    (tmp_path / "ledger.jsonl").mkdir()
    with pytest.raises(StorageError):
        admitted.made(Made(admitted.order.device_id))


def test_completed_device_is_replaced_on_purpose_all_the_same(tmp_path: Path) -> None:
    first = begin(tmp_path)
    first.made(Made(first.order.device_id))
    second = begin(tmp_path, completes=True, again=True)
    assert [each.device_id for each in second.former] == [first.order.device_id]
    assert second.order.device_id != first.order.device_id


def test_view_keeps_what_concerns_it_and_reads_only_what_was_added(tmp_path: Path) -> None:
    written(tmp_path, *(entry(f"{n}", serial=f"SN-{n}") for n in range(5000)))
    view = ledger(tmp_path).view({"SN-7"}, {"8"})
    view.refresh()
    assert [each.device_id for each in view.of_serial_number("SN-7")] == ["7"]
    assert [each.serial_number for each in view.of_device_id("8")] == ["SN-8"]
    assert view.of_serial_number("SN-9") == ()
    size = ledger(tmp_path).file.stat().st_size
    written(tmp_path, entry("x", serial="SN-7"))
    with ledger(tmp_path).file.open("r+b") as file:
        file.write(b"?" * size)  # whoever read it again would say that it is not the station's
    view.refresh()
    assert [each.device_id for each in view.of_serial_number("SN-7")] == ["7", "x"]


@pytest.mark.parametrize("torn", [b'{"serial":"SN-1","devi', b""])
def test_view_and_ledger_agree_wherever_a_block_ends(torn: bytes, tmp_path: Path) -> None:
    written(tmp_path, *(entry(f"{n}", serial=f"SN-{n}") for n in range(8000)))
    book, view = ledger(tmp_path), ledger(tmp_path).view({"SN-1", "SN-7999"}, set())
    with book.file.open("ab") as file:
        file.write(torn)
    view.refresh()
    written(tmp_path, entry("late"))
    view.refresh()
    view.refresh()
    of_one = [each for each in book.entries() if each.serial_number == "SN-1"]
    assert list(view.of_serial_number("SN-1")) == of_one
    assert len(view.of_serial_number("SN-7999")) == 1


def test_ledger_that_lost_lines_while_it_was_looked_at_is_not_believed(tmp_path: Path) -> None:
    written(tmp_path, entry("a"), entry("b"))
    view = ledger(tmp_path).view({"SN-1"}, set())
    view.refresh()
    content = ledger(tmp_path).file.read_bytes()
    ledger(tmp_path).file.write_bytes(content.splitlines(keepends=True)[0])
    with raises(LEDGER, match="lines of it are gone"):
        view.refresh()


def test_line_of_a_view_that_is_not_the_stations_is_named_by_its_number(tmp_path: Path) -> None:
    written(tmp_path, *(entry(f"{n}", serial=f"SN-{n}") for n in range(8000)))
    with ledger(tmp_path).file.open("ab") as file:
        file.write(b"garbage\n")
    with raises(LEDGER, match="line 8001 "):
        ledger(tmp_path).view({"SN-1"}, set()).refresh()


def test_appending_reads_the_end_of_the_ledger_alone(tmp_path: Path) -> None:
    written(tmp_path, entry("a"))
    with ledger(tmp_path).file.open("r+b") as file:
        file.write(b"?")  # the first line is now nobody's, and is not looked at
    written(tmp_path, entry("b"))
    assert ledger(tmp_path).file.read_bytes().count(b"\n") == 2


@pytest.mark.parametrize("cut", range(0, 400, 37))
def test_append_that_was_cut_at_any_byte_is_followed_by_whole_lines(
    cut: int, tmp_path: Path
) -> None:
    written(tmp_path, entry("a"))
    before = ledger(tmp_path).file.stat().st_size
    content = written(tmp_path, entry("b"), entry("c"))
    kept = content[: min(before + cut, len(content))]
    ledger(tmp_path).file.write_bytes(kept)
    written(tmp_path, entry("d"))
    after = ledger(tmp_path).file.read_bytes()
    assert after.startswith(kept)
    found = [each.device_id for each in ledger(tmp_path).entries()]
    assert (found[0], found[-1]) == ("a", "d")
    assert found[1:-1] == ["b", "c"][: len(found) - 2]


def test_stations_in_several_processes_write_whole_lines(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]);"
        "from tests.unit.test_factory_ledger import entry, written;"
        "[written(Path(sys.argv[2]), entry(f'{sys.argv[3]}-{n}')) for n in range(20)]"
    )
    root = str(Path(__file__).parents[2])
    processes = [
        subprocess.Popen([sys.executable, "-c", program, root, str(tmp_path), each])
        for each in ("p", "q")
    ]
    assert [each.wait(hang.SECONDS) for each in processes] == [0, 0]
    found = [each.device_id for each in ledger(tmp_path).entries()]
    assert sorted(found) == sorted(f"{each}-{n}" for each in "pq" for n in range(20))


def test_line_longer_than_a_block_is_not_the_stations(tmp_path: Path) -> None:
    written(tmp_path, entry("a"))
    with ledger(tmp_path).file.open("ab") as file:
        file.write(b"?" * (3 << 20))
    with raises(LEDGER, match="line 2 "):
        ledger(tmp_path).view({"SN-1"}, set()).refresh()
