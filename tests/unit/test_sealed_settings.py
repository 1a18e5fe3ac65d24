"""Does a device know its settings without a file, and what overrides what it knows?"""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from msgspec import inspect

from device.config import settings
from device.config.methods import METHODS
from device.config.settings import Loaded, Settings
from device.config.sources import SEALED
from device.config.typed import known_keys
from device.errors import ConfigurationError
from device.errors.storage import DataCorruptError, StorageError
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.manufacturing_data import SealedSettings, sealed_settings
from device.storage.secure_storage import Uid
from factory.account.documents import CONFIG
from factory.making.new_device import DeviceOrder, make_device
from factory.making.unfinished_device import unfinished_device
from tests.support.certificates import DeviceAuthority

STATION = SealedSettings(
    "claim",
    {
        "thing_name": "sealed-{serial}",
        "claim": {"template": "sealed", "parameters": {"Sealed": "yes", "Lot": "7"}},
        "telemetry": {"interval": "5", "topic": "sealed"},
    },
)


def written(folder: Path, text: str) -> Path:
    path = folder / "settings.yaml"
    path.write_text(text)
    return path


def loaded_from(path: Path, method: str) -> Loaded:
    return settings.load_with_sources(path, {}, {"method": method})


def order(loaded: Loaded, config: Path = Path()) -> DeviceOrder:
    return DeviceOrder("SN-1", "0" * 32, "h:1", b"roots", config, settings=loaded)


def nothing(storage: DeviceStorage) -> None:
    """Install no credentials."""


def made(loaded: Loaded, state: Path) -> SealedSettings | None:
    make_device(order(loaded), state, nothing)
    with open_device_storage(state, read_only=True) as storage:
        return sealed_settings(storage)


# --- what overrides what ------------------------------------------------------------------


def test_sealed_settings_are_enough() -> None:
    loaded = settings.load_with_sources(None, {}, {}, STATION)
    assert loaded.settings.method == "claim"
    assert loaded.settings.telemetry == settings.Telemetry(topic="sealed", interval=5.0)
    assert loaded.settings.connection == settings.Connection()


@pytest.mark.parametrize(
    ("layers", "endpoint", "source"),
    [
        (0, "sealed-{serial}", SEALED),
        (1, "file", "settings.yaml"),
        (2, "variable", "DEVICE_THING_NAME"),
        (3, "flag", "--thing-name"),
    ],
)
def test_each_layer_overrides_the_one_before(
    tmp_path: Path, layers: int, endpoint: str, source: str
) -> None:
    file = written(tmp_path, "thing_name: file\n") if layers > 0 else None
    variables = {"DEVICE_THING_NAME": "variable"} if layers > 1 else {}
    flags = {"thing_name": "flag"} if layers > 2 else {}

    loaded = settings.load_with_sources(file, variables, flags, STATION)

    assert loaded.settings.thing_name == endpoint
    assert loaded.sources.of("thing_name").endswith(source)
    assert loaded.settings.claim.template == "sealed"  # what a layer does not set stays


def test_a_file_may_leave_out_the_method_that_is_sealed(tmp_path: Path) -> None:
    file = written(tmp_path, "telemetry: {interval: 9}\n")
    loaded = settings.load_with_sources(file, {}, {}, STATION)
    assert loaded.settings.method == "claim"
    assert loaded.settings.telemetry == settings.Telemetry(topic="sealed", interval=9.0)


def test_a_section_of_own_names_is_the_file_s_alone(tmp_path: Path) -> None:
    file = written(tmp_path, "claim: {parameters: {File: yes}}\n")
    loaded = settings.load_with_sources(file, {}, {}, STATION)
    assert loaded.settings.claim.parameters == {"File": "yes"}


def test_one_own_name_is_overridden_by_a_variable() -> None:
    variables = {"DEVICE_CLAIM__PARAMETERS__Lot": "8"}
    loaded = settings.load_with_sources(None, variables, {}, STATION)
    assert loaded.settings.claim.parameters == {"Sealed": "yes", "Lot": "8"}


def test_sections_of_own_names_are_those_of_the_settings() -> None:
    own = {key[:-1] for key in known_keys(inspect.type_info(Settings)) if key.endswith(".")}
    assert own == settings.OWN_NAMES


def test_null_in_a_file_takes_a_sealed_setting_back(tmp_path: Path) -> None:
    sealed = SealedSettings("claim", {"proxy": "http://a:1"})
    loaded = settings.load_with_sources(written(tmp_path, "proxy: ~\n"), {}, {}, sealed)
    assert loaded.settings.proxy is None


def test_loading_leaves_what_was_sealed_as_it_is() -> None:
    settings.load_with_sources(None, {"DEVICE_CLAIM__TEMPLATE": "other"}, {}, STATION)
    assert STATION.sections["claim"]["template"] == "sealed"


def test_without_file_and_seal_a_file_is_asked_for() -> None:
    with pytest.raises(ConfigurationError, match="no settings file given") as raised:
        settings.load_with_sources(None, {}, {}, None)
    assert "--config FILE" in raised.value.next_step


