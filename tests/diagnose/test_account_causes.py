"""Does explain name each planted cause first or second, and find nothing where nothing is wrong?"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from factory.diagnosis.subject import Asked
from tests.diagnose.account import AccountCause, Plant
from tests.diagnose.account_causes import ACCOUNT_CAUSES, of
from tests.diagnose.table import AGAIN, PAGE, PLAIN, account_row, prepared
from tests.diagnose.test_audit import DenyingCloud
from tests.support.production_line import ProductionLine
from tests.wire.conftest import LocalCloud

pytestmark = pytest.mark.wire


@pytest.fixture(scope="module")
def station(
    local_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProductionLine]:
    with prepared(local_cloud, tmp_path_factory.mktemp("diagnosed")) as line:
        yield line


@pytest.fixture
def plant(local_cloud: LocalCloud, tmp_path: Path) -> Iterator[Plant]:
    with ExitStack() as undo:
        yield Plant(ProductionLine(local_cloud, PLAIN, tmp_path, "claim"), undo)


def named(cause: AccountCause, plant: Plant) -> None:
    """Assert that explain names it first or second, as the page says."""
    reasons = plant.explained(cause.plant(plant)).reasons

    first_two = [each for each in reasons[:2] if each.code == cause.code]
    assert any(cause.words in each.evidence for each in first_two), reasons
    assert account_row(cause, reasons) in PAGE.read_text().splitlines(), AGAIN


BY_ITSELF = [each for each in ACCOUNT_CAUSES if not each.is_prepared]
OF_A_STATION = [each for each in ACCOUNT_CAUSES if each.is_prepared]


@pytest.mark.parametrize("cause", BY_ITSELF, ids=lambda cause: cause.name)
def test_explain_names_it_first_or_second(cause: AccountCause, plant: Plant) -> None:
    named(cause, plant)


@pytest.mark.long
@pytest.mark.parametrize("cause", OF_A_STATION, ids=lambda cause: cause.name)
def test_explain_names_what_a_station_prepared(
    cause: AccountCause, station: ProductionLine
) -> None:
    with ExitStack() as undo:
        named(cause, Plant(station, undo))


def test_nothing_is_found_where_nothing_is_wrong(plant: Plant) -> None:
    device = plant.device()
    topics = (f"dt/{device.name}/telemetry",)

    assert plant.explained(of(device, publish=topics)).reasons == []
    assert plant.explained(Asked(certificate_pem=device.pem, publish=topics)).reasons == []


def test_the_verb_ends_with_the_first_reason(
    plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in plant.line.environment.items():
        monkeypatch.setenv(name, value)
    device = plant.device(policy=False)
    (tmp_path / "device.pem").write_bytes(device.pem)

    finished = plant.line.run("explain", "--certificate", tmp_path / "device.pem", "--json")

    assert finished.code == 4
    assert finished.error["code"] == "FB-808"


READS = (
    "DescribeThing", "ListThingPrincipals", "DescribeCertificate", "ListPrincipalThingsV2",
    "GetEffectivePolicies", "TestAuthorization", "GetConnection",
)  # fmt: skip


@pytest.mark.parametrize("denied", READS)
def test_a_right_that_is_lacking_is_named_and_the_rest_goes_on(denied: str, plant: Plant) -> None:
    device = plant.device()
    plant.iot.update_certificate(certificateId=device.certificate_id, newStatus="INACTIVE")
    plant.cloud = DenyingCloud(plant.line.aws, denied)

    found = plant.explained(Asked(certificate_pem=device.pem))

    rights = {right.partition(":")[2] for right in found.not_looked_at.values()}
    assert rights <= {denied}
    is_seen = [each.code for each in found.reasons] == ["FB-803"]
    assert is_seen is (denied != "DescribeCertificate")
