"""A device that is replaced loses its certificates and its thing, wherever AWS knows of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from device.config.methods import JUST_IN_TIME_METHODS
from factory.account.cloud import Account, Response, Value
from factory.errors import (
    CLOUD_DENIED,
    REGISTERED_ELSEWHERE,
    SERIAL_NUMBER_UNKNOWN,
    NotInCloudError,
)
from factory.making.retirement import devices_of, enter_retired, retire, retire_for_good
from factory.station.ledger import Entry, Ledger, Result
from tests.support.errors import raises
from tests.support.station_cloud import CutCloud, PowerCutError

HERE = Account("111111111111", "eu-central-1")
ARN = "arn:aws:iot:eu-central-1:111111111111:cert/"


@dataclass
class Registry:
    """Certificates by id with their status, and the things that each is attached to."""

    status: dict[str, str] = field(default_factory=dict)
    things: dict[str, list[str]] = field(default_factory=dict)
    released: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    denied: str = ""
    account: Account = HERE

    def call(self, service: str, operation: str, **parameters: Value) -> Response:
        if operation == self.denied:
            raise CLOUD_DENIED.error("no", action=f"{service}:{operation}")
        if operation == "UpdateItem":
            self.released.append(str(parameters["Key"]))
            return {}
        if operation == "DeleteThing":
            self.deleted.append(str(parameters["thingName"]))
            return {}
        identifier = str(parameters.get("certificateId") or parameters.get("principal"))
        identifier = identifier.removeprefix(ARN)
        if identifier not in self.status:
            raise NotInCloudError(f"{service}:{operation}", "ResourceNotFoundException", "none")
        if operation == "UpdateCertificate":
            self.status[identifier] = str(parameters["newStatus"])
        if operation == "DetachThingPrincipal":
            self.things[identifier].remove(str(parameters["thingName"]))
        described: Response = {
            "certificateArn": ARN + identifier, "status": self.status[identifier],
        }  # fmt: skip
        return {"certificateDescription": described}

    def pages(self, service: str, operation: str, **parameters: Value) -> Iterator[Response]:
        if operation == "ListThingPrincipals":
            attached = [each for each, on in self.things.items() if parameters["thingName"] in on]
            yield {"principals": [ARN + each for each in attached]}
        elif operation == "ListTargetsForPolicy":
            yield {"targets": []}
        else:
            yield {"things": list(self.things[str(parameters["principal"]).removeprefix(ARN)])}


def former(method: str, certificate_id: str | None = None, *accounts: str) -> Entry:
    return Entry(
        serial_number="SN-1", device_id="a" * 32, at=datetime(2026, 3, 1, tzinfo=UTC),
        method=method, batch=None, result=Result.MADE, folder="/d/SN-1",
        certificate_id=certificate_id, accounts=accounts,
    )  # fmt: skip


def test_its_own_certificate_and_those_of_its_thing_are_turned_off_and_detached() -> None:
    cloud = Registry(
        {"own": "ACTIVE", "renewed": "ACTIVE", "theirs": "ACTIVE"},
        {"own": ["SN-1"], "renewed": ["SN-1"], "theirs": ["SN-2"]},
    )
    said = retire(former("bulk", "own"), "SN-1", [cloud])
    assert cloud.status == {"own": "INACTIVE", "renewed": "INACTIVE", "theirs": "ACTIVE"}
    assert cloud.things == {"own": [], "renewed": [], "theirs": ["SN-2"]}
    assert [words.split()[2] for words in said] == ["own", "renewed"]


def test_revoked_certificate_stays_revoked() -> None:
    cloud = Registry({"own": "REVOKED"}, {"own": ["SN-1"]})
    retire(former("bulk", "own"), "SN-1", [cloud])
    assert cloud.status == {"own": "REVOKED"}
    assert cloud.things == {"own": []}


@pytest.mark.parametrize("method", JUST_IN_TIME_METHODS)
def test_certificate_that_aws_would_register_yet_is_named(method: str) -> None:
    said = retire(former(method, "own"), "SN-1", [Registry()])
    words = "its certificate own is not registered in account 111111111111, eu-central-1 yet, and"
    assert said == [f"{words} would be if it connected: destroy /d/SN-1"]


def test_device_by_claim_that_never_came_is_named_with_its_folder() -> None:
    (words,) = retire(former("claim"), "SN-1", [Registry()])
    assert words.startswith("no certificate of it is registered")
    assert words.endswith("destroy /d/SN-1")


@pytest.mark.parametrize(("method", "entries"), [("jitr", 1), ("jitp", 0)])
def test_allow_list_lets_the_next_device_have_the_serial_number(method: str, entries: int) -> None:
    cloud = Registry({"own": "ACTIVE"}, {"own": ["SN-1"]})
    retire(former(method, "own"), "SN-1", [cloud])
    assert len(cloud.released) == entries


def test_what_aws_refuses_is_told_with_the_commands() -> None:
    cloud = Registry({"own": "ACTIVE"}, {"own": ["SN-1"]}, denied="UpdateCertificate")
    (words,) = retire(former("bulk", "own"), "SN-1", [cloud])
    assert "could not be turned off (not allowed to call iot:UpdateCertificate" in words
    assert "aws iot update-certificate" in words


def test_account_that_was_not_named_is_told() -> None:
    accounts = ("111111111111:eu-central-1", "222222222222:us-east-1")
    *_, words = retire(former("multi-account", "own", *accounts), "SN-1", [Registry()])
    assert "it is registered in 222222222222:us-east-1, too" in words


def active(cloud: Registry) -> list[str]:
    return [each for each, status in cloud.status.items() if status not in {"INACTIVE", "REVOKED"}]


@pytest.mark.parametrize("delete_thing", [True, False])
def test_retired_for_good_leaves_nothing_active_and_the_thing_as_wanted(delete_thing: bool) -> None:
    cloud = Registry({"own": "ACTIVE", "new": "PENDING_ACTIVATION"}, {"own": [], "new": ["SN-1"]})
    (done,) = retire_for_good(former("jitp", "own"), "SN-1", [cloud], delete_thing=delete_thing)
    assert (active(cloud), cloud.things) == ([], {"own": [], "new": []})
    assert cloud.deleted == (["SN-1"] if delete_thing else [])
    assert done.certificates == ("own", "new")


def test_refusal_is_an_error_where_a_device_is_retired_for_good() -> None:
    cloud = Registry({"own": "ACTIVE"}, {"own": ["SN-1"]}, denied="DetachThingPrincipal")
    with raises(CLOUD_DENIED):
        retire_for_good(former("bulk", "own"), "SN-1", [cloud], delete_thing=True)
    assert cloud.deleted == []


def test_account_that_was_not_named_is_an_error_before_anything_is_changed() -> None:
    cloud = Registry({"own": "ACTIVE"}, {"own": ["SN-1"]})
    device = former("multi-account", "own", HERE.words, "222222222222:us-east-1")
    with raises(REGISTERED_ELSEWHERE, match="also registered in 222222222222:us-east-1;"):
        retire_for_good(device, "SN-1", [cloud], delete_thing=False)
    assert active(cloud) == ["own"]


@pytest.mark.parametrize("reply_lost", [True, False])
def test_retirement_that_was_cut_anywhere_is_completed_by_the_next_run(reply_lost: bool) -> None:
    for cut_at in range(1, 6):
        cloud = Registry({"own": "ACTIVE", "new": "ACTIVE"}, {"own": ["SN-1"], "new": ["SN-1"]})
        cut = CutCloud(cloud, cut_at, reply_lost=reply_lost)
        with pytest.raises(PowerCutError):
            retire_for_good(former("bulk", "own"), "SN-1", [cut], delete_thing=True)
        retire_for_good(former("bulk", "own"), "SN-1", [cloud], delete_thing=True)
        assert (active(cloud), cloud.things) == ([], {"own": [], "new": []})
        assert "SN-1" in cloud.deleted


def test_ledger_says_retired_once_and_frees_the_serial_number(tmp_path: Path) -> None:
    ledger, device = Ledger(tmp_path), former("bulk", "own")
    with ledger.locked():
        ledger.append(device)
    for _ in range(2):
        (found,) = devices_of(ledger.entries(), "SN-1")
        enter_retired(ledger, found, "off")
    assert [each.result for each in ledger.entries()] == [Result.MADE, Result.RETIRED]


def test_device_that_was_never_made_cannot_be_retired() -> None:
    failed = msgspec.structs.replace(former("bulk"), result=Result.FAILED)
    with raises(SERIAL_NUMBER_UNKNOWN, match="SN-1"):
        devices_of([failed], "SN-1")


def test_device_that_was_replaced_is_left_alone_as_long_as_another_has_its_number() -> None:
    gone = msgspec.structs.replace(former("bulk"), result=Result.RETIRED)
    now = msgspec.structs.replace(former("bulk"), device_id="b" * 32)
    assert devices_of([gone, now], "SN-1") == [now]
