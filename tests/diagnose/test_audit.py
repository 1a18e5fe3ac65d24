"""Does the audit find each planted fault, and nothing in an account without one?"""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from factory.account.cloud import Account, Cloud, Response, Value
from factory.diagnosis.audit import Audit, AuditFinding
from factory.errors import CLOUD_DENIED
from tests.diagnose.account import Plant, Registered
from tests.support.production_line import ProductionLine, production_line
from tests.wire.conftest import LocalCloud

pytestmark = pytest.mark.wire
YEARS = timedelta(days=4 * 365)


def another_certificate(plant: Plant, device: Registered, status: str = "ACTIVE") -> str:
    made = plant.iot.create_keys_and_certificate(setAsActive=True)
    plant.iot.attach_policy(policyName=device.name, target=made["certificateArn"])
    plant.iot.attach_thing_principal(thingName=device.name, principal=made["certificateArn"])
    plant.iot.update_certificate(certificateId=made["certificateId"], newStatus=status)
    return str(made["certificateId"])


def claim(plant: Plant) -> str:
    made = plant.iot.create_keys_and_certificate(setAsActive=True)
    topic = "topic/$aws/provisioning-templates/t/provision/json"
    statements = [plant.statement("Connect", "client/claim-*"), plant.statement("Publish", topic)]
    name = plant.policy(plant.name(), statements)
    plant.iot.attach_policy(policyName=name, target=made["certificateArn"])
    return str(made["certificateId"])


def healthy(plant: Plant) -> None:
    for _ in range(2):
        plant.device(exclusive=True)
    claim(plant)
    plant.authority(allowAutoRegistration=False)


def spoil(plant: Plant) -> dict[str, str]:
    """Plant everything; return whose fault each code is to be."""
    iot, found = plant.iot, {}
    iot.create_thing(thingName="thing-alone")
    found["FB-851"] = "thing-alone"
    twice = plant.device(exclusive=True)
    exclusive_again = iot.create_keys_and_certificate(setAsActive=True)
    iot.attach_policy(policyName=twice.name, target=exclusive_again["certificateArn"])
    iot.attach_thing_principal(
        thingName=twice.name, principal=exclusive_again["certificateArn"],
        thingPrincipalType="EXCLUSIVE_THING",
    )  # fmt: skip
    found["FB-852"] = twice.name
    found["FB-853"] = plant.device(thing=False).certificate_id
    shared = plant.device()
    iot.create_thing(thingName="second-home")
    iot.attach_thing_principal(thingName="second-home", principal=shared.arn)
    found["FB-854"] = shared.certificate_id
    found["FB-855"] = plant.device(policy=False, exclusive=True).certificate_id
    wide = plant.device(plant.statement("*", "*"))
    found["FB-856"] = wide.name
    found["FB-857"] = wide.certificate_id
    found["FB-858"] = soon_over(plant)
    ending = plant.authority(allowAutoRegistration=False, days=10)
    found["FB-860"] = ending.certificate_id
    left = plant.device(exclusive=True)
    found["FB-863"] = another_certificate(plant, left, "INACTIVE")
    found["FB-864"] = plant.authority().certificate_id
    found["FB-865"] = plant.device(
        plant.statement("Publish", "topic/a"), exclusive=True
    ).certificate_id
    found["FB-859"], found["FB-861"] = left.certificate_id, claim(plant)
    pending = plant.authority().issue({"common_name": "waits"})
    plant.touch(pending)
    found["FB-862"] = pending.certificate_id
    return found


def soon_over(plant: Plant) -> str:
    issued = plant.authority(registered=False).issue({"common_name": "a"}, end=timedelta(days=9))
    made = plant.iot.register_certificate_without_ca(
        certificatePem=issued.certificate_pem, status="ACTIVE"
    )
    return str(made["certificateId"])


@pytest.fixture(scope="module")
def audited(
    local_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[dict[str, str], list[AuditFinding]]]:
    folder = tmp_path_factory.mktemp("audited")
    with ExitStack() as undo:
        line = ProductionLine(local_cloud, "356987654321", folder, "claim")
        planted = spoil(Plant(line, undo))
        now = list(Audit(line.aws).findings())
        later = list(Audit(line.aws, now=datetime.now(UTC) + YEARS).findings())
        codes = {each.code for each in now}
        yield planted, now + [each for each in later if each.code not in codes]


CODES = tuple(f"FB-{number}" for number in range(851, 866))


@pytest.mark.parametrize("code", CODES)
def test_what_is_planted_is_found(
    code: str, audited: tuple[dict[str, str], list[AuditFinding]]
) -> None:
    planted, found = audited
    assert planted[code] in {each.about for each in found if each.code == code}


def test_a_clean_account_has_no_findings(local_cloud: LocalCloud, tmp_path: Path) -> None:
    with ExitStack() as undo:
        line = ProductionLine(local_cloud, "366987654321", tmp_path, "claim")
        healthy(Plant(line, undo))

        assert list(Audit(line.aws).findings()) == []


class DenyingCloud:
    """An account in which IAM denies some calls."""

    def __init__(self, cloud: Cloud, *denied: str) -> None:
        self._cloud = cloud
        self._denied = denied

    @property
    def account(self) -> Account:
        return self._cloud.account

    def call(self, service: str, operation: str, **parameters: Value) -> Response:
        self._check(service, operation)
        return self._cloud.call(service, operation, **parameters)

    def pages(self, service: str, operation: str, **parameters: Value) -> Iterator[Response]:
        self._check(service, operation)
        return self._cloud.pages(service, operation, **parameters)

    def _check(self, service: str, operation: str) -> None:
        if operation in self._denied:
            raise CLOUD_DENIED.error("no", action=f"{service}:{operation}")


def test_a_right_that_is_lacking_is_named_and_the_rest_goes_on(
    local_cloud: LocalCloud, tmp_path: Path
) -> None:
    line = ProductionLine(local_cloud, "376987654321", tmp_path, "claim")
    with ExitStack() as undo:
        Plant(line, undo).authority()

        audit = Audit(DenyingCloud(line.aws, "ListCertificates"))
        codes = [each.code for each in audit.findings()]

    assert codes == ["FB-864"]
    lacking = "iot:ListCertificates"
    wanted = {"things": lacking, "attachments": lacking, "ages": lacking, "policies": lacking}
    assert audit.not_looked_at == wanted


def test_the_verb_ends_with_one_when_there_is_an_error(
    local_cloud: LocalCloud, tmp_path: Path
) -> None:
    with production_line(local_cloud, "386987654321", tmp_path, "claim") as line:
        clean = line.run("audit", "--json")
        line.client("iot").create_thing(thingName="thing-alone")
        finished = line.run("audit", "--json")

    assert clean.code == 0, clean.out
    assert finished.code == 1
    assert finished.error["code"] == "FB-850"
