"""The station's CAs with their keys in a secure element: the whole jitp line, cuts, refusals."""

import multiprocessing
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import pytest

from device.errors.element import PIN_UNAVAILABLE
from device.storage.device_storage import open_device_storage
from device.storage.element.cryptoki import Template
from device.storage.element.cryptoki_codes import Attribute, ObjectClass
from device.storage.element.installation import InstalledElement, plan_of
from device.storage.element.pin import PinMemory
from device.storage.element.secure_element import ElementSession, SecureElement
from device.storage.keys import KeyLocation
from factory import BatchOrder, OrderOptions, Station
from factory.account.cloud import Account
from factory.errors import ELEMENT_CHOICE
from factory.station.authorities import ISSUING, ROOT
from factory.station.ledger import Ledger
from factory.station.serial_list import Row
from factory.station.station import open_or_make_station, open_station
from tests.support.elements import PIN, ElementBench, module_of
from tests.support.errors import raises
from tests.support.production_line import ProductionLine, production_line
from tests.wire.conftest import LocalCloud

NOW = datetime(2026, 11, 23, tzinfo=UTC)
ACCOUNT = "441987654321"


class PowerCutError(BaseException):
    """The station's plug was pulled."""


class CutTime(datetime):
    """A time at which the power fails: when a certificate is about to be signed."""

    def __sub__(self, _: object) -> NoReturn:
        raise PowerCutError


class NoPins(PinMemory):
    """Remembers nothing: the PIN of these tests is right."""

    def __init__(self) -> None:
        super().__init__(record_bytes=1, at_most=1)

    def _record(self, _token: str, _pin: str, _like: bytes | None) -> bytes:
        return b"-"

    def _read(self) -> bytes | None:
        return None

    def _write(self, _: bytes) -> None:
        raise AssertionError("a PIN was refused")

    def _erase(self) -> None:
        """There is nothing."""


def private_keys(uri: str) -> int:
    """Return how many private keys the token holds."""
    plan = plan_of(InstalledElement(uri))
    element = SecureElement(module_of(plan), plan.uri, lambda: PIN, NoPins())

    def count(session: ElementSession) -> int:
        wanted: Template = {Attribute.CLASS: ObjectClass.PRIVATE_KEY}
        return len(session.module.find(session.handle, wanted))

    return element.run(count)


@pytest.fixture
def uri(softhsm: ElementBench, label: str) -> str:
    return softhsm.new_token(label.replace("dev-", "ca-")).uri


@pytest.fixture
def line(local_cloud: LocalCloud, tmp_path: Path) -> Iterator[ProductionLine]:
    local_cloud.admin("PUT", "settings", {"jitp_seconds": 0.2})
    with production_line(local_cloud, ACCOUNT, tmp_path / "line", "jitp") as line:
        yield line


def test_whole_jitp_line_runs_with_the_cas_key_in_the_element(
    line: ProductionLine, uri: str, tmp_path: Path
) -> None:
    made = line.run("ca", "init", "--element", uri)
    assert made.code == 0, made.err
    assert f"key: {uri.partition('?')[0]};object=firstboot.jitp-ca-key" in made.out
    assert line.prepare().code == 0

    state = line.make(tmp_path / "HSM-1")

    assert line.boot(state).code == 0
    assert len(line.active("HSM-1")) == 1
    with open_device_storage(line.station, read_only=True) as storage:
        names = storage.keys.keys()
        keys = [storage.keys.get_key_attributes(each) for each in names]
    assert {each.location for each in keys} == {KeyLocation.PRIMARY_SECURE_ELEMENT}
    assert not any(each.exportable for each in keys)
    assert [each.result.value for each in Ledger(line.station).entries()] == ["begun", "made"]


def test_batch_is_made_in_one_process_so_that_the_element_has_one_login(
    line: ProductionLine, uri: str, tmp_path: Path
) -> None:
    assert line.run("ca", "init", "--element", uri).code == 0
    station = Station(line.station, environment=line.environment)
    station.prepare("jitp")
    serials = [Row(f"HSM-{number}") for number in range(40)]
    order = BatchOrder("LOT", OrderOptions("jitp"), serials, tmp_path.joinpath)
    found = 0
    for piece in station.make_batch(order, jobs=4):
        assert piece.failed is None
        found += 1
        assert multiprocessing.active_children() == []
    assert found == 40


def test_every_ca_signs_in_the_element_after_the_station_was_opened_again(
    uri: str, tmp_path: Path
) -> None:
    with open_or_make_station(tmp_path) as station:
        station.authorities.use_element(uri)
        station.authorities.ensure(NOW)
    with open_station(tmp_path, read_only=True) as station:
        root = station.authorities.open(ROOT)
        for name in ISSUING:
            issuing = station.authorities.open(name)
            issuing.certificate.verify_directly_issued_by(root.certificate)
            assert issuing.key.public_key() == issuing.certificate.public_key()


def test_claim_of_such_a_station_stays_in_software(uri: str, tmp_path: Path) -> None:
    with open_or_make_station(tmp_path) as station:
        station.authorities.use_element(uri)
        station.authorities.ensure(NOW)
        station.begin_claim(Account("123456789012", "eu-central-1"), NOW)
        assert "BEGIN CERTIFICATE REQUEST" in station.claim_csr()


@pytest.mark.parametrize("before", [[], [ROOT], [ROOT, "jitp"]])
def test_key_that_a_cut_left_in_the_element_gives_way_to_the_next(
    before: list[str], uri: str, tmp_path: Path
) -> None:
    with open_or_make_station(tmp_path) as station:
        station.authorities.use_element(uri)
        if before:
            station.authorities.ensure(NOW, before[1:])
        with pytest.raises(PowerCutError):
            station.authorities.ensure(CutTime(2026, 11, 23, tzinfo=UTC))
    with open_station(tmp_path) as station:
        station.authorities.ensure(NOW)
        assert [each["ca"] for each in station.authorities.described()] == [ROOT, *ISSUING]
    assert private_keys(uri) == 1 + len(ISSUING)


def test_cas_that_have_their_keys_in_software_stay_there(uri: str, tmp_path: Path) -> None:
    with open_or_make_station(tmp_path) as station:
        station.authorities.ensure(NOW, ["jitp"])
        with raises(ELEMENT_CHOICE, match="sealed:root-ca-key"):
            station.authorities.use_element(uri)
        station.authorities.ensure(NOW)
    assert private_keys(uri) == 0


def test_element_is_named_once_and_may_be_named_again(uri: str, tmp_path: Path) -> None:
    with open_or_make_station(tmp_path) as station:
        station.authorities.use_element(uri)
        station.authorities.ensure(NOW)
        station.authorities.use_element(uri)
        assert {each["key"].partition(":")[0] for each in station.authorities.described()} == {
            "pkcs11"
        }


def test_element_that_cannot_be_opened_can_be_named_again_rightly(uri: str, tmp_path: Path) -> None:
    missing = uri.replace("pin-source=/", "pin-source=/no/such/")
    with open_or_make_station(tmp_path) as station, raises(PIN_UNAVAILABLE):
        station.authorities.use_element(missing)
    with open_or_make_station(tmp_path) as station:
        station.authorities.use_element(uri)
        station.authorities.ensure(NOW)


def test_element_that_names_one_key_is_refused(uri: str, tmp_path: Path) -> None:
    token, _, rest = uri.partition("?")
    with (
        open_or_make_station(tmp_path) as station,
        raises(ELEMENT_CHOICE, match="one key by its id"),
    ):
        station.authorities.use_element(f"{token};id=%01?{rest}")
