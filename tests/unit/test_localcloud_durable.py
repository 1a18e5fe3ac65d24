"""What is noted, what the journal says, and what the next start makes of it."""

import asyncio
import copy
import json
import os
import resource
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localcloud.durable.journal import Change, Journal, read
from localcloud.durable.state_files import StateFiles
from localcloud.durable.watched import BACKGROUND, Store, Watched, Work, current, working
from localcloud.errors import STATE_FOLDER
from localcloud.gaps._support.scopes import found_in_any_scope
from tests.support.errors import raises
from tests.support.hang import join

THINGS = Store("iot", "things")
WHOLE = Store("lambda", None)


def noted(work: Work) -> set[Any]:
    return {key for _records, key in work.records}


@pytest.fixture(autouse=True)
def nothing_in_the_background() -> None:
    BACKGROUND.records.clear()
    BACKGROUND.is_changed = False


# --- what a piece of work looked at or changed ---------------------------------------

READS: dict[str, Any] = {
    "[]": lambda d: d["a"],
    "get": lambda d: d.get("a"),
}
READS_OF_ALL: dict[str, Any] = {
    "values": lambda d: list(d.values()),
    "items": lambda d: list(d.items()),
}
CHANGES: dict[str, Any] = {
    "set": lambda d: d.__setitem__("a", {"n": 2}),
    "del": lambda d: d.__delitem__("a"),
    "pop": lambda d: d.pop("a"),
    "popitem": lambda d: d.popitem(),
    "setdefault": lambda d: d.setdefault("a", {}),
    "update": lambda d: d.update({"a": {"n": 2}}),
    "clear": lambda d: d.clear(),
}


@pytest.mark.parametrize("read_one", READS.values(), ids=READS)
def test_a_record_that_was_handed_out_is_noted(read_one: Any) -> None:
    with working(alters=False) as work:
        read_one(Watched(THINGS, {"a": {"n": 1}}))
    assert noted(work) == {"a"}
    assert not work.is_changed


@pytest.mark.parametrize("read_all", READS_OF_ALL.values(), ids=READS_OF_ALL)
@pytest.mark.parametrize("alters", [True, False])
def test_every_record_is_noted_for_who_alters_something(read_all: Any, *, alters: bool) -> None:
    with working(alters=alters) as work:
        read_all(Watched(THINGS, {"a": {"n": 1}, "b": {"n": 1}}))
    assert noted(work) == ({"a", "b"} if alters else set())


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_is_noted(change: Any) -> None:
    with working(alters=False) as work:
        change(Watched(THINGS, {"a": {"n": 1}}))
    assert noted(work) == {"a"}
    assert work.is_changed


def test_a_look_at_what_is_saved_whole_counts_for_who_alters_something() -> None:
    for alters in (True, False):
        with working(alters=alters) as work:
            Watched(WHOLE, {"a": {}}).get("a")
        assert noted(work) == ({"a"} if alters else set())


KEYS = st.tuples(st.sampled_from("AB"), st.sampled_from(["eu", "us"]), st.sampled_from("xyz"))


@given(
    first=st.dictionaries(KEYS, st.just({})),
    changes=st.lists(st.tuples(st.sampled_from(["put", "keep", "take"]), KEYS)),
)
def test_a_record_is_found_by_its_key_in_every_scope(
    first: dict[Any, Any], changes: list[tuple[str, Any]]
) -> None:
    kept, plain = SimpleNamespace(_data=Watched(Store("iot", "s"), first)), {**first}
    for what, key in changes:
        for records in (kept._data, plain):
            match what:
                case "put":
                    records[key] = {}
                case "keep":
                    records.setdefault(key, {})
                case "take":
                    records.pop(key, None)
    for store in (kept, SimpleNamespace(_data=plain)):
        found = {(account, region) for account, region, _ in found_in_any_scope(store, "x")}
        assert found == {key[:2] for key in plain if key[2] == "x"}


def test_who_looks_for_one_record_is_handed_no_other() -> None:
    records: dict[Any, Any] = {("A", "eu", str(number)): {} for number in range(100)}
    with working(alters=True) as work:
        found_in_any_scope(SimpleNamespace(_data=Watched(Store("iot", "s"), records)), "7")
    assert [key for _, key in work.records] == [("A", "eu", "7")]


def test_works_are_told_apart_and_a_thread_goes_on_with_its_own() -> None:
    records = Watched(THINGS, {"a": {}, "b": {}})

    async def one(key: str) -> set[Any]:
        with working(alters=True) as work:
            await asyncio.sleep(0)
            await asyncio.to_thread(records.get, key)
        return noted(work)

    async def both() -> list[set[Any]]:
        return list(await asyncio.gather(one("a"), one("b")))

    assert asyncio.run(both()) == [{"a"}, {"b"}]


def test_what_outlives_its_work_is_the_backgrounds() -> None:
    records = Watched(THINGS, {})

    async def late() -> None:
        with working(alters=True):
            task = asyncio.create_task(asyncio.to_thread(records.__setitem__, "a", {}))
        await task

    asyncio.run(late())
    assert (noted(BACKGROUND), BACKGROUND.is_changed) == ({"a"}, True)


def test_a_thread_of_nobody_is_the_backgrounds() -> None:
    thread = threading.Thread(target=lambda: current().note(Watched(THINGS, {}), "a"))
    thread.start()
    join(thread)
    assert noted(BACKGROUND) == {"a"}


def test_a_copy_is_a_plain_one_and_notes_nothing() -> None:
    records = Watched(THINGS, {"a": {"n": [1]}})
    with working(alters=True) as work:
        copied = copy.deepcopy(records)
        copied["a"]["n"].append(2)
        copied["b"] = {}
    assert (type(copied), noted(work)) == (dict, set())
    assert dict(records) == {"a": {"n": [1]}}


