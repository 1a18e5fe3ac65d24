"""Does explain name each planted cause first or second, and find nothing where nothing is wrong?"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from factory.diagnosis.subject import Asked
from tests.diagnose.account import AccountCause, Plant
from tests.diagnose.account_causes import ACCOUNT_CAUSES, of
from tests.diagnose.test_audit import DenyingCloud
from tests.support.production_line import ProductionLine, prepared_line
from tests.wire.conftest import LocalCloud

pytestmark = pytest.mark.wire
ACCOUNT = "346987654321"


@pytest.fixture(scope="module")
def line(
    local_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProductionLine]:
    folder = tmp_path_factory.mktemp("diagnosed")
    with prepared_line(local_cloud, ACCOUNT, folder, "jitr") as made:
        hooked = made.run("prepare", "--method", "claim", "--hook")
        assert hooked.code == 0, hooked.err
        yield made


@pytest.fixture
def plant(line: ProductionLine) -> Iterator[Plant]:
    with ExitStack() as undo:
        yield Plant(line, undo)


@pytest.mark.parametrize("cause", ACCOUNT_CAUSES, ids=lambda cause: cause.name)
def test_explain_names_it_first_or_second(cause: AccountCause, plant: Plant) -> None:
    reasons = plant.explained(cause.plant(plant)).reasons

    named = [
        each for each in reasons[:2] if each.code == cause.code and cause.words in each.evidence
    ]
    assert named, reasons


def test_nothing_is_found_where_nothing_is_wrong(plant: Plant) -> None:
    device = plant.device()
    topics = (f"dt/{device.name}/telemetry",)

    assert plant.explained(of(device, publish=topics)).reasons == []
    assert plant.explained(Asked(certificate_pem=device.pem, publish=topics)).reasons == []


def test_the_verb_ends_with_the_first_reason(plant: Plant, tmp_path: Path) -> None:
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
