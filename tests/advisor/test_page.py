"""The page has the tables of what was recorded, and a row for each case."""

import json
import re
from pathlib import Path

from advisor.cases import CASES
from scripts._advisor_clients import tables

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "advisor.md").read_text(encoding="utf-8")
RECORD = json.loads((DOCS / "advisor-clients.json").read_text(encoding="utf-8"))
CLIENTS = {"device", "awsiotsdk", "paho-mqtt", "mqtt (npm)", "aws-iot-device-sdk-v2 (npm)"}


def test_the_page_has_the_tables_of_the_record() -> None:
    assert tables(RECORD) in PAGE


def test_each_case_has_a_row_and_the_device_a_verdict_on_each() -> None:
    rows = set(re.findall(r"^\| (\w+) \|", PAGE, re.MULTILINE))
    assert {case.id for case in CASES} <= rows
    assert RECORD["device"]["cases"].keys() == {case.id for case in CASES}


def test_clients_of_others_were_run() -> None:
    assert RECORD.keys() >= CLIENTS