# --- the journal and the next start --------------------------------------------------


def encode(value: object) -> object:
    return {"__bytes__": bytes(value).hex()} if isinstance(value, bytes) else repr(value)


def files_of(folder: Path) -> StateFiles:
    return StateFiles(folder, encode, lambda _service: 7)


def key(name: str) -> tuple[str, str, str]:
    return ("000000000000", "us-east-1", name)


def record_of(folder: Path, name: str) -> Any:
    document = json.loads((folder / "iot.json").read_bytes())
    return document["payload"]["things"]["data"].get(f"000000000000\0us-east-1\0{name!r}")


def test_a_change_is_there_after_the_next_start(tmp_path: Path) -> None:
    files = files_of(tmp_path)
    files.save("iot", {"things": {}, "ca": {"pem": "x"}})
    journal = Journal(files.journal, encode)
    journal.append(journal.line(Change("iot", "things", key("a"), {"n": 1, "raw": b"\xff"})))
    journal.append(journal.line(Change("iot", "things", key("b"), {"n": 1})))
    journal.append(journal.line(Change("iot", "things", key("b"), None, is_gone=True)))
    journal.append(journal.line(Change("iot", "broker", None, {"retained": []})))
    journal.close()
    files.recover()
    payload = json.loads((tmp_path / "iot.json").read_bytes())["payload"]
    assert record_of(tmp_path, "a") == {"n": 1, "raw": {"__bytes__": "ff"}}
    assert record_of(tmp_path, "b") is None
    assert (payload["ca"], payload["broker"]) == ({"pem": "x"}, {"retained": []})
    assert not files.journal.exists()


def test_a_service_that_was_never_saved_is_recovered_in_the_right_format(tmp_path: Path) -> None:
    journal = Journal(files_of(tmp_path).journal, encode)
    journal.append(journal.line(Change("iam", "roles", ("000000000000", "r"), {"n": 1})))
    journal.close()
    files_of(tmp_path).recover()
    assert json.loads((tmp_path / "iam.json").read_bytes()) == {
        "__ministack_format__": 7,
        "payload": {"roles": {"__scoped__": True, "data": {"000000000000\0'r'": {"n": 1}}}},
    }


names = st.sampled_from(["a", "b", "c\0\n'"])
writes = st.lists(
    st.lists(st.tuples(names, st.none() | st.integers()), min_size=1, max_size=3), max_size=8
)


@settings(max_examples=60)
@given(writes=writes, data=st.data())
def test_wherever_the_kill_cuts_the_journal_all_that_was_written_whole_is_there(
    tmp_path_factory: pytest.TempPathFactory, writes: list[Any], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("state")
    files = files_of(folder)
    files.save("iot", {"things": {"__account_region_scoped__": True, "data": {}}})
    journal = Journal(files.journal, encode)
    after: list[tuple[int, dict[str, int | None]]] = [(0, {})]
    for group in writes:
        for name, value in group:
            change = Change("iot", "things", key(name), value, is_gone=value is None)
            journal.append(journal.line(change))
            after.append((journal.size, {**after[-1][1], name: value}))
    journal.close()
    cut = data.draw(st.integers(0, after[-1][0]))
    os.truncate(files.journal, cut)
    files.recover()
    expected = [state for size, state in after if size <= cut][-1]
    assert {name: record_of(folder, name) for name in expected} == expected


def test_a_recovery_that_is_cut_short_is_done_again(tmp_path: Path) -> None:
    files = files_of(tmp_path)
    journal = Journal(files.journal, encode)
    journal.append(journal.line(Change("iot", "things", key("a"), {"n": 1})))
    journal.close()
    content = files.journal.read_bytes()
    files.recover()
    files.journal.write_bytes(content)  # killed before it was removed
    files.recover()
    assert record_of(tmp_path, "a") == {"n": 1}


@pytest.mark.parametrize("tail", [b"{", b'{"service"', b"\xff\xfe\n", b"null\n"])
def test_half_a_line_ends_it(tmp_path: Path, tail: bytes) -> None:
    journal = Journal(tmp_path / "journal", encode)
    journal.append(journal.line(Change("iot", "things", key("a"), 1)) + tail)
    journal.close()
    assert [change["value"] for change in read(tmp_path / "journal")] == [1]


@pytest.mark.parametrize("content", [b"", b'{"payl', b"\xff\x00", b"[]", b"{}", b"[" * 100_000])
def test_a_file_that_is_not_what_was_saved_is_no_empty_cloud(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "iot.json").write_bytes(content)

    with raises(STATE_FOLDER, match=r"iot.json is not what was saved"):
        files_of(tmp_path).recover()

    assert (tmp_path / "iot.json").read_bytes() == content


def test_the_journal_is_for_its_owner_only(tmp_path: Path) -> None:
    Journal(tmp_path / "journal", encode).close()
    assert (tmp_path / "journal").stat().st_mode & 0o077 == 0


def test_a_full_disk_is_an_error_and_no_half_line(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", encode)
    journal.append(b'{"first": "line"}\n')
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (journal.size + 3, usual[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            journal.append(b'{"second": "line"}\n')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    journal.close()
    assert (tmp_path / "journal").read_bytes() == b'{"first": "line"}\n'


def test_what_is_there_already_is_not_written_again(tmp_path: Path) -> None:
    files = files_of(tmp_path)
    files.save("iot", {"things": 1})
    written = (tmp_path / "iot.json").stat().st_ino
    files.save("iot", {"things": 1})
    assert (tmp_path / "iot.json").stat().st_ino == written
    assert files.size == (tmp_path / "iot.json").stat().st_size
    files.forget()
    files.save("iot", {"things": 1})
    assert (tmp_path / "iot.json").stat().st_ino != written
