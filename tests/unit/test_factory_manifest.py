"""A manifest is accepted as it was signed, and refused with one bit of it changed."""

import base64
import json
import os
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from types import CodeType

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from device.errors import ExitCode
from device.identity.certificates import certificate_id
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.keys import FIRST_DEVICE_KEY, PrivateKey
from factory.account.documents import CONFIG
from factory.cli import main
from factory.errors import BATCH_UNKNOWN, MANIFEST, MANIFEST_DEVICE, StationError
from factory.making.admission import Made, Wanted, admit
from factory.making.device_leaf import install_leaf, installed_leaf
from factory.making.manifest_device import manifest_devices
from factory.making.new_device import DeviceOrder, make_device, new_device_id
from factory.station.ledger import Ledger, made_in_batch
from factory.station.manifest import ManifestDevice, Signer, check_manifest, write_entries
from factory.station.station import Station, open_or_make_station
from tests.support.certificates import DeviceAuthority, new_key
from tests.support.errors import raises

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docs" / "verify_manifest.py"
NOW = datetime(2026, 11, 23, tzinfo=UTC)
BATCH = "LOT"


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    """A station that is prepared for JITP."""
    with open_or_make_station(tmp_path / "station") as station:
        station.authorities.ensure(NOW, ["jitp"])
        station.authorities.want_fields("jitp", frozenset({"CommonName"}))
        yield station


def make(station: Station, out: Path, batch: str = BATCH) -> None:
    """Make a device of ``batch`` as ``factory make`` does."""
    order = DeviceOrder(out.name, new_device_id(), "h:1", b"roots", CONFIG / "jitp.yaml", NOW)
    (admitted,) = admit(Ledger(station.folder), [Wanted(order, out)], "jitp", batch)

    def install(storage: DeviceStorage) -> None:
        install_leaf(station.authorities, "jitp", storage, order)

    make_device(order, out, install)
    with open_device_storage(out, read_only=True) as storage:
        admitted.made(Made(order.device_id, certificate_id(installed_leaf(storage))))


def manifest_of(station: Station) -> bytes:
    made = made_in_batch(Ledger(station.folder).entries(), BATCH)
    return b"".join(write_entries(manifest_devices(made), station.manifest_signer.ensure(NOW)))


def part(text: str) -> dict[str, object]:
    decoded: dict[str, object] = json.loads(base64.urlsafe_b64decode(text + "=="))
    return decoded


@pytest.fixture
def signer(station: Station) -> Signer:
    return station.manifest_signer.ensure(NOW)


@pytest.fixture
def sample(signer: Signer) -> bytes:
    """A manifest of one device."""
    authority = DeviceAuthority()
    pem = authority.issue(new_key().public_key(), {"common_name": "SN-1"})
    device = ManifestDevice("SN-1", "jitp", NOW, (x509.load_pem_x509_certificate(pem),))
    return b"".join(write_entries([device], signer))


@pytest.fixture
def script(
    signer: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[bytes], None]:
    """Runs the program of docs/ on a manifest; it raises where it refuses."""
    manifest, certificate = tmp_path / "manifest.json", tmp_path / "signer.crt"
    certificate.write_bytes(signer.certificate.public_bytes(Encoding.PEM))
    monkeypatch.setattr(sys, "argv", [SCRIPT.name, str(manifest), str(certificate)])
    program: CodeType = compile(SCRIPT.read_text(), SCRIPT, "exec")

    def run(content: bytes) -> None:
        manifest.write_bytes(content)
        exec(program, {"__name__": "__main__"})  # noqa: S102 - the program of docs/

    return run


def test_manifest_names_the_devices_of_its_batch_alone(station: Station, tmp_path: Path) -> None:
    for serial in ("SN-1", "SN-2"):
        make(station, tmp_path / serial)
    make(station, tmp_path / "SN-3", "OTHER")
    assert check_manifest(manifest_of(station), station.manifest_signer.certificate()) == [
        "SN-1", "SN-2",
    ]  # fmt: skip


