"""What does factory explain say of a device of which the account knows nothing?"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from device.errors import ConfigurationError
from factory.account.cloud import Account, Response, Value
from factory.diagnosis.audit import Audit
from factory.diagnosis.explanation import explain
from factory.diagnosis.reason import Reason, refused
from factory.diagnosis.subject import Asked, Subject
from factory.errors.cloud import NotInCloudError
from factory.station.ledger import Entry, Result
from tests.support.certificates import DeviceAuthority, new_key
from tests.support.devices import AUTHORITY


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


def test_the_certificate_that_a_just_in_time_device_holds_leads_to_its_ca() -> None:
    pem = AUTHORITY.issue(new_key().public_key(), {"common_name": "SN-1"})
    asked = Asked(serial="SN-1", made=entry(Result.MADE), installed_pem=pem)
    found = explain(Subject(EmptyAccount(), asked)).reasons
    assert [each.code for each in found] == ["FB-814", "FB-802"]


def test_a_folder_in_which_no_local_aws_runs_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no local AWS answers"):
        explain(Subject(EmptyAccount(), Asked(serial="SN-1")), tmp_path)


class AccountWithCas(EmptyAccount):
    """Has CAs, one on each page of their list, that leave a new certificate to a rule."""

    def __init__(self, *pems: bytes, rules: tuple[Response, ...] = ()) -> None:
        self._cas = {f"ca-{number}": pem.decode() for number, pem in enumerate(pems)}
        self._rules = rules

    def call(self, service: str, operation: str, **parameters: Value) -> Response:
        if operation == "DescribeCACertificate":
            identifier = str(parameters["certificateId"])
            return {
                "certificateDescription": {
                    "certificateId": identifier, "certificatePem": self._cas[identifier],
                    "status": "ACTIVE", "autoRegistrationStatus": "ENABLE",
                }
            }  # fmt: skip
        return super().call(service, operation, **parameters)

    def pages(self, service: str, operation: str, **parameters: Value) -> Iterator[Response]:
        if operation == "ListCACertificates":
            for identifier in self._cas:
                yield {"certificates": [{"certificateId": identifier}]}
        elif operation == "ListTopicRules":
            for rule in self._rules:
                yield {"rules": [rule]}
        else:
            yield {}


PEM = AUTHORITY.issue(new_key().public_key(), {"common_name": "SN-1"})


def codes_in(account: EmptyAccount) -> list[str]:
    return [each.code for each in explain(Subject(account, Asked(certificate_pem=PEM))).reasons]


def test_the_ca_of_a_certificate_is_found_on_any_page() -> None:
    account = AccountWithCas(DeviceAuthority("another").certificate_pem, AUTHORITY.certificate_pem)
    assert codes_in(account) == ["FB-819", "FB-801"]


def test_a_ca_of_the_same_name_and_another_key_has_not_signed_it() -> None:
    assert codes_in(AccountWithCas(DeviceAuthority().certificate_pem)) == ["FB-814", "FB-801"]


@pytest.mark.parametrize(
    ("pattern", "hears"),
    [
        ("$aws/events/certificates/registered/ca-0", True),
        ("$aws/events/certificates/registered/+", True),
        ("$aws/events/certificates/registered/#", True),
        ("$aws/events/#", True),
        ("#", False),
        ("$aws/events/certificates/registered/ca-00", False),
    ],
)
def test_a_rule_on_any_filter_of_the_events_hears_of_a_ca(pattern: str, *, hears: bool) -> None:
    rule: Response = {"topicPattern": pattern, "ruleName": "r"}
    account = AccountWithCas(AUTHORITY.certificate_pem, rules=(rule,))
    assert ("FB-819" in codes_in(account)) is not hears
    assert ("FB-864" in audited(account)) is not hears


def audited(account: EmptyAccount) -> list[str]:
    return [each.code for each in Audit(account).findings()]


def test_a_rule_that_is_disabled_activates_nothing() -> None:
    rule: Response = {"topicPattern": "$aws/events/#", "ruleName": "r", "ruleDisabled": True}
    assert audited(AccountWithCas(AUTHORITY.certificate_pem, rules=(rule,))) == ["FB-864"]
