"""The trust anchors in certs/ are Amazon's, and no other file passes for one."""

import os
import ssl
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
import trustme

from device.errors import ConfigurationError
from factory.station.root_ca import AMAZON_ROOTS, load_root_ca

# AWS IoT developer guide, "Server authentication"; fingerprints of amazontrust.com.
FINGERPRINTS = {
    "AmazonRootCA1.pem": "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e",
    "AmazonRootCA2.pem": "1ba5b2aa8c65401a82960118f80bec4f62304d83cec4713a19c39c011ea46db4",
    "AmazonRootCA3.pem": "18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4",
    "AmazonRootCA4.pem": "e35d28419ed02025cfa69038cd623962458da5c695fbdea3c22b0bfb25897092",
    "SFSRootCAG2.pem": "568d6905a2c88708a4b3025190edcfedb1974a606a13c6e5290fcb2ae63edab5",
}


def fingerprints(pem: str) -> list[str]:
    end = "-----END CERTIFICATE-----\n"
    each = [part + end for part in pem.split(end) if part]
    return [sha256(ssl.PEM_cert_to_DER_cert(one)).hexdigest() for one in each]


def test_certs_holds_amazons_roots_and_no_other() -> None:
    found = {file.name: fingerprints(file.read_text()) for file in AMAZON_ROOTS.glob("*.pem")}
    assert found == {name: [fingerprint] for name, fingerprint in FINGERPRINTS.items()}


def test_readme_of_certs_names_the_fingerprints() -> None:
    readme = (AMAZON_ROOTS / "README.md").read_text()
    for name, fingerprint in FINGERPRINTS.items():
        assert f"`{name}`" in readme
        assert f"`{fingerprint}`" in readme


def test_all_of_amazons_roots_are_installed_by_default() -> None:
    assert sorted(fingerprints(load_root_ca().decode())) == sorted(FINGERPRINTS.values())


def test_only_the_certificates_of_a_file_are_taken(tmp_path: Path) -> None:
    authority = trustme.CA()
    file = tmp_path / "ca.pem"
    key = authority.private_key_pem.bytes()
    file.write_bytes(b"a remark\n" + key + authority.cert_pem.bytes() + key)

    assert load_root_ca(file) == authority.cert_pem.bytes()


def refused(source: Path, because: str, now: datetime | None = None) -> None:
    with pytest.raises(ConfigurationError, match=because) as raised:
        load_root_ca(source, now)
    assert str(source) in str(raised.value)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "none.pem", "no such file")


def test_file_without_an_end_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/zero")):
        refused(path, "is not a regular file")


def test_empty_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.touch()
    refused(file, "is empty")


def test_folder_without_certificates_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, "no PEM certificate")


def test_garbage_between_the_markers_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    refused(file, "malformed")


def test_certificate_that_is_no_ca_is_refused(tmp_path: Path) -> None:
    leaf = trustme.CA().issue_cert("localhost").cert_chain_pems[0]
    file = tmp_path / "leaf.pem"
    leaf.write_to_path(str(file))
    refused(file, "is not a CA certificate")


def test_expired_certificate_is_refused() -> None:
    refused(AMAZON_ROOTS / "AmazonRootCA1.pem", "valid only", datetime(2050, 1, 1, tzinfo=UTC))


def bundle(file: Path, *parts: bytes) -> Path:
    file.write_bytes(b"".join(parts))
    return file


def test_bundle_is_taken_whole_and_in_its_order(tmp_path: Path) -> None:
    authorities = [trustme.CA().cert_pem.bytes() for _ in range(3)]
    assert load_root_ca(bundle(tmp_path / "ca.pem", *authorities)) == b"".join(authorities)


def test_certificate_at_fault_in_a_bundle_is_named(tmp_path: Path) -> None:
    authority = trustme.CA()
    leaf = authority.issue_cert("leaf.example", common_name="leaf.example")
    file = bundle(tmp_path / "ca.pem", authority.cert_pem.bytes(), leaf.cert_chain_pems[0].bytes())
    refused(file, r"certificate 2 of 2 \(CN=leaf.example.*is not a CA certificate")


def test_certificate_of_a_bundle_that_is_cut_is_named(tmp_path: Path) -> None:
    pem = trustme.CA().cert_pem.bytes()
    refused(
        bundle(tmp_path / "ca.pem", pem, pem[:200]), r"certificate 2 of 2 \(line \d+\) is truncated"
    )


def test_bundle_that_no_device_can_store_is_refused(tmp_path: Path) -> None:
    refused(bundle(tmp_path / "ca.pem", *[trustme.CA().cert_pem.bytes()] * 60), "bytes")