def test_entry_has_the_form_of_microchips_trust_platform(station: Station, tmp_path: Path) -> None:
    make(station, tmp_path / "SN-1")
    (entry,) = json.loads(manifest_of(station))
    certificate = station.manifest_signer.certificate()
    identifier = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    protected, payload = part(entry["protected"]), part(entry["payload"])
    assert entry.keys() == {"payload", "protected", "header", "signature"}
    assert entry["header"] == {"uniqueId": "SN-1"}
    assert (protected["typ"], protected["alg"]) == ("JWT", "ES256")
    assert base64.urlsafe_b64decode(f"{protected['kid']}==") == identifier.value.digest
    thumbprint = sha256(certificate.public_bytes(Encoding.DER)).digest()
    assert base64.urlsafe_b64decode(f"{protected['x5t#S256']}==") == thumbprint
    assert payload.keys() == {
        "version", "model", "partNumber", "manufacturer", "provisioner", "distributor",
        "provisioningTimestamp", "uniqueId", "publicKeySet",
    }  # fmt: skip
    assert payload["version"] == 1


def test_key_and_certificates_are_those_of_the_device(station: Station, tmp_path: Path) -> None:
    make(station, tmp_path / "SN-1")
    (entry,) = json.loads(manifest_of(station))
    (key,) = json.loads(base64.urlsafe_b64decode(entry["payload"] + "=="))["publicKeySet"]["keys"]
    leaf, issuer = (x509.load_der_x509_certificate(base64.b64decode(each)) for each in key["x5c"])
    leaf.verify_directly_issued_by(issuer)
    with open_device_storage(tmp_path / "SN-1", read_only=True) as storage:
        numbers = storage.keys.export_public_key(FIRST_DEVICE_KEY).public_numbers()
    point = {name: int.from_bytes(base64.urlsafe_b64decode(key[name] + "==")) for name in "xy"}
    assert point == {"x": getattr(numbers, "x", 0), "y": getattr(numbers, "y", 0)}
    assert (key["kty"], key["crv"]) == ("EC", "P-256")


def private_bytes(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def test_no_private_key_is_in_it(station: Station, signer: Signer, tmp_path: Path) -> None:
    make(station, tmp_path / "SN-1")
    with open_device_storage(tmp_path / "SN-1", read_only=True) as storage:
        numbers = storage.keys.private_key(FIRST_DEVICE_KEY).private_numbers()
    secret = getattr(numbers, "private_value", 0).to_bytes(32, "big")
    content = manifest_of(station)
    (entry,) = json.loads(content)
    plain = base64.urlsafe_b64decode(entry["payload"] + "==")
    for spelled in (
        base64.b64encode(secret),
        base64.urlsafe_b64encode(secret),
        secret.hex().encode(),
    ):
        assert spelled.rstrip(b"=") not in plain + content
    assert b'"d"' not in plain


def test_device_by_claim_is_in_it_without_a_key(signer: Signer) -> None:
    content = b"".join(write_entries([ManifestDevice("SN-1", "claim", NOW)], signer))
    (entry,) = json.loads(content)
    assert part(entry["payload"])["publicKeySet"] == {"keys": []}
    assert check_manifest(content, signer.certificate) == ["SN-1"]


def flips(content: bytes) -> Iterator[bytes]:
    """Yield the manifest with one bit changed, in every byte once."""
    for at in range(len(content)):
        yield content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :]


def test_station_refuses_every_flipped_bit(signer: Signer, sample: bytes) -> None:
    accepted = []
    for flipped in flips(sample):
        try:
            check_manifest(flipped, signer.certificate)
        except StationError as error:
            assert error.row is MANIFEST  # noqa: PT017 - or it is accepted
            continue
        accepted.append(flipped)
    assert accepted == []


def test_program_of_the_docs_refuses_every_flipped_bit(
    script: Callable[[bytes], None], sample: bytes
) -> None:
    script(sample)
    accepted = []
    for flipped in flips(sample):
        try:
            script(flipped)
        except Exception:  # noqa: BLE001, S112 - whichever: it ends with a traceback
            continue
        accepted.append(flipped)
    assert accepted == []


def test_program_of_the_docs_refuses_another_certificate_of_the_same_key(
    script: Callable[[bytes], None], sample: bytes, signer: Signer, tmp_path: Path
) -> None:
    assert isinstance(signer.key, ec.EllipticCurvePrivateKey)
    other = self_signed(signer.key, has_identifier=True).public_bytes(Encoding.PEM)
    (tmp_path / "signer.crt").write_bytes(other)
    with pytest.raises(ValueError, match="certificate was changed"):
        script(sample)


def test_program_of_the_docs_has_thirty_lines_and_nothing_of_ours() -> None:
    lines = SCRIPT.read_text().splitlines()
    assert len(lines) <= 30
    imported = {
        line.split()[1].partition(".")[0]
        for line in lines
        if line.split()[:1] in (["import"], ["from"])
    }
    assert imported == {"base64", "json", "sys", "cryptography"}


