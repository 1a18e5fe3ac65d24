"""What does factory explain say of a device of which the account knows nothing?"""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from factory.account.cloud import Account, Response, Value
from factory.diagnosis.explanation import explain
from factory.diagnosis.reason import Reason, refused
from factory.diagnosis.subject import Asked, Subject
from factory.errors.cloud import NotInCloudError
from factory.station.ledger import Entry, Result


class EmptyAccount:
    """Has no resource at all; its lists are empty."""

    @property
    def account(self) -> Account:
        return Account("123456789012", "eu-central-1")

    def call(self, service: str, operation: str, **parameters: Value) -> Response:
        if operation.startswith("List"):
            return {}
        raise NotInCloudError(f"{service}:{operation}", "NotFound", f"no {list(parameters)}")

    def pages(self, service: str, operation: str, **parameters: Value) -> Iterator[Response]:
        yield self.call(service, operation, **parameters)


def entry(result: Result, method: str = "jitp") -> Entry:
    return Entry(
        serial_number="SN-1", device_id="d", at=datetime(2026, 1, 1, tzinfo=UTC), method=method,
        batch=None, result=result, folder="/my devices/SN-1",
    )  # fmt: skip


def reasons(made: Entry | None) -> list[Reason]:
    return explain(Subject(EmptyAccount(), Asked(serial="SN-1", made=made))).reasons


@pytest.mark.parametrize(
    ("made", "code", "step"),
    [
        (None, "FB-825", "Check the serial number, the account and the Region"),
        (entry(Result.MADE), "FB-802", "device boot --state '/my devices/SN-1'"),
        (entry(Result.BEGUN), "FB-802", "Run the same factory command again"),
        (entry(Result.FAILED), "FB-802", "factory make"),
        (entry(Result.RETIRED), "FB-802", "factory make"),
    ],
    ids=["unknown", "made", "begun", "failed", "retired"],
)
def test_the_first_reason_says_what_the_ledger_knows(
    made: Entry | None, code: str, step: str
) -> None:
    [only] = reasons(made)
    assert only.code == code
    assert "has no thing SN-1" in only.evidence
    assert step in only.next_step


def test_an_account_without_a_template_stops_a_device_by_claim() -> None:
    assert [each.code for each in reasons(entry(Result.MADE, "claim"))] == ["FB-816", "FB-802"]


def test_the_error_does_not_repeat_the_reason_that_is_shown() -> None:
    found = reasons(None)
    error = refused(found)
    assert error.code == "FB-825"
    assert "factory explain FB-825" in error.next_step
    assert found[0].evidence not in str(error)
    assert found[0].next_step not in error.next_step
