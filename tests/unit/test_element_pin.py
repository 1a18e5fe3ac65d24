"""Is a PIN taken from where it should be, and from nowhere that others can read?"""

from pathlib import Path

import pytest

from device.errors.element import PIN_EXPOSED, PIN_UNAVAILABLE
from device.storage.element.pin import pin_from_credential, pin_from_file
from tests.support.errors import raises


def pin_file(folder: Path, content: bytes = b"1234-pin\n", mode: int = 0o600) -> Path:
    path = folder / "pin"
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("content", [b"1234-pin", b"1234-pin\n", b"1234-pin\r\n"])
@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_pin_is_one_line_of_a_private_file(tmp_path: Path, content: bytes, mode: int) -> None:
    assert pin_from_file(pin_file(tmp_path, content, mode)) == "1234-pin"


def test_blanks_belong_to_the_pin(tmp_path: Path) -> None:
    assert pin_from_file(pin_file(tmp_path, b" 12 34 \n")) == " 12 34 "


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o620, 0o602, 0o601])
def test_a_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = pin_file(tmp_path, mode=mode)
    with raises(PIN_EXPOSED) as raised:
        pin_from_file(path)
    assert f"chmod 600 {path}" in raised.value.next_step


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"1234-pin\n5678-pin\n", b"1234\x00", b"\xff\xfe", b"1" * 256],
    ids=["empty", "blank", "two", "zero", "binary", "long"],
)
def test_what_is_no_pin_is_refused_without_showing_it(tmp_path: Path, content: bytes) -> None:
    with raises(PIN_UNAVAILABLE) as raised:
        pin_from_file(pin_file(tmp_path, content))
    assert "1234" not in str(raised.value)
    assert str(tmp_path) in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with raises(PIN_UNAVAILABLE, match="No such file"):
        pin_from_file(tmp_path / "pin")


def test_a_folder_is_no_pin_file(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with raises(PIN_UNAVAILABLE):
        pin_from_file(tmp_path)


def test_systemd_hands_the_pin_over(tmp_path: Path) -> None:
    """systemd shows it to the unit's user by an ACL, which reads like a mode of 0440."""
    pin_file(tmp_path, mode=0o440)
    assert pin_from_credential("pin", {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == "1234-pin"


def test_a_unit_without_credentials_is_told(tmp_path: Path) -> None:
    with raises(PIN_UNAVAILABLE, match="CREDENTIALS_DIRECTORY is not set"):
        pin_from_credential("pin", {})


def test_a_credential_of_another_name_is_missed(tmp_path: Path) -> None:
    with raises(PIN_UNAVAILABLE, match="No such file"):
        pin_from_credential("pin", {"CREDENTIALS_DIRECTORY": str(tmp_path)})