def test_manifest_of_another_station_is_refused(sample: bytes, tmp_path: Path) -> None:
    with open_or_make_station(tmp_path / "other") as other:
        certificate = other.manifest_signer.ensure(NOW).certificate
    with raises(MANIFEST, match="entry 1 was not signed with this certificate"):
        check_manifest(sample, certificate)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda entry: [entry, entry], "SN-1 is there twice"),
        (lambda entry: [{**entry, "header": {"uniqueId": "SN-2"}}], "its header names 'SN-2'"),
        (lambda entry: [{**entry, "note": ""}], "not a manifest"),
        (lambda entry: [{**entry, "signature": entry["signature"][:-2]}], "no signature by ES256"),
        (lambda entry: {"entries": [entry]}, "not a manifest"),
    ],
)
def test_what_a_signature_does_not_cover_is_checked_too(
    change: Callable[[dict[str, str]], object], words: str, signer: Signer, sample: bytes
) -> None:
    (entry,) = json.loads(sample)
    with raises(MANIFEST, match=words):
        check_manifest(json.dumps(change(entry)).encode(), signer.certificate)


def test_key_of_the_manifests_is_made_once(station: Station) -> None:
    first, second = station.manifest_signer.ensure(NOW), station.manifest_signer.ensure(NOW)
    assert first.certificate == second.certificate
    assert first.key.public_key() == first.certificate.public_key()


def test_device_that_is_gone_is_named(station: Station, tmp_path: Path) -> None:
    make(station, tmp_path / "SN-1")
    (tmp_path / "SN-1").rename(tmp_path / "shipped")
    with raises(MANIFEST_DEVICE, match="SN-1 in"):
        manifest_of(station)


def test_batch_that_was_never_made_is_said(tmp_path: Path) -> None:
    with raises(BATCH_UNKNOWN, match="NONE"):
        made_in_batch(Ledger(tmp_path).entries(), "NONE")


def test_command_line_writes_a_manifest_and_verifies_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with open_or_make_station(tmp_path / "station") as station:
        station.authorities.ensure(NOW, ["jitp"])
        station.authorities.want_fields("jitp", frozenset({"CommonName"}))
        make(station, tmp_path / "SN-1")
    words = ["--station", "station", "--json"]
    assert main(["manifest", BATCH, *words]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "batch": BATCH, "devices": 1, "manifest": "LOT.manifest.json", "signer": "LOT.manifest.crt",
    }  # fmt: skip
    assert main(["verify", "LOT.manifest.json", *words]) == 0
    assert main(["verify", "LOT.manifest.json", "--signer", "LOT.manifest.crt"]) == 0
    content = bytearray((tmp_path / "LOT.manifest.json").read_bytes())
    content[200] ^= 1
    (tmp_path / "LOT.manifest.json").write_bytes(content)
    assert main(["verify", "LOT.manifest.json", *words]) == 1


@pytest.mark.parametrize(
    "out", [".", "..", "/", "a-folder", "a-pipe", "LOT.crt", "missing/LOT.json", "beside.json"]
)
def test_what_cannot_be_the_manifests_file_is_refused_and_stays_as_it_is(
    out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a-folder").mkdir()
    os.mkfifo("a-pipe")
    os.mkfifo("beside.crt")
    before = sorted(tmp_path.rglob("*"))
    assert main(["manifest", BATCH, "--out", out, "--station", "station"]) == ExitCode.MISUSE
    assert "FB-501" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before
    assert Path("a-pipe").is_fifo()


def self_signed(key: ec.EllipticCurvePrivateKey, *, has_identifier: bool) -> x509.Certificate:
    name, now = x509.Name([]), datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now)
    if has_identifier:
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = builder.add_extension(identifier, critical=False)
    return builder.sign(key, hashes.SHA256())


@pytest.mark.parametrize(
    ("has_identifier", "words"), [(False, "no key identifier"), (True, "not signed with")]
)
def test_certificate_that_signs_no_manifests_is_refused(
    sample: bytes, has_identifier: bool, words: str
) -> None:
    stranger = self_signed(ec.generate_private_key(ec.SECP256R1()), has_identifier=has_identifier)
    with raises(MANIFEST, match=words):
        check_manifest(sample, stranger)
