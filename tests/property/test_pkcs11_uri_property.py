"""Whatever a token or key is called: its URI reads back as written, and nothing else is taken."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from device.errors.element import Pkcs11UriError
from device.storage.element.pkcs11_uri import Pkcs11Uri, parse


def texts(most: int) -> st.SearchStrategy[str]:
    characters = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
    return st.text(characters, min_size=1).filter(lambda text: len(text.encode()) <= most)


paths = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])).map(
    lambda name: Path("/") / name.lstrip("/")
)
uris = st.builds(
    Pkcs11Uri,
    token=st.none() | texts(32),
    manufacturer=st.none() | texts(32),
    model=st.none() | texts(16),
    serial=st.none() | texts(16),
    slot_id=st.none() | st.integers(0, 2**64 - 1),
    object=st.none() | texts(255),
    id=st.none() | st.binary(min_size=1, max_size=255),
    module_path=st.none() | paths,
    pin_source=st.none() | paths,
)


@given(uris)
def test_a_uri_reads_back_as_written(uri: Pkcs11Uri) -> None:
    assert parse(str(uri)) == uri


@given(uris)
def test_a_uri_is_printable_ascii_without_blanks(uri: Pkcs11Uri) -> None:
    assert all("!" <= character <= "~" for character in str(uri))


@given(st.text() | st.text().map(lambda text: f"pkcs11:{text}"))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        uri = parse(text)
    except Pkcs11UriError:
        return
    assert parse(str(uri)) == uri
