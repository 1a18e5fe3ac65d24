"""Provisioning by trusted user on the local AWS: the app, the device that waits, and neither."""

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from device.errors import ExitCode
from factory.account.aws import acting_as
from factory.account.changes import Outcome, Report
from factory.account.cloud import Cloud
from factory.account.roles import role_arn
from factory.account.temporary_claim import TemporaryClaim, create_claim
from factory.errors import CLOUD_DENIED
from factory.methods import METHODS, trusted_user
from factory.station.station import open_or_make_station
from tests.support import hang
from tests.support.device_process import Running, running
from tests.support.errors import raises
from tests.support.production_line import CONFIG, ProductionLine, as_object, production_line
from tests.support.station_cloud import contents
from tests.wire.conftest import LocalCloud
from tests.wire.localcloud_sdk import Credential, IdentityV2, mqtt5_client, new_csr

pytestmark = pytest.mark.wire

CHANGES = 6
"""Of a first ``prepare``: role and its policy, thing policy, template, app and its policy."""
REMOVALS = 6
TEMPLATE = trusted_user.TEMPLATE


@pytest.fixture
def line(local_cloud: LocalCloud, tmp_path: Path) -> Iterator[ProductionLine]:
    with production_line(local_cloud, "312987654321", tmp_path, "trusted-user") as line:
        yield line


@pytest.fixture
def prepared(line: ProductionLine) -> ProductionLine:
    assert line.prepare().code == 0
    return line


def make(line: ProductionLine, serial: str) -> Path:
    state = line.folder / "d"
    made = line.run("make", "--method", "trusted-user", "--serial", serial, "--out", state)
    assert made.code == 0, made.err
    return state


def waiting(process: Running, place: Path) -> None:
    process.wait_for("key made")
    hang.until(place.exists, "the device listens")


@pytest.fixture
def place() -> Iterator[Path]:
    """Return where a socket can be: its path has a hundred bytes at most."""
    with TemporaryDirectory() as folder:
        yield Path(folder, "claim")


def test_app_provisions_a_waiting_device(line: ProductionLine, place: Path) -> None:
    before = contents(line.aws)
    assert line.prepare().code == 0
    state = make(line, "TU-1")
    words = ("boot", "--state", state, "--config", CONFIG / "trusted-user.yaml")
    with running(*words, "--wait-for-claim", place) as process:
        waiting(process, place)

        handed = line.run("claim", "--trusted-user", "--to", place, "--json")

        process.wait_for("identity proven")
        assert process.process.wait(10) == 0
    assert handed.code == 0, handed.err
    assert set(as_object(handed.out)) == {"template", "certificate_id", "expiration", "place"}
    assert line.things() == ["TU-1"]
    assert len(line.active("TU-1")) == 1
    assert as_object(handed.out)["certificate_id"] not in line.active("TU-1")
    line.teardown()
    assert contents(line.aws) == before


def test_claim_in_a_file_provisions_as_well(prepared: ProductionLine, tmp_path: Path) -> None:
    state, file = make(prepared, "TU-2"), tmp_path / "claim.json"
    assert prepared.run("claim", "--trusted-user", "--to", file).code == 0
    assert file.stat().st_mode & 0o777 == 0o600

    booted = prepared.boot(state, "--wait-for-claim", file)

    assert booted.code == 0, booted.err
    assert not file.exists()
    assert len(prepared.active("TU-2")) == 1


def test_temporary_claim_may_do_the_csr_flow_under_any_client_id(
    prepared: ProductionLine, local_cloud: LocalCloud
) -> None:
    claim = create_claim(prepared.aws, TEMPLATE)
    csr, _ = new_csr("TU-3")
    with mqtt5_client(local_cloud, credential(claim), "claim-TU-3") as client:
        identity = IdentityV2(client)
        token = identity.create_from_csr(csr).certificate_ownership_token
        assert identity.register(TEMPLATE, token, "TU-3").thing_name == "TU-3"


def credential(claim: TemporaryClaim) -> Credential:
    return Credential(claim.certificate_id, claim.certificate_pem, claim.private_key_pem)


