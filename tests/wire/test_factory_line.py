"""A list of devices at the station's command line: planned, made, reported, in a manifest."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from device.config.settings import load
from device.errors import ExitCode
from device.identity.certificates import leaf_of
from device.storage import installed_certificate
from device.storage.device_storage import open_device_storage
from device.storage.manufacturing_data import sealed_settings
from factory.account.documents import CONFIG
from factory.station.ledger import Ledger
from tests.support.production_line import ProductionLine, prepared_line
from tests.wire.conftest import LocalCloud

pytestmark = pytest.mark.wire

ACCOUNT = "338987654321"


@pytest.fixture(scope="module")
def line(
    local_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProductionLine]:
    folder = tmp_path_factory.mktemp("line")
    with prepared_line(local_cloud, ACCOUNT, folder, "jitp", "jitr", "claim") as line:
        yield line


def listed(tmp_path: Path, text: str) -> Path:
    (tmp_path / "serials.csv").write_text(text)
    return tmp_path / "serials.csv"


def batch(line: ProductionLine, tmp_path: Path, name: str, method: str = "jitp") -> list[str]:
    serials, out = str(tmp_path / "serials.csv"), str(tmp_path)
    return ["make", "--method", method, "--serials", serials, "--batch", name, "--out", out]


def objects(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_batch_is_made_reported_and_signed(line: ProductionLine, tmp_path: Path) -> None:
    listed(tmp_path, "serial\n" + "".join(f"A-{n:03}\n" for n in range(40)))
    made = line.run(*batch(line, tmp_path, "A"), "--jobs", "2", "--json")
    assert made.code == 0, made.err
    *devices, last = objects(made.out)
    assert [each["result"] for each in devices] == ["PASS"] * 40
    assert (last["passed"], last["failed"]) == (40, 0)
    assert made.err.splitlines()[0].startswith("PASS A-000")
    report = objects(line.run("report", "A", "--json").out)[0]
    assert (report["devices"], report["yield"]) == (40, 1.0)
    signed = line.run("manifest", "A", "--out", tmp_path / "m.json")
    assert signed.code == 0, signed.err
    assert line.run("verify", tmp_path / "m.json").code == 0
    assert line.of("jitp").boot(tmp_path / "A-007").code == 0


def test_dry_run_says_what_would_be_made_and_makes_nothing(
    line: ProductionLine, tmp_path: Path
) -> None:
    listed(tmp_path, "serial\nB-1\nB-2\n")
    before = Ledger(line.station).file.read_bytes() if Ledger(line.station).file.exists() else b""
    planned = line.run(*batch(line, tmp_path, "B"), "--dry-run", "--json")
    assert planned.code == 0, planned.err
    assert [(each["serial"], each["plan"]) for each in objects(planned.out)] == [
        ("B-1", "new"), ("B-2", "new"),
    ]  # fmt: skip
    assert "2 of 2 device(s) would be made for jitp" in planned.err
    assert not (tmp_path / "B-1").exists()
    after = Ledger(line.station).file.read_bytes() if Ledger(line.station).file.exists() else b""
    assert after == before


def test_column_is_a_field_of_the_certificates_subject(
    line: ProductionLine, tmp_path: Path
) -> None:
    listed(tmp_path, "serial,subject.organizational_unit\nC-1,Red\nC-2,Blue\nC-3,\n")
    made = line.run(*batch(line, tmp_path, "C"))
    assert made.code == 0, made.err
    units = {}
    for serial in ("C-1", "C-2", "C-3"):
        with open_device_storage(tmp_path / serial, read_only=True) as storage:
            installed = installed_certificate.load(storage.ps)
        assert installed is not None
        subject = x509.load_pem_x509_certificate(leaf_of(installed.chain_pem)).subject
        (unit,) = subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
        units[serial] = unit.value
    default = load(CONFIG / "jitp.yaml", {}, {}).subject["organizational_unit"]
    assert units == {"C-1": "Red", "C-2": "Blue", "C-3": default}


def test_column_is_what_a_device_by_claim_tells_the_template(
    line: ProductionLine, tmp_path: Path
) -> None:
    listed(tmp_path, "serial,Color\nP-1,red\nP-2,\n")
    made = line.run(*batch(line, tmp_path, "P", "claim"))
    assert made.code == 0, made.err
    told = []
    for serial in ("P-1", "P-2"):
        with open_device_storage(tmp_path / serial, read_only=True) as storage:
            sealed = sealed_settings(storage)
        assert sealed is not None
        told.append(sealed.sections["claim"]["parameters"].get("Color"))
    assert told == ["red", None]


def test_column_that_the_method_has_no_use_for_is_refused_before_anything_is_made(
    line: ProductionLine, tmp_path: Path
) -> None:
    listed(tmp_path, "serial,Color\nD-1,red\n")
    refused = line.run(*batch(line, tmp_path, "D"))
    assert refused.code == ExitCode.MISUSE
    assert "column Color: jitp has no parameters" in refused.err
    assert not (tmp_path / "D-1").exists()


def test_device_that_fails_is_named_and_a_second_run_makes_only_that(
    line: ProductionLine, tmp_path: Path
) -> None:
    listed(tmp_path, "E-1\nE-2\nE-3\n")
    (tmp_path / "E-2").write_text("somebody's file")
    first = line.run(*batch(line, tmp_path, "E"), "--json")
    assert first.code == ExitCode.FAILED
    assert [each.get("result") for each in objects(first.out)[:3]] == ["PASS", "FAIL", "PASS"]
    assert "FAIL E-2" in first.err
    assert "1 FAIL" in line.run("report", "E").out
    (tmp_path / "E-2").unlink()
    ids = [each["device_id"] for each in objects(first.out)[:3] if each["result"] == "PASS"]
    again = line.run(*batch(line, tmp_path, "E"), "--json")
    assert again.code == 0, again.err
    devices = objects(again.out)[:3]
    assert [devices[0]["device_id"], devices[2]["device_id"]] == ids
    report = objects(line.run("report", "E", "--json").out)[0]
    assert (report["yield"], report["first_pass_yield"]) == (1.0, 0.6667)


@pytest.mark.parametrize("method", ["jitr", "claim"])
def test_devices_of_other_methods_are_made_and_boot(
    line: ProductionLine, method: str, tmp_path: Path
) -> None:
    listed(tmp_path, f"F-{method}\n")
    made = line.run(*batch(line, tmp_path, f"F-{method}", method))
    assert made.code == 0, made.err
    assert line.of(method).boot(tmp_path / f"F-{method}").code == 0
    again = line.run(*batch(line, tmp_path, f"F-{method}", method))
    assert again.code == 0, again.err


def test_device_of_another_batch_is_not_made_over(line: ProductionLine, tmp_path: Path) -> None:
    listed(tmp_path, "G-1\n")
    assert line.run(*batch(line, tmp_path, "G")).code == 0
    refused = line.run(*batch(line, tmp_path, "H"))
    assert refused.code == ExitCode.FAILED
    assert "serial number G-1 is taken" in refused.err
