"""A claim per batch: rotation leaves the running batch on, expiry turns one batch's claim off."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from device.errors import ExitCode
from factory.account.certificates import attached_certificates, describe_certificate
from factory.methods.claim import CLAIM_POLICY
from factory.methods.named_claims import expire_due_claims, new_claim
from factory.station.station import open_station
from tests.support.production_line import ProductionLine, production_line
from tests.support.station_cloud import CutCloud, PowerCutError
from tests.wire.conftest import LocalCloud

pytestmark = pytest.mark.wire

ACCOUNT = "339987654321"


@pytest.fixture
def line(local_cloud: LocalCloud, tmp_path: Path) -> Iterator[ProductionLine]:
    with production_line(local_cloud, ACCOUNT, tmp_path / "line", "claim") as line:
        assert line.prepare().code == 0
        yield line


def make(line: ProductionLine, state: Path, batch: str) -> Path:
    where = ("--serial", state.name, "--out", str(state.parent), "--batch", batch)
    made = line.run("make", "--method", "claim", *where)
    assert made.code == 0, made.err
    return state


def test_batch_keeps_its_claim_while_the_next_has_another(
    line: ProductionLine, tmp_path: Path
) -> None:
    for batch in ("LOT-1", "LOT-2"):
        assert line.run("claim", "new", "--name", batch, "--days", "7").code == 0
    one, late = make(line, tmp_path / "A", "LOT-1"), make(line, tmp_path / "B", "LOT-1")
    two = make(line, tmp_path / "C", "LOT-2")
    assert line.boot(one).code == 0

    expired = line.run("claim", "expire", "--name", "LOT-1", "--json")

    assert expired.code == 0, expired.err
    gone = json.loads(expired.out)
    assert gone["state"] == "off"
    assert describe_certificate(line.aws, gone["certificate_id"])["status"] == "INACTIVE"
    assert line.boot(late).code == ExitCode.DENIED
    assert line.boot(two).code == 0
    refused = line.run(
        "make", "--method", "claim", "--serial", "D", "--batch", "LOT-1", "--out", tmp_path
    )
    assert refused.code == ExitCode.FAILED
    assert "claim LOT-1 is off" in refused.err


def test_claims_whose_time_is_over_are_turned_off_and_no_others(line: ProductionLine) -> None:
    began = datetime.now(UTC) - timedelta(days=3)
    with open_station(line.station) as station:
        new_claim(line.aws, station, "OLD", timedelta(days=2), lambda: began)
        new_claim(line.aws, station, "NEW", timedelta(days=5), lambda: began)
        assert expire_due_claims(line.aws, station) == ["OLD"]
        assert expire_due_claims(line.aws, station) == []
        on = {each.name: each.certificate_id for each in station.named_claims if not each.is_off}
    assert on.keys() == {"NEW"}
    assert describe_certificate(line.aws, str(on["NEW"]))["status"] == "ACTIVE"


@pytest.mark.parametrize("reply_lost", [True, False])
def test_claim_that_was_cut_anywhere_is_completed_without_a_second_certificate(
    line: ProductionLine, reply_lost: bool
) -> None:
    before = len(attached_certificates(line.aws, CLAIM_POLICY))
    for cut_at in (1, 2, 3):
        cut = CutCloud(line.aws, cut_at, reply_lost=reply_lost)
        with open_station(line.station) as station, pytest.raises(PowerCutError):
            new_claim(cut, station, f"CUT-{cut_at}", timedelta(days=1))
        with open_station(line.station) as station:
            new_claim(line.aws, station, f"CUT-{cut_at}", timedelta(days=1))
    assert len(attached_certificates(line.aws, CLAIM_POLICY)) == before + 3


def test_teardown_removes_them_all(line: ProductionLine) -> None:
    assert line.run("claim", "new", "--name", "LOT").code == 0
    assert line.teardown().code == 0
    assert next(line.aws.pages("iot", "ListCertificates"))["certificates"] == []
    assert line.run("claim", "list").out == ""


def test_prepare_does_not_call_them_forgotten(line: ProductionLine) -> None:
    assert line.run("claim", "new", "--name", "LOT").code == 0
    assert "older claim certificate" not in line.prepare().err
