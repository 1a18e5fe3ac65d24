"""By claim with the station's own CA: the station's work in an account, whole, cut, and undone."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from device.errors import ExitCode
from device.storage.device_storage import open_device_storage
from device.storage.secure_storage import Uid
from factory.account.aws import Aws
from factory.account.changes import Outcome, Report
from factory.account.cloud import Cloud, structure
from factory.errors import NOT_MADE_BY_STATION, CertificateProviderTakenError
from factory.methods import claim_own_ca
from factory.methods.claim import Claim
from factory.methods.claim_own_ca import ClaimOwnCa
from factory.methods.method import Choices
from factory.station.station import open_or_make_station, open_station
from tests.support.errors import raises
from tests.support.production_line import ProductionLine, production_line
from tests.support.station_cloud import aws_of, contents
from tests.wire.conftest import LocalCloud

pytestmark = pytest.mark.wire

METHOD = ClaimOwnCa()
PROVIDER = claim_own_ca.PROVIDER


@pytest.fixture
def aws(local_cloud: LocalCloud) -> Iterator[Aws]:
    """An account in which the station has left nothing."""
    cloud = aws_of(local_cloud, account="327987654321")
    yield cloud
    METHOD.teardown(cloud, None, devices=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "station"


def prepare(cloud: Cloud, folder: Path, hours: int | None = None) -> Report:
    with open_or_make_station(folder) as station:
        return METHOD.prepare(cloud, station, Choices(certificate_hours=hours))


def teardown(cloud: Cloud, folder: Path) -> Report:
    with open_station(folder) as station:
        return METHOD.teardown(cloud, station, devices=True)


def variables(cloud: Cloud) -> dict[str, str]:
    found = cloud.call("lambda", "GetFunction", FunctionName=PROVIDER)
    environment = structure(structure(found, "Configuration"), "Environment")
    return {key: str(value) for key, value in structure(environment, "Variables").items()}


def outcomes(report: Report) -> dict[str, Outcome]:
    return {change.kind: change.outcome for change in report.changes}


def test_a_second_run_changes_nothing(aws: Aws, folder: Path) -> None:
    prepare(aws, folder)
    before = contents(aws)

    report = prepare(aws, folder)

    assert set(outcomes(report).values()) == {Outcome.UNCHANGED}
    assert contents(aws) == before


def test_somebody_elses_provider_is_named_and_nothing_is_made(aws: Aws, folder: Path) -> None:
    function = "arn:aws:lambda:eu-central-1:327987654321:function:theirs"
    aws.call(
        "iot", "CreateCertificateProvider", certificateProviderName="theirs",
        lambdaFunctionArn=function, accountDefaultForOperations=["CreateCertificateFromCsr"],
    )  # fmt: skip
    before = contents(aws)
    try:
        with pytest.raises(CertificateProviderTakenError, match="certificate provider theirs"):
            prepare(aws, folder)
        assert contents(aws) == before

        teardown(aws, folder)
        assert contents(aws) == before, "a teardown leaves it alone, too"
    finally:
        aws.call("iot", "DeleteCertificateProvider", certificateProviderName="theirs")


def test_somebody_elses_key_under_the_alias_is_left_alone(aws: Aws, folder: Path) -> None:
    theirs = structure(aws.call("kms", "CreateKey", KeySpec="ECC_NIST_P256",
                                KeyUsage="SIGN_VERIFY"), "KeyMetadata")  # fmt: skip
    alias = f"alias/{PROVIDER}"
    aws.call("kms", "CreateAlias", AliasName=alias, TargetKeyId=theirs["KeyId"])
    try:
        with raises(NOT_MADE_BY_STATION, match=alias):
            prepare(aws, folder)
        found = structure(aws.call("kms", "DescribeKey", KeyId=alias), "KeyMetadata")
        assert (found["KeyId"], found["KeyState"]) == (theirs["KeyId"], "Enabled")
    finally:
        aws.call("kms", "DeleteAlias", AliasName=alias)


def test_a_key_that_was_disabled_stays_so_and_is_replaced(aws: Aws, folder: Path) -> None:
    prepare(aws, folder)
    former = variables(aws)
    aws.call("kms", "DisableKey", KeyId=former["KMS_KEY"])

    report = prepare(aws, folder)

    (note,) = [change.note for change in report.changes if change.kind == "KMS key"]
    assert note == "the former one is Disabled, and stays so"
    now = variables(aws)
    assert now["KMS_KEY"] != former["KMS_KEY"]
    assert now["CA_CERTIFICATE"] != former["CA_CERTIFICATE"]
    assert set(outcomes(prepare(aws, folder)).values()) == {Outcome.UNCHANGED}


def test_the_life_stays_as_it_was_chosen(aws: Aws, folder: Path) -> None:
    prepare(aws, folder)
    default = variables(aws)["LIFE_HOURS"]
    prepare(aws, folder, hours=12)
    prepare(aws, folder)
    assert (default, variables(aws)["LIFE_HOURS"]) == ("168", "12")


def test_the_role_may_sign_with_this_key_alone(aws: Aws, folder: Path) -> None:
    prepare(aws, folder)
    policy = aws.call("iam", "GetRolePolicy", RoleName=PROVIDER,
                      PolicyName=f"{aws.account.region}.{PROVIDER}")  # fmt: skip
    statements = json.loads(json.dumps(policy["PolicyDocument"]))["Statement"]
    (signs,) = [each for each in statements if each["Action"] == "kms:Sign"]
    assert signs["Resource"] == variables(aws)["KMS_KEY"]


def test_the_claim_is_kept_for_the_method_that_still_needs_it(aws: Aws, folder: Path) -> None:
    prepare(aws, folder)
    with open_station(folder) as station:
        Claim().prepare(aws, station)
        shared = station.certificate_id

    kept = outcomes(teardown(aws, folder))["claim certificate"]

    with open_station(folder) as station:
        assert kept is Outcome.KEPT
        assert station.certificate_id == shared
        removed = outcomes(Claim().teardown(aws, station, devices=True))["claim certificate"]
        assert removed is Outcome.REMOVED
        assert station.record is None


@pytest.fixture
def line(local_cloud: LocalCloud, tmp_path: Path) -> Iterator[ProductionLine]:
    with production_line(local_cloud, "328987654321", tmp_path, "claim-own-ca") as line:
        prepared = line.run("prepare", "--method", "claim-own-ca", "--certificate-hours", "5")
        assert prepared.code == 0, prepared.err
        yield line


def test_a_device_gets_a_short_lived_certificate_of_the_stations_ca(line: ProductionLine) -> None:
    state = line.make(line.folder / "SN-1")

    assert line.boot(state).code == 0

    with open_device_storage(state, read_only=True) as storage:
        leaf = x509.load_pem_x509_certificate(storage.ps.get(Uid.DEVICE_CERTIFICATE))
        issuer = x509.load_pem_x509_certificate(storage.ps.get(Uid.ISSUER_CA))
    leaf.verify_directly_issued_by(issuer)
    left = leaf.not_valid_after_utc - datetime.now(UTC)
    assert timedelta(hours=4) < left <= timedelta(hours=5)
    described = line.client("iot").describe_certificate(certificateId=line.active("SN-1")[0])
    assert "caCertificateId" not in described["certificateDescription"]


def test_a_device_that_was_made_for_another_ca_keeps_its_claim(line: ProductionLine) -> None:
    state = line.make(line.folder / "SN-2")
    with open_device_storage(state) as storage:
        right = storage.ps.get(Uid.ISSUER_CA)
        storage.ps.set(Uid.ISSUER_CA, storage.ps.get(Uid.CLAIM_CERTIFICATE))

    refused = line.boot(state)

    assert refused.error["error"] == "CertificateUnacceptableError"
    assert "was not issued by the issuer_ca" in refused.error["message"]
    with open_device_storage(state) as storage:
        assert Uid.CLAIM_CERTIFICATE in storage.ps.uids()
        storage.ps.set(Uid.ISSUER_CA, right)
    assert line.boot(state).code == 0


def test_whoever_holds_another_claim_is_refused_by_the_lambda(line: ProductionLine) -> None:
    state = line.make(line.folder / "SN-3")
    functions = line.client("lambda")
    found = functions.get_function_configuration(FunctionName=PROVIDER)["Environment"]
    others = {"Variables": {**found["Variables"], "CLAIMS": "00" * 32}}
    functions.update_function_configuration(FunctionName=PROVIDER, Environment=others)

    refused = line.boot(state)

    assert "InvocationError" in refused.error["message"]
    assert "certificate provider" in refused.error["next_step"]
    assert line.prepare().code == 0, "it puts the right claims there again"
    assert line.boot(state).code == 0


def test_a_lambda_that_may_not_sign_is_named(line: ProductionLine) -> None:
    state = line.make(line.folder / "SN-4")
    policy = {"RoleName": PROVIDER, "PolicyName": f"eu-central-1.{PROVIDER}"}
    line.client("iam").delete_role_policy(**policy)

    refused = line.boot(state)

    assert refused.code == ExitCode.DENIED
    assert "InvocationError" in refused.error["message"]
    assert line.prepare().code == 0
    assert line.boot(state).code == 0