@pytest.mark.parametrize("text", ["fast", "1e9", "[1]"])
def test_an_error_names_the_seal(text: str) -> None:
    sealed = SealedSettings("claim", {"telemetry": {"interval": text}})
    with pytest.raises(ConfigurationError) as raised:
        settings.load_with_sources(None, {}, {}, sealed)
    assert (raised.value.source, raised.value.key) == (SEALED, "telemetry.interval")
    assert "--config FILE" in raised.value.next_step


# --- what the station seals ----------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_sealed_settings_say_what_the_method_s_file_says(method: str, tmp_path: Path) -> None:
    wanted = loaded_from(CONFIG / METHODS[method].settings_file, method)

    sealed = made(wanted, tmp_path / "device")
    known = settings.load_with_sources(None, {}, {}, sealed).settings

    nowhere = {"claim": without_template(wanted.settings.claim),
               "just_in_time": settings.JustInTime()}  # fmt: skip
    assert known == msgspec.structs.replace(wanted.settings, **nowhere)
    assert known.method == method


def without_template(claim: settings.Claim) -> settings.Claim:
    return msgspec.structs.replace(claim, template_file=None)


def test_variables_of_the_station_are_sealed(tmp_path: Path) -> None:
    variables = {"DEVICE_SUBJECT__COMMON_NAME": "Plant-{serial}"}
    file = CONFIG / "claim.yaml"
    sealed = made(settings.load_with_sources(file, variables, {}), tmp_path / "device")
    assert sealed is not None
    assert sealed.sections["subject"]["common_name"] == "Plant-{serial}"


def test_a_named_issuer_is_sealed_and_its_file_is_not_needed(tmp_path: Path) -> None:
    pem = DeviceAuthority().certificate_pem
    (tmp_path / "issuer.pem").write_bytes(pem)
    file = written(tmp_path, "method: claim\nissuer_ca: issuer.pem\n")

    sealed = made(loaded_from(file, "claim"), tmp_path / "device")

    with open_device_storage(tmp_path / "device", read_only=True) as storage:
        assert storage.ps.get(Uid.ISSUER_CA) == pem
    assert sealed is not None
    assert "issuer_ca" not in sealed.sections


def test_the_pin_stays_in_its_file(tmp_path: Path) -> None:
    store = f"pkcs11:token=t?module-path={tmp_path}/module.so"
    text = f"method: claim\nkey: {{store: '{store}', pin_file: pin}}\n"
    sealed = made(loaded_from(written(tmp_path, text), "claim"), tmp_path / "device")
    assert sealed is not None
    assert sealed.sections["key"]["pin_file"] == str(tmp_path / "pin")


def test_no_password_of_a_proxy_is_shown(tmp_path: Path) -> None:
    loaded = settings.load_with_sources(
        CONFIG / "claim.yaml", {"DEVICE_PROXY": "http://me:secret@h:1"}, {}
    )
    assert "secret" not in f"{made(loaded, tmp_path / 'device')!r} {loaded!r} {order(loaded)!r}"


@pytest.mark.parametrize(
    "text", ["thing_name: '{x}'", "telemetry: {topic: 'a/#'}", "claim: {template_file: none.json}"]
)
def test_a_device_that_could_not_boot_is_not_made(text: str, tmp_path: Path) -> None:
    loaded = loaded_from(written(tmp_path, f"method: claim\n{text}\n"), "claim")
    with pytest.raises(ConfigurationError):
        make_device(order(loaded), tmp_path / "device", nothing)
    with pytest.raises(StorageError):
        open_device_storage(tmp_path / "device")


def test_a_device_begun_again_has_the_settings_of_the_second_run(tmp_path: Path) -> None:
    config = written(tmp_path, "method: bulk\nthing_name: one\n")
    first = order(loaded_from(config, "bulk"), config)
    with unfinished_device(first, tmp_path / "device"):
        pass  # stopped before the certificate came
    second = replace(
        first, settings=settings.load_with_sources(config, {"DEVICE_THING_NAME": "two"}, {})
    )
    with unfinished_device(second, tmp_path / "device") as device:
        sealed = sealed_settings(device.storage)
    assert sealed is not None
    assert sealed.sections["thing_name"] == "two"


def test_an_order_without_settings_seals_none(tmp_path: Path) -> None:
    make_device(DeviceOrder("SN-1", "0" * 32, "h:1", b"roots"), tmp_path / "device", nothing)
    with open_device_storage(tmp_path / "device", read_only=True) as storage:
        assert sealed_settings(storage) is None


@pytest.mark.parametrize("entry", [b"", b"\xc1", b"\x80", b"\x90", b"\xff" * 40])
def test_an_entry_of_another_form_is_corrupt(entry: bytes, tmp_path: Path) -> None:
    make_device(DeviceOrder("SN-1", "0" * 32, "h:1", b"roots"), tmp_path / "device", nothing)
    with open_device_storage(tmp_path / "device") as storage:
        storage.ps.set(Uid.SETTINGS, entry)
        with pytest.raises(DataCorruptError, match="the sealed settings"):
            sealed_settings(storage)
