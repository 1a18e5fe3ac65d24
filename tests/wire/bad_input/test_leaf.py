"""Methods in which a device shows a certificate of its own: what is wrong is named, then mended.

Which test shows which case of which method: docs/bad-input.md.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509

from device.config.methods import JUST_IN_TIME_METHODS, PRESENTED_METHODS
from device.errors import ExitCode
from device.identity.certificates import certificate_id
from device.identity.csr import build_csr, subject_name
from device.storage import installed_certificate
from device.storage.device_storage import open_device_storage
from device.storage.keys import FIRST_DEVICE_KEY
from factory.account import allow_list
from factory.making.device_leaf import installed_leaf
from factory.methods import METHODS, jitr
from factory.station.station import open_station
from tests.support.certificates import DeviceAuthority, new_key
from tests.support.devices import installed_chain
from tests.support.production_line import CONFIG, ProductionLine
from tests.wire.bad_input.steps import (
    advised,
    assert_let_in,
    next_step,
    of,
    prepare_again,
    take_rights_of_template,
)
from tests.wire.conftest import ROOT
from tests.wire.localcloud_registry import status_of, until

pytestmark = pytest.mark.wire

IMPATIENT: Final = {"DEVICE_JUST_IN_TIME__BUDGET": "0"}
REGISTERED: Final = tuple(each for each in PRESENTED_METHODS if each not in JUST_IN_TIME_METHODS)
STRANGER: Final = DeviceAuthority("someone else's CA")
TODAY: Final = datetime.now(UTC)


def leaf_id(state: Path) -> str:
    with open_device_storage(state, read_only=True) as storage:
        return certificate_id(installed_leaf(storage))


def install(state: Path, leaf: bytes) -> None:
    with open_device_storage(state) as storage:
        installed_certificate.save(storage.ps, FIRST_DEVICE_KEY, leaf)


def refused(line: ProductionLine, state: Path) -> str:
    """Boot a device that is to be refused; return the next step, which names its certificate."""
    finished = line.boot(state, **IMPATIENT)
    assert finished.code == ExitCode.DENIED, finished.err
    assert finished.error["error"] in {"NotLetInError", "NotActivatedYetError"}
    assert f"aws iot describe-certificate --certificate-id {leaf_id(state)}" in next_step(finished)
    return next_step(finished)


def refused_for_good(line: ProductionLine, state: Path) -> str:
    """Boot twice: just-in-time methods begin with a refusal, but do not end with one."""
    refused(line, state)
    return refused(line, state)


def delete_certificate(line: ProductionLine, state: Path) -> None:
    """Do what the device advises: its next connection is a first one again."""
    line.client("iot").delete_certificate(certificateId=leaf_id(state))


# --- the certificate, or the server's -----------------------------------------------------


@of(*METHODS)
def test_root_ca_of_another_server(line: ProductionLine, state: Path) -> None:
    line.make(state)

    finished = line.boot_with_claim(state, "--root-ca", ROOT / "certs" / "AmazonRootCA1.pem")

    assert finished.code == ExitCode.TRY_LATER
    assert "is not trusted" in finished.error["message"]
    assert "not in root_ca" in next_step(finished)
    assert_let_in(line, state)


@of(*PRESENTED_METHODS)
def test_leaf_that_cannot_be_this_devices_is_named_before_the_first_packet(
    line: ProductionLine, state: Path
) -> None:
    line.make(state)
    with open_device_storage(state) as storage:
        right = installed_chain(storage)
        key = storage.keys.export_public_key(FIRST_DEVICE_KEY)
    subject = x509.load_pem_x509_certificate(right).subject
    yesterday = TODAY - timedelta(days=1)
    expired = STRANGER.issue(key, subject, not_after=yesterday)
    of_another = STRANGER.issue(new_key().public_key(), subject)

    for wrong, problem in ((expired, "expired at"), (of_another, "belongs to another key")):
        install(state, wrong)
        finished = line.boot(state)
        assert finished.code == ExitCode.FAILED
        assert finished.error["error"] == "InstalledCertificateError"
        assert problem in finished.error["message"]
        assert "Have the station install a certificate" in next_step(finished)
        assert finished.steps == ["storage opened"]

    install(state, right)
    assert_let_in(line, state)


@of("jitp")
def test_leaf_without_a_subject_field(line: ProductionLine, state: Path) -> None:
    line.make(state)
    with open_device_storage(state) as storage, open_station(line.station) as station:
        right = installed_chain(storage)
        key = storage.keys.private_key(FIRST_DEVICE_KEY)
        csr = build_csr(key, subject_name({"common_name": state.name}))
        leaf = station.authorities.open("jitp").issue_leaf(csr, TODAY)
        installed_certificate.save(storage.ps, FIRST_DEVICE_KEY, leaf)

    noticed = line.boot(state, "--config", CONFIG / "jitp.yaml")  # it names the template

    assert noticed.code == ExitCode.CONFIGURATION_INVALID
    assert "the certificate's subject lacks SerialNumber" in noticed.error["message"]
    assert "give the template's parameter a Default" in next_step(noticed)
    unchecked = {**IMPATIENT, "DEVICE_JUST_IN_TIME__TEMPLATE_FILE": ""}
    for _ in range(2):
        finished = line.boot(state, **unchecked)
        assert finished.code == ExitCode.DENIED
        assert "(2) Its subject lacks a field" in next_step(finished)
    install(state, right)
    assert_let_in(line, state)


@pytest.mark.parametrize(
    ("line", "field", "name"),
    [("jitp", "serial_number", "SerialNumber"), ("jitr", "common_name", "CommonName")],
    indirect=["line"],
)
def test_station_installs_no_leaf_without_a_subject_field(
    line: ProductionLine, state: Path, field: str, name: str
) -> None:
    right = CONFIG / f"{line.method}.yaml"
    wrong = state.parent / "wrong.yaml"
    lines = right.read_text().splitlines(keepends=True)
    wrong.write_text("".join(each for each in lines if not each.startswith(f"  {field}:")))
    words = ("make", "--method", line.method, "--serial", state.name, "--out", state)

    stopped = line.run(*words, "--config", wrong)

    assert stopped.code == ExitCode.CONFIGURATION_INVALID
    assert f"the certificate of {state.name} would lack {name}" in stopped.err
    assert f"Set {field} under subject in {wrong}" in advised(stopped)
    assert line.boot(state).code == ExitCode.STORAGE_UNUSABLE, "it is not SECURED"
    assert line.run(*words, "--config", right).code == 0
    assert_let_in(line, state)


# --- the CA -------------------------------------------------------------------------------


def unregister(line: ProductionLine, ca: str) -> None:
    turn_off(line, ca)
    line.client("iot").delete_ca_certificate(certificateId=ca)


def turn_off(line: ProductionLine, ca: str) -> None:
    line.client("iot").update_ca_certificate(certificateId=ca, newStatus="INACTIVE")


def stop_registering(line: ProductionLine, ca: str) -> None:
    line.client("iot").update_ca_certificate(certificateId=ca, newAutoRegistrationStatus="DISABLE")


@of(*JUST_IN_TIME_METHODS)
@pytest.mark.parametrize("spoil", [unregister, turn_off, stop_registering])
def test_ca_that_registers_nobody(
    line: ProductionLine, state: Path, spoil: Callable[[ProductionLine, str], None]
) -> None:
    line.make(state)
    with open_station(line.station, read_only=True) as station:
        spoil(line, station.authorities.open(line.method).certificate_id)

    causes = refused_for_good(line, state)

    assert "(1) The CA that signed it directly is not registered here, not ACTIVE, or" in causes
    assert state.name not in line.things()
    prepare_again(line)
    assert_let_in(line, state)


# --- the certificate's status -------------------------------------------------------------


@of(*JUST_IN_TIME_METHODS)
@pytest.mark.parametrize("status", ["INACTIVE", "REVOKED"])
def test_certificate_that_was_turned_off_before_its_first_connection(
    line: ProductionLine, state: Path, status: str
) -> None:
    line.make(state)
    with open_device_storage(state, read_only=True) as storage:
        leaf = installed_leaf(storage).decode()
    line.client("iot").register_certificate(certificatePem=leaf, status=status)

    causes = refused_for_good(line, state)

    assert "set INACTIVE or REVOKED" in causes
    assert f"delete it (aws iot delete-certificate --certificate-id {leaf_id(state)})" in causes
    delete_certificate(line, state)
    assert_let_in(line, state)


@of(*REGISTERED)
def test_registered_certificate_that_is_inactive(line: ProductionLine, state: Path) -> None:
    line.make(state)
    iot = line.client("iot")
    iot.update_certificate(certificateId=leaf_id(state), newStatus="INACTIVE")

    assert "but not ACTIVE" in refused(line, state)

    iot.update_certificate(certificateId=leaf_id(state), newStatus="ACTIVE")
    assert_let_in(line, state)


@of(*REGISTERED)
def test_registered_certificate_that_is_revoked(line: ProductionLine, state: Path) -> None:
    line.make(state)
    iot = line.client("iot")
    iot.update_certificate(certificateId=leaf_id(state), newStatus="REVOKED")

    assert "but not ACTIVE" in refused(line, state)

    again = line.make(state.parent / "again" / state.name, "--again")
    assert_let_in(line, again)


# --- what registers it --------------------------------------------------------------------


def disable_template(line: ProductionLine) -> None:
    line.client("iot").update_provisioning_template(templateName="firstboot-jitp", enabled=False)


def delete_template(line: ProductionLine) -> None:
    line.client("iot").delete_provisioning_template(templateName="firstboot-jitp")


def delete_group(line: ProductionLine) -> None:
    line.client("iot").delete_thing_group(thingGroupName="firstboot-devices")


@of("jitp")
@pytest.mark.parametrize(
    "spoil", [disable_template, delete_template, delete_group, take_rights_of_template]
)
def test_template_that_cannot_be_applied(
    line: ProductionLine, state: Path, spoil: Callable[[ProductionLine], None]
) -> None:
    line.make(state)
    spoil(line)

    causes = refused_for_good(line, state)

    assert "(3) The template is missing or disabled, or could not be applied" in causes
    assert "role (may it do what the template asks?), policy, thing type and groups" in causes
    delete_certificate(line, state)  # AWS IoT tries once
    prepare_again(line)
    assert_let_in(line, state)


def disable_rule(line: ProductionLine) -> None:
    line.client("iot").disable_topic_rule(ruleName=jitr.RULE)


def delete_function(line: ProductionLine) -> None:
    line.client("lambda").delete_function(FunctionName=jitr.FUNCTION)


def take_rights_of_lambda(line: ProductionLine) -> None:
    role = {"RoleName": jitr.FUNCTION, "PolicyName": f"eu-central-1.{jitr.FUNCTION}"}
    line.client("iam").delete_role_policy(**role)


def take_right_to_invoke(line: ProductionLine) -> None:
    permission = {"FunctionName": jitr.FUNCTION, "StatementId": "firstboot-iot"}
    line.client("lambda").remove_permission(**permission)


@of("jitr")
@pytest.mark.parametrize(
    "spoil", [disable_rule, delete_function, take_rights_of_lambda, take_right_to_invoke]
)
def test_nobody_decides(
    line: ProductionLine, state: Path, spoil: Callable[[ProductionLine], None]
) -> None:
    line.make(state)
    spoil(line)

    causes = refused_for_good(line, state)

    assert "(3) The topic rule or its Lambda is missing, disabled, failing, or not" in causes
    prepare_again(line)  # the event comes again with each connection
    assert_let_in(line, state)


@of("jitr")
def test_serial_that_is_not_on_the_allow_list(line: ProductionLine, state: Path) -> None:
    line.make(state, "--not-allowed")

    causes = refused_for_good(line, state)

    assert "(2) The Lambda refused it: the serial number is not on the allow-list" in causes
    until(lambda: status_of(line.client("iot"), leaf_id(state)), "INACTIVE")
    line.make(state)
    delete_certificate(line, state)
    assert_let_in(line, state)


@of("jitr")
def test_serial_that_another_device_has(line: ProductionLine, state: Path) -> None:
    assert_let_in(line, line.make(state))
    for name in ("ledger.jsonl", "ledger.lock"):
        (line.station / name).unlink()  # as on another station, with a ledger of its own
    again = state.parent / "again" / state.name
    words = ("make", "--method", "jitr", "--serial", again.name, "--out", again)

    stopped = line.run(*words)

    assert stopped.code == ExitCode.FAILED
    assert f"{state.name} is taken by certificate {leaf_id(state)[:12]}..." in stopped.err
    assert "aws dynamodb delete-item --table-name firstboot-allow-list" in advised(stopped)
    key = {"SerialNumber": {"S": state.name}}
    line.client("dynamodb").delete_item(TableName=allow_list.TABLE, Key=key)
    assert line.run(*words).code == 0
    assert line.boot(again).code == 0


@of("multi-account")
def test_certificate_that_was_not_registered(line: ProductionLine, state: Path) -> None:
    line.make(state, "--not-allowed")

    causes = refused(line, state)

    assert "(1) It is not registered in the account and Region of this endpoint." in causes
    line.make(state)
    assert_let_in(line, state)


@contextmanager
def as_trainee(line: ProductionLine) -> Iterator[None]:
    """Work with credentials that are good, and allow nothing."""
    iam = line.client("iam")
    iam.create_user(UserName="trainee")
    key = iam.create_access_key(UserName="trainee")["AccessKey"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        patch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        yield
    iam.delete_access_key(UserName="trainee", AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName="trainee")


@of(*REGISTERED)
def test_caller_who_may_not_register_it(line: ProductionLine, state: Path) -> None:
    with as_trainee(line):
        stopped = line.run("make", "--method", line.method, "--serial", state.name, "--out", state)

    assert stopped.code == ExitCode.DENIED
    assert "not allowed to call" in stopped.err
    assert "docs/station.md lists all the actions" in advised(stopped)
    made = key_of(state)
    line.make(state)
    assert key_of(state) == made, "the station continued with the device"
    assert_let_in(line, state)


def key_of(state: Path) -> object:
    with open_device_storage(state, read_only=True) as storage:
        return storage.keys.export_public_key(FIRST_DEVICE_KEY)
