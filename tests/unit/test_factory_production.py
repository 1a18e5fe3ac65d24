"""A device from order to ledger: made once, resumed where it was cut, replaced on purpose."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from device.errors.storage import StorageExistsError
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.secure_storage import Uid
from factory.account.cloud import Account, Response, Value
from factory.account.documents import CONFIG
from factory.errors import CLOUD_NOT_REACHABLE, StationNotPreparedError
from factory.making.admission import Wanted, admit
from factory.making.new_device import DeviceOrder, make_device, new_device_id
from factory.making.unfinished_device import unfinished_device
from factory.methods.production import Product, finished, produce, produce_by
from factory.station.ledger import Ledger, Result
from factory.station.station import Station, open_or_make_station
from tests.support.certificates import certificate_for
from tests.support.errors import raises
from tests.unit.test_factory_station import NOW


class Unreached:
    """A cloud that nobody reaches."""

    @property
    def account(self) -> Account:
        raise CLOUD_NOT_REACHABLE.error("nobody answers")

    def call(self, service: str, operation: str, **parameters: Value) -> Response:
        raise CLOUD_NOT_REACHABLE.error(f"{operation} got no answer")

    def pages(self, service: str, operation: str, **parameters: Value) -> Iterator[Response]:
        raise CLOUD_NOT_REACHABLE.error(f"{operation} got no answer")


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    """A station with a claim."""
    with open_or_make_station(tmp_path / "station") as station:
        station.begin_claim(Account("123456789012", "eu-central-1"), NOW)
        station.keep_certificate("c0ffee", certificate_for(station.claim_csr()))
        station.confirm_active()
        yield station


def order(serial: str = "SN-1") -> DeviceOrder:
    return DeviceOrder(serial, new_device_id(), "h:1", b"a CA", CONFIG / "claim.yaml")


def make(station: Station, out: Path, *, again: bool = False, method: str = "claim") -> Product:
    return produce(method, Wanted(order(), out, again=again), station, [Unreached()])


def results(station: Station) -> list[Result]:
    return [each.result for each in Ledger(station.folder).entries()]


def device_id(out: Path) -> str:
    with open_device_storage(out, read_only=True) as storage:
        return storage.its.get(Uid.DEVICE_ID).decode()


def test_device_is_in_the_ledger_as_made(station: Station, tmp_path: Path) -> None:
    product = make(station, tmp_path / "d")
    _, made = Ledger(station.folder).entries()
    assert results(station) == [Result.BEGUN, Result.MADE]
    assert made.device_id == product.order.device_id == device_id(tmp_path / "d")


def test_device_that_was_finished_and_not_entered_is_entered_by_the_next_run(
    station: Station, tmp_path: Path
) -> None:
    wanted = Wanted(order(), tmp_path / "d")
    (admitted,) = admit(Ledger(station.folder), [wanted], "claim")
    make_device(admitted.order, tmp_path / "d", nothing)  # and here the plug is pulled

    product = make(station, tmp_path / "d")

    assert product.order.device_id == admitted.order.device_id
    assert results(station) == [Result.BEGUN, Result.MADE]


def test_device_that_was_begun_only_is_made_by_the_next_run(
    station: Station, tmp_path: Path
) -> None:
    (admitted,) = admit(Ledger(station.folder), [Wanted(order(), tmp_path / "d")], "claim")
    assert make(station, tmp_path / "d").order.device_id == admitted.order.device_id
    assert results(station) == [Result.BEGUN, Result.MADE]


def test_finished_device_of_another_serial_number_is_not_entered(
    station: Station, tmp_path: Path
) -> None:
    (admitted,) = admit(Ledger(station.folder), [Wanted(order(), tmp_path / "d")], "claim")
    make_device(replace(admitted.order, serial_number="SN-9"), tmp_path / "d", nothing)
    with pytest.raises(StorageExistsError, match="finished device"):
        make(station, tmp_path / "d")
    assert results(station) == [Result.BEGUN, Result.FAILED]


def nothing(storage: DeviceStorage) -> None:
    """Install no credentials."""


def test_failed_make_leaves_the_serial_number_free(station: Station, tmp_path: Path) -> None:
    with pytest.raises(StationNotPreparedError):
        make(station, tmp_path / "one", method="jitp")
    make(station, tmp_path / "two")
    assert results(station) == [Result.BEGUN, Result.FAILED, Result.BEGUN, Result.MADE]


def test_replaced_device_that_cannot_be_turned_off_is_told_with_the_commands(
    station: Station, tmp_path: Path
) -> None:
    first = make(station, tmp_path / "one")
    second = make(station, tmp_path / "two", again=True)
    (note,) = second.retired
    assert first.order.device_id[:8] in note
    assert "aws iot update-certificate --new-status INACTIVE" in note
    assert "aws iot detach-thing-principal --thing-name SN-1" in note
    retired = Ledger(station.folder).entries()[3]
    assert (retired.result, retired.device_id) == (Result.RETIRED, first.order.device_id)
    assert "could not be turned off" in retired.note


def test_folder_of_a_replaced_device_is_kept_aside(station: Station, tmp_path: Path) -> None:
    first = make(station, tmp_path / "d")
    second = make(station, tmp_path / "d", again=True)
    aside = tmp_path / f"d.{first.order.device_id[:8]}"
    assert device_id(aside) == first.order.device_id
    assert device_id(tmp_path / "d") == second.order.device_id
    assert any(str(aside) in each for each in second.retired)


def test_replaced_device_in_another_folder_stays_there(station: Station, tmp_path: Path) -> None:
    first = make(station, tmp_path / "one")
    make(station, tmp_path / "two", again=True)
    assert device_id(tmp_path / "one") == first.order.device_id


def test_device_that_is_not_allowed_gets_a_proof_and_the_allow_list_does_not(
    station: Station, tmp_path: Path
) -> None:
    station.note_hook(is_hooked=True)
    asked = replace(order(), is_allowed=False)
    produce("claim", Wanted(asked, tmp_path / "d"), station, [Unreached()])
    with open_device_storage(tmp_path / "d", read_only=True) as storage:
        assert Uid.PROOF_KEY in storage.its.uids()
    with raises(CLOUD_NOT_REACHABLE):
        make(station, tmp_path / "e", again=True)


def test_finished_device_that_could_not_be_registered_keeps_its_serial_number(
    station: Station, tmp_path: Path
) -> None:
    station.authorities.ensure(NOW, ["jitr"])
    station.authorities.want_fields("jitr", frozenset())
    asked = replace(order(), config=CONFIG / "jitr.yaml")
    with raises(CLOUD_NOT_REACHABLE):
        produce("jitr", Wanted(asked, tmp_path / "d"), station, [Unreached()])
    assert device_id(tmp_path / "d") == asked.device_id
    assert results(station) == [Result.BEGUN]


def test_device_that_waits_for_its_certificate_is_not_taken_for_a_finished_one(
    station: Station, tmp_path: Path
) -> None:
    asked = Wanted(order(), tmp_path / "d")
    (admitted,) = admit(Ledger(station.folder), [asked], "bulk")
    with unfinished_device(admitted.order, tmp_path / "d"):
        pass
    assert finished(admitted.order, tmp_path / "d") is None

    def refuse(asked: DeviceOrder, out: Path) -> Product:
        raise StationNotPreparedError("it was asked to go on")

    with pytest.raises(StationNotPreparedError, match="go on"):
        produce_by(refuse, "bulk", asked, station.folder, [])
    assert results(station) == [Result.BEGUN]
