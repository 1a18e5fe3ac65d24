"""What cannot be decoded is named in words, without the name of a Python class."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from device.errors.storage import DataCorruptError
from device.storage.decoding import decoded


@pytest.mark.parametrize(
    ("content", "decode"),
    [(b"\xff", bytes.decode), (b"{", json.loads), (b"x", int), (b"[", msgspec.json.decode)],
)  # fmt: skip
def test_words_say_what_cannot_be_read(content: bytes, decode: Callable[[bytes], object]) -> None:
    with pytest.raises(DataCorruptError, match=r"^the anchor cannot be read: ") as caught:
        decoded(content, decode, "the anchor")

    assert "Error" not in str(caught.value)


PACKAGES = ("device", "factory", "localcloud", "advisor", "fleet", "pytest_firstboot")
ROOT = Path(__file__).parents[2]


def test_who_catches_what_msgspec_refuses_also_catches_what_is_not_utf_8() -> None:
    """For a key that is not UTF-8 msgspec raises UnicodeDecodeError, not its own DecodeError."""
    catching = [
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for package in PACKAGES
        for file in (ROOT / package).rglob("*.py")
        for line in file.read_text(encoding="utf-8").splitlines()
        if "except" in line and "msgspec.DecodeError" in line
    ]
    assert catching
    assert [each for each in catching if not re.search("UnicodeDecodeError|ValueError", each)] == []
