"""Methods that begin with a claim: what is wrong is named, nothing is lost, and it is mended.

Which test shows which case of which method: docs/bad-input.md.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
import yaml

from device.errors import ExitCode
from device.storage.device_storage import open_device_storage
from device.storage.keys import CLAIM_KEY
from device.storage.secure_storage import Uid
from factory.making.device_orders import config_name
from factory.station.station import open_station
from tests.support.certificates import DeviceAuthority
from tests.support.device_process import Finished, running
from tests.support.hang import line_from
from tests.support.production_line import CONFIG, ProductionLine
from tests.wire.bad_input.steps import (
    assert_let_in,
    next_step,
    of,
    prepare_again,
    take_rights_of_template,
)

pytestmark = pytest.mark.wire

CLAIM: Final = ("claim", "claim-aws-keys", "claim-own-ca")
BY_CLAIM: Final = (*CLAIM, "trusted-user")
TEMPLATES: Final = {
    "claim": "firstboot-claim",
    "claim-aws-keys": "firstboot-claim",
    "claim-own-ca": "firstboot-claim-own-ca",
    "trusted-user": "firstboot-trusted-user",
}
STRANGER: Final = DeviceAuthority("someone else's CA")
TODAY: Final = datetime.now(UTC)


def rejected(
    line: ProductionLine, state: Path, code: str, *words: str | Path, **settings: str
) -> Finished:
    """Boot a device whose registration AWS is to reject with ``code``."""
    finished = line.boot_with_claim(state, *words, **settings)
    assert finished.code == ExitCode.DENIED, finished.err
    assert f" {code}: " in finished.error["message"]
    assert state.name not in line.things()
    return finished


# --- the claim ----------------------------------------------------------------------------


@of(*CLAIM)
@pytest.mark.parametrize("status", ["INACTIVE", "REVOKED"])
def test_claim_that_was_turned_off(line: ProductionLine, state: Path, status: str) -> None:
    line.make(state)
    with open_station(line.station, read_only=True) as station:
        claim = station.certificate_id
    line.client("iot").update_certificate(certificateId=claim, newStatus=status)

    finished = line.boot(state)

    assert finished.code == ExitCode.DENIED
    assert "(1) The claim certificate is not ACTIVE" in next_step(finished)
    assert f"was turned off ({status}), and stays so" in prepare_again(line)
    assert_let_in(line, line.make(state.parent / "again" / state.name, "--again"))


@of(*CLAIM)
def test_claim_that_aws_does_not_know(line: ProductionLine, state: Path) -> None:
    right = claim_of(line.make(state))
    with open_device_storage(state) as storage:
        key = storage.keys.export_public_key(CLAIM_KEY)
        stranger = STRANGER.issue(key, {"common_name": "claim"})
        storage.ps.set(Uid.CLAIM_CERTIFICATE, stranger)

    finished = line.boot(state)

    assert finished.code == ExitCode.DENIED
    assert "or is registered in another account or region" in next_step(finished)
    install_claim(state, right)
    assert_let_in(line, state)


@of(*CLAIM)
def test_claim_that_has_expired_is_named_before_the_first_packet(
    line: ProductionLine, state: Path
) -> None:
    right = claim_of(line.make(state))
    with open_device_storage(state) as storage:
        key = storage.keys.export_public_key(CLAIM_KEY)
        yesterday = TODAY - timedelta(days=1)
        expired = STRANGER.issue(key, {"common_name": "claim"}, not_after=yesterday)
        storage.ps.set(Uid.CLAIM_CERTIFICATE, expired)

    finished = line.boot(state)

    assert finished.code == ExitCode.CONFIGURATION_INVALID
    assert "its certificate expired at" in finished.error["message"]
    assert "Have the station install" in next_step(finished)
    install_claim(state, right)
    assert_let_in(line, state)


def claim_of(state: Path) -> bytes:
    with open_device_storage(state, read_only=True) as storage:
        return storage.ps.get(Uid.CLAIM_CERTIFICATE)


def install_claim(state: Path, pem: bytes) -> None:
    with open_device_storage(state) as storage:
        storage.ps.set(Uid.CLAIM_CERTIFICATE, pem)


@of("trusted-user")
def test_claim_of_another_key_or_of_nobody_is_not_used(line: ProductionLine, state: Path) -> None:
    line.make(state)
    place = state.parent / "claim.json"
    assert line.run("claim", "--trusted-user", "--to", place).code == 0
    right = json.loads(place.read_text())
    stranger = STRANGER.certificate_pem.decode()

    place.write_text(json.dumps(right | {"certificatePem": stranger}))
    words = ("boot", "--state", state, "--config", CONFIG / "trusted-user.yaml")
    with running(*words, "--wait-for-claim", place) as process:
        said = ""
        while "refused" not in said:
            said = line_from(process.process, process.process.stderr)
        finished = process.stop()

    assert "the key does not belong to its certificate" in said
    assert finished.code == ExitCode.TRY_LATER  # it would have waited on
    assert "Boot again" in next_step(finished)
    assert_let_in(line, state)


# --- the template -------------------------------------------------------------------------


def disable(line: ProductionLine) -> None:
    line.client("iot").update_provisioning_template(
        templateName=TEMPLATES[line.method], enabled=False
    )


def delete(line: ProductionLine) -> None:
    line.client("iot").delete_provisioning_template(templateName=TEMPLATES[line.method])


@of(*CLAIM)
@pytest.mark.parametrize("spoil", [disable, delete])
def test_template_that_is_disabled_or_missing(
    line: ProductionLine, state: Path, spoil: Callable[[ProductionLine], None]
) -> None:
    line.make(state)
    spoil(line)

    finished = rejected(line, state, "InvalidTemplate")

    assert "Check that claim.template exists and is enabled." in next_step(finished)
    prepare_again(line)
    assert "certificate issued" not in assert_let_in(line, state).steps, "it has that one still"


@pytest.mark.parametrize(
    ("line", "properties"),
    [
        ("claim", {"ThingTypeName": "no-such-one"}),
        ("claim-aws-keys", {"ThingGroups": ["no-such-one"]}),
        ("claim-own-ca", {"ThingTypeName": "no-such-one"}),
        ("trusted-user", {"BillingGroup": "no-such-one"}),
    ],
    indirect=["line"],
)
def test_type_or_group_that_is_missing(
    line: ProductionLine, state: Path, properties: dict[str, object]
) -> None:
    line.make(state)
    iot, name = line.client("iot"), TEMPLATES[line.method]
    body = json.loads(iot.describe_provisioning_template(templateName=name)["templateBody"])
    body["Resources"]["thing"]["Properties"] |= properties
    iot.create_provisioning_template_version(
        templateName=name, templateBody=json.dumps(body), setAsDefault=True
    )

    finished = rejected(line, state, "ProvisioningFailed")

    assert "no-such-one not found" in finished.error["message"]
    assert "check the things, groups, types and policies that it names" in next_step(finished)
    prepare_again(line)
    assert_let_in(line, state)


@of(*BY_CLAIM)
def test_role_that_may_not_do_what_the_template_asks(line: ProductionLine, state: Path) -> None:
    line.make(state)
    take_rights_of_template(line)

    finished = rejected(line, state, "AccessDenied")

    assert "the template's provisioning role lacks a permission" in next_step(finished)
    prepare_again(line)
    assert_let_in(line, state)


def without_parameters(method: str, folder: Path) -> Path:
    """Write the settings of ``method`` again, without parameters; return the file."""
    settings = yaml.safe_load((CONFIG / config_name(method)).read_text())
    settings["claim"]["parameters"] = {}
    settings["claim"]["template_file"] = str(CONFIG / settings["claim"]["template_file"])
    file = folder / "without.yaml"
    file.write_text(yaml.safe_dump(settings))
    return file


@of(*BY_CLAIM)
def test_parameter_that_is_not_sent(line: ProductionLine, state: Path) -> None:
    line.make(state)
    without = ("--config", without_parameters(line.method, state.parent))

    noticed = line.boot_with_claim(state, *without)
    unchecked = {"DEVICE_CLAIM__TEMPLATE_FILE": ""}
    unnoticed = rejected(line, state, "InvalidParameters", *without, **unchecked)

    assert noticed.code == ExitCode.CONFIGURATION_INVALID
    assert "claim.parameters.SerialNumber" in noticed.error["message"]
    assert "The template refers to SerialNumber, which the device does not send" in next_step(
        unnoticed
    )
    assert_let_in(line, state)
