"""Is every unusable setting refused by name, and does every usable one arrive?"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec
import pytest

from device.config import settings
from device.config.settings import Settings
from device.config.settings_file import read_settings_file
from device.config.typed import known_keys
from device.errors import ConfigurationError

CONFIG = Path(__file__).parents[2] / "config"
BOTH = ("claim.yaml", "claim.aws.yaml")
LEAST = "method: claim\n"


def load(
    tmp_path: Path,
    text: str,
    environment: dict[str, str] | None = None,
    **flags: str | None,
) -> Settings:
    """Load ``text`` as a settings file."""
    path = tmp_path / "claim.yaml"
    path.write_text(text, encoding="utf-8")
    return settings.load(path, environment or {}, flags)


def refused(
    tmp_path: Path,
    text: str,
    environment: dict[str, str] | None = None,
    **flags: str | None,
) -> ConfigurationError:
    """Load ``text`` and return why that failed."""
    with pytest.raises(ConfigurationError) as raised:
        load(tmp_path, text, environment, **flags)
    return raised.value


@pytest.mark.parametrize(
    ("text", "key", "problem"),
    [
        ("", "", "is empty"),
        ("# only a comment\n", "", "is empty"),
        ("~", "", "is empty"),
        ("- method\n- claim\n", "", "line 1: there is a list"),
        ("claim\n", "", "holds text, not keys and values"),
        ("method: 'claim\n", "", "is not YAML: line 2"),
        ("method: claim\n\tkey: x\n", "", "is not YAML: line 2"),
        ("method: \0claim\n", "", "is not YAML"),
        ("method: !!python/object/apply:os.getcwd []\n", "method", "line 1: tags"),
        ("a: &a [x]\n", "a", "line 1: anchors"),
        ("a: {<<: *a}\n", "a.<<", "line 1: anchors"),
        ("&a a: {b: *a}\n", "", "line 1: anchors"),
        (LEAST + "---\nmethod: jitp\n", "", "line 2: there is a second YAML document"),
        (LEAST + "? [a]\n: b\n", "", "line 2: a key is not text"),
        (LEAST + "a: " + "{a: " * 200, "a" + ".a" * 7, "nested more than 8 deep"),
        (LEAST + "[" * 60_000, "", "is not YAML"),
        (LEAST + "#" * 65_536, "", "is longer than 65536 bytes"),
        ("thing_name: x\n", "method", "is missing"),
        ("method: magic\n", "method", "there is no method 'magic'; one of claim, claim-aws-keys"),
        (LEAST + "endpont: x\n", "endpont", "unknown key"),
        (LEAST + "claim: {templat: x}\n", "claim.templat", "unknown key"),
        (LEAST + "connection: {retry: {longst: 9}}\n", "connection.retry.longst", "unknown key"),
        (LEAST + "1: x\n", "1", "unknown key"),
        (LEAST + "claim: firstboot\n", "claim", "is a section"),
        (LEAST + "connection:\n", "connection", "is a section"),
        (LEAST + "thing_name: {serial}\n", "thing_name", "put text with { or : in quotes"),
        (LEAST + "endpoint: [a]\n", "endpoint", "put text with a [ in quotes"),
        (LEAST + "connection: {keep_alive: 29}\n", "connection.keep_alive", ">= 30"),
        (LEAST + "connection: {keep_alive: 1201}\n", "connection.keep_alive", "<= 1200"),
        (LEAST + "connection: {reply_timeout: 0}\n", "connection.reply_timeout", "> 0"),
        (LEAST + "connection: {reply_timeout: 1e9}\n", "connection.reply_timeout", "<= 604800"),
        (
            LEAST + "connection: {first_connect_spread: -1}\n",
            "connection.first_connect_spread",
            ">= 0",
        ),
        (LEAST + "key: {type: ed25519}\n", "key.type", "one of ec-p256, ec-p384, rsa-2048"),
        (LEAST + 'key: {store: "file:key.pem"}\n', "key.store", "pkcs11:"),
        (LEAST + 'claim: {template: "a/b"}\n', "claim.template", "1 to 36 of"),
        (LEAST + 'claim: {template: ""}\n', "claim.template", "1 to 36 of"),
        (LEAST + 'claim: {template: "line\\n"}\n', "claim.template", "1 to 36 of"),
        (LEAST + f"claim: {{template: {'x' * 37}}}\n", "claim.template", "1 to 36 of"),
        (LEAST + "claim: {parameters: none}\n", "claim.parameters", "is a section"),
        (LEAST + "subject: {common_name: {a: b}}\n", "subject.common_name", "not a section"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_an_unusable_file(tmp_path: Path, text: str, key: str, problem: str) -> None:
    error = refused(tmp_path, text)

    assert error.source == str(tmp_path / "claim.yaml")
    assert error.key == key
    assert problem in error.problem


HUGE: Final = ("9" * 5000, "1e9999")


@pytest.mark.parametrize("key", ["connection.keep_alive", "connection.reply_timeout", "key.tls13"])
@pytest.mark.parametrize(
    "value",
    ["soon", "", "~", "0x1F", "1_000", "12:34:56", ".nan", "nan", ".inf", "inf", "\u0664", *HUGE],
    ids=lambda value: value[:9],
)
@pytest.mark.parametrize("place", ["file", "variable"])
def test_what_is_no_number_where_a_number_belongs(
    tmp_path: Path, key: str, value: str, place: str
) -> None:
    section, name = key.split(".")
    variable = f"DEVICE_{section}__{name}".upper()
    in_file = place == "file"
    text = LEAST + (f"{section}: {{{name}: '{value}'}}\n" if in_file else "")

    error = refused(tmp_path, text, {} if in_file else {variable: value})

    assert error.source == (str(tmp_path / "claim.yaml") if in_file else variable)
    assert error.key == key


def test_numbers_are_numbers(tmp_path: Path) -> None:
    text = "connection: {keep_alive: 60, reply_timeout: 1.5e1}\nkey: {tls13: yes}\n"
    environment = {"DEVICE_CONNECTION__CONNECT_TIMEOUT": "7", "DEVICE_JUST_IN_TIME__BUDGET": "0.5"}

    loaded = load(tmp_path, LEAST + text, environment)

    assert (loaded.connection.keep_alive, loaded.connection.reply_timeout) == (60, 15.0)
    assert (loaded.connection.connect_timeout, loaded.just_in_time.budget) == (7.0, 0.5)
    assert loaded.key.tls13 is True


WRITTEN: Final = ("NO", "0012", "0x1F", "1e3", "12:34:56", "2026-01-02", "490154203237518")
WRITTEN_IN_A_VARIABLE: Final = (
    "Plant #2",
    "{serial}",
    "null",
    "~",
    "[a]",
    "",
    " x ",
    "a: b",
    "'q'",
)


@pytest.mark.parametrize("value", [*WRITTEN, "yes", "null", "~", "1.10", "=", ".5"])
def test_text_in_the_file_is_what_is_written(tmp_path: Path, value: str) -> None:
    text = f"{LEAST}thing_name: {value}\nsubject: {{organization: {value}}}\n"

    loaded = load(tmp_path, text)

    assert (loaded.thing_name, loaded.subject["organization"]) == (value, value)


@pytest.mark.parametrize("value", [*WRITTEN, *WRITTEN_IN_A_VARIABLE])
def test_text_in_a_variable_is_what_is_written(tmp_path: Path, value: str) -> None:
    names = ("THING_NAME", "SUBJECT__ORGANIZATION", "CLAIM__PARAMETERS__IMEI", "TELEMETRY__TOPIC")

    loaded = load(tmp_path, LEAST, {f"DEVICE_{name}": value for name in names})

    assert loaded.thing_name == loaded.subject["organization"] == value
    assert loaded.claim.parameters == {"IMEI": value}
    assert loaded.telemetry.topic == value


@pytest.mark.parametrize("value", ["", "~", "null"])
def test_null_in_the_file_leaves_an_optional_setting_unset(tmp_path: Path, value: str) -> None:
    text = f"{LEAST}endpoint: {value}\nkey:\n  store: {value}\n"

    loaded = load(tmp_path, text)

    assert (loaded.endpoint, loaded.key.store) == (None, None)
    assert load(tmp_path, f"{LEAST}endpoint: 'null'\n").endpoint == "null"


def test_an_empty_variable_unsets_what_the_file_sets(tmp_path: Path) -> None:
    loaded = load(tmp_path, LEAST + "proxy: http://proxy:3128\n", {"DEVICE_PROXY": ""})

    assert loaded.proxy is None


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        ("method: claim\nmethod: jitp\n", "method", 2),
        (LEAST + "claim:\n  template: a\n  client_id: b\n  template: c\n", "claim.template", 5),
        (LEAST + "subject: {country: DE, country: FR}\n", "subject.country", 2),
        (LEAST + "subject: {country: DE}\nsubject: {state: x}\n", "subject", 3),
    ],
)
def test_a_key_that_is_there_twice(tmp_path: Path, text: str, key: str, line: int) -> None:
    error = refused(tmp_path, text)

    assert (error.key, error.problem) == (key, f"line {line}: is set twice in this file")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        settings.load(tmp_path / "none.yaml", {}, {})

    assert raised.value.source == str(tmp_path / "none.yaml")
    assert raised.value.problem == "no such file"
    assert "--config" in raised.value.next_step


@pytest.mark.parametrize("kind", ["folder", "fifo", "device"])
def test_what_is_no_regular_file(tmp_path: Path, kind: str) -> None:
    path = Path("/dev/zero") if kind == "device" else tmp_path / kind
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)

    with pytest.raises(ConfigurationError, match="is not a regular file"):
        settings.load(path, {}, {})


@pytest.mark.parametrize("content", [b"method: \xff\xfe", LEAST.encode("utf-16")])
def test_a_file_that_is_no_text(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "claim.yaml"
    path.write_bytes(content)

    with pytest.raises(ConfigurationError, match="is not UTF-8 text"):
        settings.load(path, {}, {})


def test_a_byte_order_mark_is_no_matter(tmp_path: Path) -> None:
    path = tmp_path / "claim.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + LEAST.encode())

    assert settings.load(path, {}, {}).method == "claim"


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("endpont: x", "Did you mean endpoint?"),
        ("claim: {templat: x}", "Did you mean template?"),
        ("connection: {retry: {longst: 9}}", "Did you mean longest?"),
        ("telemetry: {zebra: 9}", "Known keys here: topic, interval."),
    ],
)
def test_an_unknown_key_comes_with_a_known_one(tmp_path: Path, text: str, advice: str) -> None:
    assert refused(tmp_path, LEAST + text).next_step == advice


def test_a_variable_wins_over_the_file_and_a_flag_over_both(tmp_path: Path) -> None:
    text = LEAST + "endpoint: file:1\nroot_ca: /file\nthing_name: file\n"
    environment = {"DEVICE_ENDPOINT": "variable:2", "DEVICE_ROOT_CA": "/variable"}

    loaded = load(tmp_path, text, environment, endpoint="flag:3", root_ca=None)

    assert (loaded.endpoint, loaded.root_ca, loaded.thing_name) == ("flag:3", "/variable", "file")


def test_a_nested_key_as_a_variable(tmp_path: Path) -> None:
    environment = {
        "DEVICE_CLAIM__TEMPLATE": "other",
        "DEVICE_CONNECTION__RETRY__LONGEST": "7.5",
        "DEVICE_CLAIM__PARAMETERS__BatchNumber": "B-{serial}",
    }

    loaded = load(tmp_path, LEAST + "claim: {client_id: c-1}\n", environment)

    assert loaded.claim.template == "other"
    assert loaded.claim.client_id == "c-1"
    assert loaded.connection.retry.longest == 7.5
    assert loaded.claim.parameters == {"BatchNumber": "B-{serial}"}


def test_the_method_may_come_from_a_variable(tmp_path: Path) -> None:
    loaded = load(tmp_path, "thing_name: x\n", {"DEVICE_METHOD": "claim-aws-keys"})

    assert loaded.method == "claim-aws-keys"


@pytest.mark.parametrize(
    ("variable", "value", "key", "problem"),
    [
        ("DEVICE_CONNECTION__KEEP_ALIVE", "29", "connection.keep_alive", ">= 30"),
        ("DEVICE_METHOD", "magic", "method", "one of claim"),
        ("DEVICE_CLAIM__TEMPLATE", "a b", "claim.template", "1 to 36 of"),
        ("DEVICE_CLAIM__TEMPLAT", "x", "claim.templat", "unknown key"),
        ("DEVICE_CLAIM__", "x", "claim.", "unknown key"),
        ("DEVICE_METHOD__X", "x", "method.x", "method is not a section"),
        ("DEVICE_CLAIM", "{template: x}", "claim", "is a section"),
        ("DEVICE_CLAIM__PARAMETERS", "{a: b}", "claim.parameters", "is a section"),
        ("DEVICE_THING_NAME", "\udcff", "thing_name", "is not UTF-8 text"),
    ],
)
def test_an_unusable_variable_is_named(
    tmp_path: Path, variable: str, value: str, key: str, problem: str
) -> None:
    error = refused(tmp_path, "subject: {country: DE}\n" + LEAST, {variable: value})

    assert error.source == variable
    assert error.key == key
    assert problem in error.problem


@pytest.mark.parametrize("value", ["", "{}"])
def test_a_variable_empties_a_section_of_ones_own_names(tmp_path: Path, value: str) -> None:
    loaded = load(
        tmp_path, LEAST + "claim: {parameters: {A: b}}\n", {"DEVICE_CLAIM__PARAMETERS": value}
    )

    assert loaded.claim.parameters == {}


def test_an_empty_flag_is_named(tmp_path: Path) -> None:
    error = refused(tmp_path, LEAST, endpoint="")

    assert (error.source, error.key) == ("--endpoint", "endpoint")


def test_two_variables_for_one_key(tmp_path: Path) -> None:
    error = refused(tmp_path, LEAST, {"DEVICE_PROXY": "a", "DEVICE_proxy": "b"})

    assert (error.source, error.key) == ("DEVICE_proxy", "proxy")
    assert "DEVICE_PROXY" in error.problem


@pytest.mark.parametrize("name", ["DEVICE_STATE", "DEVICE_CONFIG", "DEVICE_ROOT_OF_TRUST", "HOME"])
def test_variables_that_are_no_settings_are_left_alone(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert load(tmp_path, LEAST, {name: "{"}) == load(tmp_path, LEAST)
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("DEVICE_ENDPIONT", "DEVICE_ENDPOINT"),
        ("DEVICE_ROOTCA", "DEVICE_ROOT_CA"),
        ("DEVICE_CLAIM_TEMPLATE", "DEVICE_CLAIM__TEMPLATE"),
        ("DEVICE_CLAM__TEMPLATE", "DEVICE_CLAIM__TEMPLATE"),
        ("DEVICE_SUBJET__SERIAL_NUMBER", "DEVICE_SUBJECT"),
        ("DEVICE_Endpoint", "DEVICE_ENDPOINT"),
        ("DEVICE_CONFIGS", "DEVICE_CONFIG"),
    ],
)
def test_a_variable_that_is_nearly_a_setting(tmp_path: Path, name: str, meant: str) -> None:
    error = refused(tmp_path, LEAST, {name: "x"})

    assert error.source == name
    assert error.next_step == f"Did you mean {meant}?"


@pytest.mark.parametrize("name", ["DEVICE_TREE", "DEVICE_ID", "DEVICE_", "DEVICE___X"])
def test_a_variable_that_names_no_setting_is_said_to_be_unused(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert load(tmp_path, LEAST, {name: "secret"}) == load(tmp_path, LEAST)
    assert caplog.messages == [f"{name} is not a setting; it is ignored"]


def test_the_source_of_each_setting_is_known(tmp_path: Path) -> None:
    path = tmp_path / "claim.yaml"
    path.write_text(LEAST + "subject: {country: DE}\n")
    environment = {"DEVICE_SUBJECT__STATE": "x"}

    sources = settings.load_with_sources(path, environment, {"endpoint": "a:1"}).sources

    keys = ("method", "subject.country", "subject.state", "endpoint", "thing_name")
    assert [sources.of(key) for key in keys] == [
        str(path), str(path), "DEVICE_SUBJECT__STATE", "--endpoint", "the default",
    ]  # fmt: skip
    assert sources.error("thing_name", "is wrong").next_step == f"Set thing_name in {path}."


def test_the_password_of_a_proxy_is_not_in_the_repr(tmp_path: Path) -> None:
    loaded = load(tmp_path, LEAST, {"DEVICE_PROXY": "http://user:secret@proxy:3128"})

    assert loaded.proxy == "http://user:secret@proxy:3128"
    assert "secret" not in repr(loaded)


def test_paths_in_the_file_are_relative_to_the_file(tmp_path: Path) -> None:
    text = LEAST + "root_ca: ca.pem\nissuer_ca: /etc/ca.pem\nclaim: {template_file: t.json}\n"

    loaded = load(tmp_path, text)

    assert loaded.root_ca == str(tmp_path / "ca.pem")
    assert loaded.issuer_ca == "/etc/ca.pem"
    assert loaded.claim.template_file == str(tmp_path / "t.json")


def test_paths_from_elsewhere_are_relative_to_where_one_stands(tmp_path: Path) -> None:
    environment = {"DEVICE_ISSUER_CA": "i.pem", "DEVICE_CLAIM__TEMPLATE_FILE": "t.json"}

    loaded = load(tmp_path, LEAST, environment, root_ca="ca.pem")

    assert (loaded.root_ca, loaded.issuer_ca) == ("ca.pem", "i.pem")
    assert loaded.claim.template_file == "t.json"


def test_settings_do_not_change(tmp_path: Path) -> None:
    loaded = load(tmp_path, LEAST)

    with pytest.raises(AttributeError):
        loaded.method = "claim-aws-keys"  # type: ignore[misc]  # the question


@pytest.mark.parametrize("name", BOTH)
def test_the_files_that_come_with_the_project(name: str) -> None:
    loaded = settings.load(CONFIG / name, {}, {})

    assert loaded.method == "claim"
    template_file = loaded.claim.template_file
    assert template_file is not None
    assert Path(template_file).is_file()


def test_the_two_files_differ_in_nothing_but_the_spread() -> None:
    local, account = (settings.load(CONFIG / name, {}, {}) for name in BOTH)

    spread = r"first_connect_spread=\d+(\.\d+)?"
    assert local.connection.first_connect_spread == 0
    assert account.connection.first_connect_spread == 30
    assert re.sub(spread, "", repr(local)) == re.sub(spread, "", repr(account))


OURS = sorted(CONFIG.glob("*.yaml"))


@pytest.mark.parametrize("file", OURS, ids=[file.name for file in OURS])
def test_a_file_of_ours_has_only_what_differs_from_the_default(file: Path) -> None:
    written = read_settings_file(file)
    default = msgspec.to_builtins(Settings(method=""))

    assert list(without_difference(written, default)) == []


def without_difference(
    written: Mapping[str, object], default: Mapping[str, object], prefix: str = ""
) -> Iterator[str]:
    """Yield the keys that could be left out; a section of own names is replaced as a whole."""
    for name, value in written.items():
        key = f"{prefix}{name}"
        if key in {"subject", "claim.parameters"} or not isinstance(value, dict):
            if str(value) == str(default[name]):
                yield key
        else:
            inner = default[name]
            assert isinstance(inner, dict)
            yield from without_difference(value, inner, f"{key}.")


def test_every_setting_is_on_its_page() -> None:
    page = (CONFIG.parent / "docs" / "settings.md").read_text()
    keys = {key.removesuffix(".") for key in known_keys(msgspec.inspect.type_info(Settings))}

    assert set(re.findall(r"^\| `([a-z0-9_.]+)` \|", page, re.MULTILINE)) == keys
