"""A device is made for the account and Region that its method was prepared in, or not at all."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from factory.account.cloud import Account, Response, Value
from factory.errors import CLOUD_NOT_REACHABLE, OTHER_ACCOUNT
from factory.methods.prepared_account import (
    check_endpoint_of,
    check_prepared,
    forget_prepared,
    note_prepared,
)
from factory.station.station import Station, open_or_make_station
from tests.support.errors import raises
from tests.unit.test_factory_station import NOW

HERE = Account("111111111111", "eu-central-1")
THERE = Account("222222222222", "eu-central-1")
ELSEWHERE = Account("111111111111", "us-east-1")


def endpoint_of(account: Account) -> str:
    return f"a{account.account_id}-ats.iot.{account.region}.amazonaws.com:8883"


@dataclass
class Place:
    """A cloud that tells whose it is and what its endpoint is, if it is reached."""

    at: Account = HERE
    is_reached: bool = True
    asked: list[str] = field(default_factory=list)

    @property
    def account(self) -> Account:
        self.asked.append("account")
        if not self.is_reached:
            raise CLOUD_NOT_REACHABLE.error("nobody answers")
        return self.at

    def call(self, service: str, operation: str, **parameters: Value) -> Response:
        assert (service, operation) == ("iot", "DescribeEndpoint")
        return {"endpointAddress": endpoint_of(self.at).partition(":")[0]}

    def pages(self, service: str, operation: str, **parameters: Value) -> Iterator[Response]:
        raise NotImplementedError


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    with open_or_make_station(tmp_path) as station:
        yield station


@pytest.mark.parametrize("other", [THERE, ELSEWHERE])
@pytest.mark.parametrize("method", ["claim", "jitp", "jitr", "trusted-user", "bulk"])
def test_credentials_of_another_account_or_region_are_refused(
    station: Station, method: str, other: Account
) -> None:
    note_prepared(station, method, Place(HERE))
    with raises(OTHER_ACCOUNT) as raised:
        check_prepared(station, method, [Place(other)], None)
    assert str(HERE) in str(raised.value)
    assert str(other) in str(raised.value)


@pytest.mark.parametrize("given", [None, "localhost:8883", endpoint_of(HERE), "iot.example.com:1"])
def test_the_same_account_is_taken(station: Station, given: str | None) -> None:
    note_prepared(station, "claim", Place(HERE))
    check_prepared(station, "claim", [Place(HERE)], given)


@pytest.mark.parametrize("other", [THERE, ELSEWHERE])
def test_endpoint_of_another_account_is_refused_without_a_network(
    station: Station, other: Account
) -> None:
    note_prepared(station, "claim", Place(HERE))
    unreached = Place(is_reached=False)
    with raises(OTHER_ACCOUNT) as raised:
        check_prepared(station, "claim", [unreached], endpoint_of(other))
    assert HERE.account_id in str(raised.value)
    assert endpoint_of(other).partition(":")[0] in str(raised.value)


def test_own_endpoint_is_taken_without_a_network(station: Station) -> None:
    note_prepared(station, "claim", Place(HERE))
    check_prepared(station, "claim", [Place(is_reached=False)], endpoint_of(HERE).upper())


def test_account_that_must_be_asked_is_missed(station: Station) -> None:
    note_prepared(station, "claim", Place(HERE))
    with raises(CLOUD_NOT_REACHABLE):
        check_prepared(station, "claim", [Place(is_reached=False)], None)


def test_claim_of_a_station_that_noted_nothing_tells_its_account(station: Station) -> None:
    station.begin_claim(HERE, NOW)
    with raises(OTHER_ACCOUNT, match="222222222222"):
        check_prepared(station, "claim-aws-keys", [Place(THERE)], endpoint_of(HERE))
    with raises(OTHER_ACCOUNT, match="us-east-1"):
        check_prepared(station, "claim", [Place(is_reached=False)], endpoint_of(ELSEWHERE))


def test_method_may_be_prepared_in_several_accounts(station: Station) -> None:
    for each in (HERE, THERE):
        note_prepared(station, "jitp", Place(each))
    for each in (HERE, THERE):
        check_prepared(station, "jitp", [Place(each)], endpoint_of(each))
    forget_prepared(station, "jitp", Place(THERE))
    with raises(OTHER_ACCOUNT):
        check_prepared(station, "jitp", [Place(THERE)], None)
    check_prepared(station, "jitp", [Place(HERE)], None)


def test_each_account_that_is_named_is_looked_at(station: Station) -> None:
    note_prepared(station, "jitr", Place(HERE))
    with raises(OTHER_ACCOUNT):
        check_prepared(station, "jitr", [Place(HERE), Place(THERE)], None)


def test_both_methods_by_claim_are_prepared_together(station: Station) -> None:
    note_prepared(station, "claim", Place(HERE))
    with raises(OTHER_ACCOUNT):
        check_prepared(station, "claim-aws-keys", [Place(THERE)], None)


def test_devices_for_any_account_are_not_looked_at(station: Station) -> None:
    note_prepared(station, "multi-account", Place(HERE))
    check_prepared(station, "multi-account", [Place(THERE)], None)


def test_teardown_of_everything_forgets_everything(station: Station) -> None:
    note_prepared(station, "claim", Place(HERE))
    note_prepared(station, "jitp", Place(HERE))
    forget_prepared(station, None, Place(HERE))
    assert station.prepared("claim") == station.prepared("jitp") == []


def test_nobody_is_asked_for_a_method_that_noted_nothing(station: Station) -> None:
    cloud = Place()
    check_prepared(station, "jitp", [cloud], None)
    assert cloud.asked == []


def test_device_is_not_registered_in_one_account_to_connect_to_another() -> None:
    with raises(OTHER_ACCOUNT) as raised:
        check_endpoint_of(Place(HERE), endpoint_of(THERE))
    assert HERE.account_id in str(raised.value)
    assert "a222222222222-ats" in str(raised.value)


@pytest.mark.parametrize(
    "given", [None, "localhost:8883", "iot.example.com:443", endpoint_of(HERE)]
)
def test_own_endpoint_and_those_that_are_not_of_aws_are_taken(given: str | None) -> None:
    check_endpoint_of(Place(HERE), given)