def test_app_may_get_claims_of_its_template_and_nothing_else(prepared: ProductionLine) -> None:
    app = acting_as(prepared.aws, role_arn(prepared.aws, trusted_user.APP))
    assert create_claim(app, TEMPLATE).certificate_id
    with raises(CLOUD_DENIED) as raised:
        create_claim(app, "firstboot-claim")
    assert raised.value.fields["action"] == "iot:CreateProvisioningClaim"
    for service, operation in (("iot", "ListThings"), ("iot", "CreateKeysAndCertificate"),
                               ("s3", "ListBuckets"), ("iam", "ListRoles")):  # fmt: skip
        with raises(CLOUD_DENIED):
            app.call(service, operation)


def test_station_calls_as_the_app_unless_it_is_told_otherwise(
    prepared: ProductionLine, tmp_path: Path
) -> None:
    prepared.aws.call(
        "iam", "DeleteRolePolicy",
        RoleName=trusted_user.APP, PolicyName="eu-central-1.trusted-user",
    )  # fmt: skip
    words = ("claim", "--trusted-user", "--to", tmp_path / "claim.json")
    denied = prepared.run(*words)
    assert denied.code == ExitCode.DENIED
    assert "iot:CreateProvisioningClaim" in denied.err
    assert not (tmp_path / "claim.json").exists()

    assert prepared.run(*words, "--own-credentials").code == 0


def test_no_claim_is_asked_for_where_no_device_waits(line: ProductionLine, tmp_path: Path) -> None:
    refused = line.run("claim", "--trusted-user", "--device", tmp_path)
    assert refused.code == ExitCode.TRY_LATER
    assert f"no device waits for a claim at {tmp_path}/claim" in refused.err
    assert "next: Start the device first" in refused.err


def test_missing_template_is_named(prepared: ProductionLine, tmp_path: Path) -> None:
    refused = prepared.run(
        "claim", "--trusted-user", "--to", tmp_path / "c.json",
        "--template", "none", "--own-credentials",
    )  # fmt: skip
    assert refused.code == ExitCode.CONFIGURATION_INVALID
    assert "there is no provisioning template none" in refused.err
    assert "factory prepare --method trusted-user" in refused.err


def test_disabled_template_is_what_the_device_names(
    prepared: ProductionLine, tmp_path: Path
) -> None:
    iot = prepared.client("iot")
    iot.update_provisioning_template(templateName=TEMPLATE, enabled=False)
    state, file = make(prepared, "TU-4"), tmp_path / "claim.json"
    prepared.run("claim", "--trusted-user", "--to", file)

    refused = prepared.boot(state, "--wait-for-claim", file)

    assert refused.code == ExitCode.DENIED
    assert "not enabled" in refused.out
    assert prepared.things() == []


def test_claim_of_another_template_is_denied_its_topic(
    prepared: ProductionLine, tmp_path: Path
) -> None:
    template = prepared.client("iot").describe_provisioning_template(templateName=TEMPLATE)
    prepared.client("iot").create_provisioning_template(
        templateName="another", templateBody=template["templateBody"], enabled=True,
        provisioningRoleArn=template["provisioningRoleArn"],
    )  # fmt: skip
    state, file = make(prepared, "TU-5"), tmp_path / "claim.json"
    words = ("claim", "--trusted-user", "--to", file, "--own-credentials")
    assert prepared.run(*words, "--template", "another").code == 0

    refused = prepared.boot(state, "--wait-for-claim", file)

    prepared.client("iot").delete_provisioning_template(templateName="another")
    assert refused.code == ExitCode.DENIED
    assert f"$aws/provisioning-templates/{TEMPLATE}/provision/json" in refused.err + refused.out
    assert prepared.things() == []


def prepare(cloud: Cloud, folder: Path) -> Report:
    with open_or_make_station(folder) as station:
        return METHODS["trusted-user"].prepare(cloud, station)


def test_drifted_app_role_is_brought_back(line: ProductionLine) -> None:
    prepare(line.aws, line.station)
    wide = {"Effect": "Allow", "Action": "iot:*", "Resource": "*"}
    line.aws.call(
        "iam", "PutRolePolicy", RoleName=trusted_user.APP,
        PolicyName="eu-central-1.trusted-user",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [wide]}),
    )  # fmt: skip
    report = prepare(line.aws, line.station)
    changed = [each for each in report.changes if each.outcome is not Outcome.UNCHANGED]
    assert [(each.kind, each.outcome) for each in changed] == [("app role", Outcome.UPDATED)]
