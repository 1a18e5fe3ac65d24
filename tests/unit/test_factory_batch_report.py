"""A report counts what the ledger says of a batch, in three forms."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from factory.account.cloud import Account
from factory.bulk.journal import new_batch, open_journal
from factory.cli import main
from factory.errors import BATCH_UNKNOWN
from factory.methods.bulk import batch_folder
from factory.station.batch_report import report_of
from factory.station.ledger import Entry, Ledger, Result
from tests.support.errors import raises

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def entry(serial: str, result: Result, later: int = 0, **more: object) -> Entry:
    fields = {"batch": "LOT", "device_id": f"{serial}-id", "method": "jitp", **more}
    return Entry(
        serial_number=serial, at=NOW + timedelta(seconds=later), result=result,
        folder=f"/d/{serial}", **fields,  # type: ignore[arg-type] # fields of an entry
    )  # fmt: skip


ENTRIES = [
    entry("SN-0", Result.MADE, batch="OTHER"),
    *(entry(f"SN-{n}", Result.BEGUN) for n in range(1, 7)),
    entry("SN-1", Result.MADE, 1, seconds=0.1),
    entry("SN-2", Result.MADE, 2, seconds=0.3),
    entry("SN-3", Result.FAILED, 3, error="DiskError", note="the disk is full"),
    entry("SN-4", Result.FAILED, 3, error="DiskError", note="the disk is full"),
    entry("SN-5", Result.FAILED, 4, error="LeafSubjectError", note="no <subject> & \x07"),
    entry("SN-4", Result.BEGUN, 8, device_id="again"),
    entry("SN-4", Result.MADE, 9, device_id="again", seconds=0.2),
    entry("SN-1", Result.RETIRED, 999),
]


def test_yield_times_and_causes_are_counted() -> None:
    report = report_of(ENTRIES, "LOT")
    assert (len(report.devices), report.passed, report.first_pass) == (6, 3, 2)
    assert report.took == timedelta(seconds=9)
    assert list(report.seconds) == [0.1, 0.2, 0.3]
    causes = {error: [d.serial_number for d in found] for error, found in report.causes.items()}
    assert causes == {"DiskError": ["SN-3"], "LeafSubjectError": ["SN-5"], "NotFinished": ["SN-6"]}


def test_json_form() -> None:
    fields = json.loads(json.dumps(report_of(ENTRIES, "LOT").as_fields()))
    assert (fields["yield"], fields["first_pass_yield"], fields["failed"]) == (0.5, 0.3333, 3)
    assert fields["seconds_a_device"] == {"median": 0.2, "longest": 0.3}
    assert fields["failures"][0] == {
        "error": "DiskError", "count": 1, "serials": ["SN-3"], "message": "the disk is full",
    }  # fmt: skip


def test_text_form_names_yield_and_causes() -> None:
    text = "\n".join(report_of(ENTRIES, "LOT").as_lines())
    assert "3 of 6 PASS (50.0%), 2 at the first attempt" in text
    assert "1 FAIL DiskError: SN-3" in text


def test_junit_form_is_xml_whatever_is_in_the_notes() -> None:
    suite = ET.fromstring(report_of(ENTRIES, "LOT").as_junit())  # noqa: S314 - our own
    assert (suite.get("tests"), suite.get("failures")) == ("6", "3")
    cases = {each.get("name"): each for each in suite}
    failure = cases["SN-5"].find("failure")
    assert failure is not None
    assert (failure.get("type"), failure.get("message")) == ("LeafSubjectError", "no <subject> &  ")
    assert cases["SN-1"].find("failure") is None


def test_what_aws_refused_in_a_bulk_batch_is_the_cause(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = Ledger(tmp_path)
    with ledger.locked():
        ledger.append(entry("SN-1", Result.BEGUN, method="bulk"))
    batch = new_batch("LOT", Account("123456789012", "eu-central-1"), {"SN-1": tmp_path / "d"})
    batch.lines[0].fail("the template is wrong", "")
    with open_journal(batch_folder(tmp_path, "LOT")) as journal:
        journal.save(batch)
    assert main(["report", "LOT", "--station", str(tmp_path), "--json"]) == 0
    (failure,) = json.loads(capsys.readouterr().out)["failures"]
    assert (failure["error"], failure["message"]) == ("NotRegistered", "the template is wrong")


def test_batch_that_is_not_there_is_said() -> None:
    with raises(BATCH_UNKNOWN, match="NONE"):
        report_of(ENTRIES, "NONE")
