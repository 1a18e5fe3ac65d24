"""``device run`` itself as the client under test: no case fails but one that is known."""

import json
import sys
from pathlib import Path

import pytest

from advisor.case import Case, Given, Verdict
from advisor.cases import CASES
from advisor.client import command
from advisor.run import run_all

ROOT = Path(__file__).parents[2]
POLICY = ROOT / "config" / "policies" / "firstboot-device.json"
GIVEN = Given(
    policies=(json.loads(POLICY.read_text(encoding="utf-8")),),
    desired={"settings": {"telemetry": {"interval": 2}}},
    job={"operation": "collect-diagnostics"},
    template="firstboot-claim",
    soak_seconds=20.0,
)
KNOWN = {"T12"}
"""awscrt takes a key of 1024 bits if a CA that it trusts issued the certificate."""
QUICK = ("TLS_Connect", "MQTT_Persistent_Session_Happy_Case", "P1")
"""Some of all kinds, for each run of the suite."""


def failures(cases: list[Case], at_once: int) -> dict[str, str]:
    start = command((sys.executable, "-m", "tests.advisor.device_under_test"))
    return {
        outcome.case.id: outcome.finding.seen
        for outcome in run_all(cases, start, GIVEN, at_once=at_once)
        if outcome.finding.verdict in {Verdict.FAIL, Verdict.NOT_RUN}
    }


def test_the_device_passes_some_of_each_kind() -> None:
    assert failures([case for case in CASES if case.id in QUICK], at_once=3) == {}


@pytest.mark.long
def test_the_device_passes_all_cases() -> None:
    assert failures(list(CASES), at_once=8).keys() == KNOWN
