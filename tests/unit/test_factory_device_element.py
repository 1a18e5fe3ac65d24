"""Which elements the station lets devices be made with, before anything is made."""

from pathlib import Path

import pytest

from device.errors.element import NO_MODULE, Pkcs11UriError
from factory.cli import main
from factory.errors import ELEMENT_CHOICE
from factory.making.device_element import check_element
from factory.making.element_token import find_softhsm
from tests.support.errors import raises

OWN = "pkcs11:token={serial}?module-path=/usr/lib/x.so&pin-source=/run/pin"
SHARED = "pkcs11:token=dev?module-path=/usr/lib/x.so"


def test_a_key_that_aws_makes_cannot_be_made_in_an_element() -> None:
    with raises(ELEMENT_CHOICE, match="AWS makes the key") as raised:
        check_element("softhsm", "claim-aws-keys")
    assert "--method claim" in raised.value.next_step


def test_devices_that_would_share_a_token_are_refused() -> None:
    check_element(SHARED, "bulk", devices=1)
    check_element(OWN, "bulk", devices=2)
    with raises(ELEMENT_CHOICE, match="2 devices would share one token") as raised:
        check_element(SHARED, "bulk", devices=2)
    assert "{serial}" in raised.value.next_step


@pytest.mark.parametrize("choice", ["pkcs11:token=dev", "tpm", "pkcs11:colour=red"])
def test_what_names_no_element_is_refused(choice: str) -> None:
    with pytest.raises(Pkcs11UriError):
        check_element(choice, "claim")


def test_softhsm_that_is_not_installed_is_named_with_its_package(tmp_path: Path) -> None:
    with raises(NO_MODULE, match="apt-get install softhsm2"):
        find_softhsm(tmp_path)
    module = tmp_path / "usr/lib/softhsm/libsofthsm2.so"
    module.parent.mkdir(parents=True)
    module.touch()
    assert find_softhsm(tmp_path) == module


@pytest.mark.parametrize(
    "words",
    [
        ("make", "--method", "jitp", "--serial", "SN-1"),
        ("single", "--serial", "SN-1"),
        ("bulk", "--count", "1", "--batch", "B"),
    ],
)
def test_a_pin_in_the_uri_is_refused_unsaid_and_nothing_is_made(
    words: tuple[str, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    uri = "pkcs11:token=dev?module-path=/usr/lib/x.so&pin-value=98761234"
    code = main([*words, "--endpoint", "h:1", "--element", uri])
    said = capsys.readouterr()
    assert code == 3
    assert "pin-source" in said.err
    assert "98761234" not in said.out + said.err
    assert list(tmp_path.iterdir()) == []
