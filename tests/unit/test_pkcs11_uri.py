"""Is a PKCS #11 URI read as RFC 7512 says, and refused by name where it cannot be followed?"""

from pathlib import Path

import pytest

from device.errors.element import Pkcs11UriError
from device.storage.element.pkcs11_uri import Pkcs11Uri, parse

WHOLE = (
    "pkcs11:token=my%20dev;manufacturer=Fake;model=M;serial=01;slot-id=7;object=key;id=%00%FF"
    ";type=private?module-path=/usr/lib/x.so&pin-source=/etc/pin"
)


def test_every_attribute_is_read_and_written() -> None:
    uri = parse(WHOLE)
    assert uri == Pkcs11Uri(
        token="my dev",
        manufacturer="Fake",
        model="M",
        serial="01",
        slot_id=7,
        object="key",
        id=b"\x00\xff",
        module_path=Path("/usr/lib/x.so"),
        pin_source=Path("/etc/pin"),
    )
    assert str(uri) == WHOLE


@pytest.mark.parametrize("source", ["/etc/pin", "file:/etc/pin", "file:///etc/pin"])
def test_a_pin_source_is_a_file(source: str) -> None:
    assert parse(f"pkcs11:token=dev?pin-source={source}").pin_source == Path("/etc/pin")


def test_an_empty_uri_names_any_token() -> None:
    assert parse("pkcs11:") == Pkcs11Uri()


def test_what_rfc_7512_lets_stand_bare_may_stand_bare() -> None:
    assert parse("pkcs11:object=a:[]@!$'()*+,=&b~._-").object == "a:[]@!$'()*+,=&b~._-"
    assert parse("pkcs11:?module-path=/a?b|c").module_path == Path("/a?b|c")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("token=dev", "begins with pkcs11:"),
        ("PKCS11:token=dev", "begins with pkcs11:"),
        ("pkcs11:token=dev;token=dev", "token is given twice"),
        ("pkcs11:token=dev?module-path=/a&module-path=/b", "module-path is given twice"),
        ("pkcs11:tokn=dev", "tokn: unknown attribute; known here: token, "),
        ("pkcs11:token=dev;x-mine=1", "x-mine: unknown attribute"),
        ("pkcs11:token=dev?module-name=softhsm", "module-name: give the module's path"),
        ("pkcs11:token=dev?pin-value=1234", "pin-value: a URI must not contain a PIN"),
        ("pkcs11:token=dev;pin-value=1234", "pin-value: a URI must not contain a PIN"),
        ("pkcs11:module-path=/a", "module-path: is before the question mark"),
        ("pkcs11:?token=dev", "token: is after the question mark"),
        ("pkcs11:token=", "token: its value is empty"),
        ("pkcs11:token=a b", "token: its value is empty or not percent-encoded"),
        ("pkcs11:token=a%2", "token: its value is empty or not percent-encoded"),
        ("pkcs11:token=a%zz", "token: its value is empty or not percent-encoded"),
        ("pkcs11:token=dev;", "a part is not an attribute"),
        ("pkcs11:1234", "a part is not an attribute"),
        ("pkcs11:token=%FF", "token: is not UTF-8"),
        ("pkcs11:token=a%00b", "token: holds a zero byte"),
        ("pkcs11:token=" + "x" * 33, "token: has 33 bytes, at most 32 fit"),
        ("pkcs11:serial=" + "x" * 17, "serial: has 17 bytes, at most 16 fit"),
        ("pkcs11:slot-id=seven", "slot-id: is not a number"),
        ("pkcs11:slot-id=18446744073709551616", "slot-id: is not a number"),
        ("pkcs11:type=public", "type: must be private"),
        ("pkcs11:?module-path=lib.so", "module-path: is not an absolute path"),
        ("pkcs11:?pin-source=|cat%20pin", "pin-source: is not an absolute path"),
        ("pkcs11:?pin-source=file://host/pin", "pin-source: is not an absolute path"),
    ],
)
def test_what_cannot_be_followed_is_refused_by_name(text: str, problem: str) -> None:
    with pytest.raises(Pkcs11UriError) as raised:
        parse(text)
    assert problem in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        "pkcs11:token=dev?pin-value=hush",
        "pkcs11:token=dev;hush",
        "pkcs11:pin=hush",
        "pkcs11:pin-vlaue=hush",
        "pkcs11:token=hush hush",
        "hush",
    ],
)
def test_an_error_never_repeats_a_value(text: str) -> None:
    with pytest.raises(Pkcs11UriError) as raised:
        parse(text)
    assert "hush" not in f"{raised.value!r} {raised.value.next_step}"
