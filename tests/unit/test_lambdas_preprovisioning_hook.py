"""The claim's hook: a device is provisioned if it is known, and proves that it is the one."""

import hmac
from collections.abc import Mapping
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas import preprovisioning_hook
from lambdas.preprovisioning_hook import DENIED, handler, proof

KEY = bytes(range(32))
ID = "1d" * 32
GOOD = hmac.new(KEY, f"SN-1.{ID}".encode(), "sha256").hexdigest()


class FakeDynamoDb:
    """An allow-list with one device."""

    def __init__(self) -> None:
        self.items: dict[str, Mapping[str, Any]] = {"SN-1": {"ProofKey": {"B": KEY}}}

    def get_item(self, *, TableName: str, Key: Any, ConsistentRead: bool) -> Any:  # noqa: N803 - AWS's names
        assert (TableName, ConsistentRead) == ("list", True)
        item = self.items.get(Key["SerialNumber"]["S"])
        return {"Item": item} if item else {}


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> FakeDynamoDb:
    fake = FakeDynamoDb()
    monkeypatch.setattr(boto3, "client", lambda _service: fake)
    monkeypatch.setenv("ALLOW_LIST", "list")
    return fake


def asked(**parameters: Any) -> Mapping[str, Any]:
    """Return the hook's answer, to an event as AWS sends it (developer guide)."""
    event = {
        "claimCertificateId": "c1" * 32,
        "certificateId": ID,
        "certificatePem": "-----BEGIN CERTIFICATE-----",
        "templateArn": "arn:aws:iot:eu-central-1:123456789012:provisioningtemplate/firstboot-claim",
        "clientId": "claim-SN-1",
        "parameters": parameters,
    }
    return handler(event, None)


@pytest.mark.usefixtures("table")
def test_known_device_with_its_proof_is_allowed() -> None:
    assert asked(SerialNumber="SN-1", Proof=GOOD) == {
        "allowProvisioning": True,
        "parameterOverrides": {"SerialNumber": "SN-1"},
    }


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"SerialNumber": "SN-1"},
        {"SerialNumber": "", "Proof": GOOD},
        {"SerialNumber": "SN-2", "Proof": GOOD},
        {"SerialNumber": "SN-1", "Proof": ""},
        {"SerialNumber": "SN-1", "Proof": GOOD.upper()},
        {"SerialNumber": "SN-1", "Proof": GOOD[:-1]},
        {"SerialNumber": "SN-1", "Proof": "é" * 64},
        {"SerialNumber": ["SN-1"], "Proof": GOOD},
    ],
)
def test_everybody_else_is_denied(parameters: dict[str, Any]) -> None:
    assert asked(**parameters) == DENIED


@pytest.mark.usefixtures("table")
def test_proof_for_another_certificate_is_of_no_use() -> None:
    overheard = hmac.new(KEY, f"SN-1.{'2e' * 32}".encode(), "sha256").hexdigest()
    assert asked(SerialNumber="SN-1", Proof=overheard) == DENIED


@pytest.mark.usefixtures("table")
def test_event_without_parameters_is_denied() -> None:
    assert handler({"certificateId": ID, "parameters": None}, None) == DENIED


def test_device_of_another_method_has_no_key_and_is_denied(table: FakeDynamoDb) -> None:
    table.items["SN-1"] = {"CertificateId": {"S": ID}}
    assert asked(SerialNumber="SN-1", Proof=GOOD) == DENIED


def test_factorys_overrides_go_to_the_template_and_the_serial_number_stays(
    table: FakeDynamoDb,
) -> None:
    overrides = {"Fleet": {"S": "north"}, "SerialNumber": {"S": "SN-666"}}
    table.items["SN-1"] = {"ProofKey": {"B": KEY}, "ParameterOverrides": {"M": overrides}}
    answer = asked(SerialNumber="SN-1", Proof=GOOD, Fleet="south")
    assert answer["parameterOverrides"] == {"Fleet": "north", "SerialNumber": "SN-1"}


@pytest.mark.usefixtures("table")
def test_no_proof_and_no_key_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        asked(SerialNumber="SN-1", Proof=GOOD)
        asked(SerialNumber="SN-1", Proof="guessed")
    assert "'SN-1'" in caplog.text
    assert not [secret for secret in (GOOD, KEY.hex(), repr(KEY)) if secret in caplog.text]


@pytest.mark.usefixtures("table")
def test_certificates_that_were_given_up_are_logged_to_be_retired(
    caplog: pytest.LogCaptureFixture,
) -> None:
    one, other = "a1" * 32, "b2" * 32
    with caplog.at_level("WARNING"):
        asked(SerialNumber="SN-1", Proof=GOOD, GivenUpCertificates=f"{one},{other}")
    assert [record.getMessage() for record in caplog.records] == [
        f"retire: 'SN-1' gave up certificate {one}",
        f"retire: 'SN-1' gave up certificate {other}",
    ]


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize("claimed", ["", "none", "a1" * 33, "A1" * 32, "x\nretire: 'SN-2'", ["a"]])
def test_what_is_no_certificate_id_is_not_logged(
    caplog: pytest.LogCaptureFixture, claimed: object
) -> None:
    with caplog.at_level("WARNING"):
        assert asked(SerialNumber="SN-1", Proof=GOOD, GivenUpCertificates=claimed) != DENIED
    assert caplog.records == []


@pytest.mark.usefixtures("table")
def test_who_has_no_proof_can_have_no_certificate_retired(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING"):
        asked(SerialNumber="SN-1", Proof="guessed", GivenUpCertificates="a1" * 32)
    assert "retire" not in caplog.text


@given(key=st.binary(min_size=32, max_size=32), serial=st.text("SN-0123", min_size=1, max_size=9))
def test_proof_is_what_the_device_computes(key: bytes, serial: str) -> None:
    message = serial.encode() + b"." + ID.encode()  # device.runtime.enrolment
    assert proof(key, serial, ID).decode() == hmac.new(key, message, "sha256").hexdigest()


def test_default_answer_denies() -> None:
    assert preprovisioning_hook.DENIED == {"allowProvisioning": False}
