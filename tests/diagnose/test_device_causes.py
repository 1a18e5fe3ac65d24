"""Does doctor name each planted cause first or second, and does a healthy device get no word?"""

from pathlib import Path

import pytest

from device.doctor.examination import CHECKS
from device.doctor.finding import Result
from tests.diagnose.bench import Bench, Cause, Patient, bad
from tests.diagnose.device_causes import DEVICE_CAUSES, broker
from tests.diagnose.table import AGAIN, PAGE, device_row


@pytest.mark.parametrize("cause", DEVICE_CAUSES, ids=lambda cause: cause.name)
def test_doctor_names_it_first_or_second(cause: Cause, tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        found = bad(cause.plant(bench).examined())

    named = [
        each
        for each in found[:2]
        if each.check == cause.check
        and each.code.startswith(cause.code)
        and cause.words in f"{each.evidence} {each.cause}"
    ]
    assert len(named) == 1, found
    assert device_row(cause, found) in PAGE.read_text().splitlines(), AGAIN


def test_a_healthy_device_passes_every_check(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        findings = Patient(bench.device(bench.server(broker()))).examined()

    assert [each.check for each in findings] == [name for name, _ in CHECKS]
    assert bad(findings) == []
    last = [each.check for each in findings if each.result is Result.OK][-3:]
    assert last == ["CONNECT", "publish", "client id"]
