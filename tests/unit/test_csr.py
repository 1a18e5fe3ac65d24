"""Does the signing request say who the device is, and is it signed by the device's key?"""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from device.errors import ConfigurationError
from device.identity.csr import (
    SUBJECT,
    DevicePrivateKey,
    build_csr,
    subject_name,
    subject_of,
)

KEYS: dict[str, DevicePrivateKey] = {
    "ec-p256": ec.generate_private_key(ec.SECP256R1()),
    "ec-p384": ec.generate_private_key(ec.SECP384R1()),
    "rsa-2048": rsa.generate_private_key(public_exponent=65537, key_size=2048),
}
NAME = subject_name({"common_name": "SN-1"})


@pytest.mark.parametrize("key_type", KEYS)
def test_the_request_is_signed_by_the_key(key_type: str) -> None:
    key = KEYS[key_type]

    csr = x509.load_pem_x509_csr(build_csr(key, NAME).encode())

    assert csr.is_signature_valid
    assert csr.public_key() == key.public_key()


def test_the_subject_holds_what_was_asked_for() -> None:
    fields = dict.fromkeys(SUBJECT, "x") | {"country": "DE", "common_name": "SN-1"}

    subject = subject_of(build_csr(KEYS["ec-p256"], subject_name(fields)))

    assert subject == subject_name(fields)
    assert {attribute.oid: attribute.value for attribute in subject} == {
        SUBJECT[name].oid: value for name, value in fields.items()
    }


def test_the_order_in_the_settings_does_not_matter() -> None:
    one = {"common_name": "SN-1", "country": "DE"}
    other = {"country": "DE", "common_name": "SN-1"}

    assert subject_name(one) == subject_name(other)


def test_each_field_holds_all_that_it_may() -> None:
    fields = dict.fromkeys(SUBJECT, "Pl\u00e4nt #2, \u5de5\u5834 & <so>; *") | {
        "country": "DE",
        "dn_qualifier": "A-Z a-z 0-9 '()+,-./:=?",
        "serial_number": "x" * 64,
        "common_name": "\u00e9" * 32,
        "locality": "x" * 128,
        "email_address": "a_b*c&d@example.com",
    }

    subject = subject_of(build_csr(KEYS["ec-p256"], subject_name(fields)))

    assert {attribute.oid: attribute.value for attribute in subject} == {
        SUBJECT[name].oid: value for name, value in fields.items()
    }


PRINTABLE = ("serial_number", "dn_qualifier")
TEXT = ("state", "locality", "organization", "organizational_unit", "common_name")


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("email", "a@b.c", "unknown subject field"),
        ("CommonName", "SN-1", "unknown subject field"),
        *((name, f"sn{character}1", "PrintableString") for name in PRINTABLE
          for character in "_*@&#!\"$%;<>[]^`{|}~\\\u00e9\n\0"),
        *(("country", value, "two letters") for value in
          ("DEU", "D", "D1", "12", "D_", "\u00c4\u00d6", "DE\n")),
        *((name, f"a{character}b", "without control characters") for name in TEXT
          for character in "\n\r\t\0\x1b\x7f\x85\u2028\udcff\u202e\u2066"),
        *((name, value, "is empty") for name in SUBJECT for value in ("", " ")),
        *((name, "x" * (field.longest + 1), f"allowed: {field.longest}")
          for name, field in SUBJECT.items() if name != "country"),
        ("common_name", "\u00e9" * 33, "has 66 bytes in UTF-8"),
        ("email_address", "\u00e9@example.com", "IA5String"),
        ("email_address", "a\n@example.com", "IA5String"),
    ],
    ids=lambda value: ascii(value)[:24],
)  # fmt: skip
def test_an_unusable_field_is_named(field: str, value: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        subject_name({field: value}, "claim.yaml")

    assert raised.value.source == "claim.yaml"
    assert raised.value.key == f"subject.{field}"
    assert problem in raised.value.problem
    assert (
        field.startswith(("email", "Comm"))
        or not value.strip()
        or (repr(value) in raised.value.problem)
    )


def test_each_field_has_its_source() -> None:
    with pytest.raises(ConfigurationError, match=r"\$subject.country: subject.country: 'Germany'"):
        subject_name({"country": "Germany"}, lambda key: f"${key}")


def test_an_unknown_field_comes_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError) as raised:
        subject_name({"cn": "SN-1"})

    assert all(name in raised.value.next_step for name in SUBJECT)


@pytest.mark.parametrize("key_type", KEYS)
def test_a_request_longer_than_aws_takes(key_type: str) -> None:
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "x" * 3000)])

    with pytest.raises(ConfigurationError, match="AWS IoT takes 4096") as raised:
        build_csr(KEYS[key_type], subject)

    assert raised.value.key == "subject"
