"""What cannot be decoded is named in words, without the name of a Python class."""

import json
from collections.abc import Callable

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
