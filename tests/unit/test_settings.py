"""Is every unusable setting refused by name, and does every usable one arrive?"""

import re
from pathlib import Path

import pytest

from device import settings
from device.errors import ConfigurationError, ExitCode
from device.settings import Settings

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
    assert raised.value.exit_code is ExitCode.CONFIGURATION_INVALID
    assert raised.value.next_step
    return raised.value


@pytest.mark.parametrize(
    ("text", "key", "problem"),
    [
        ("", "", "is empty"),
        ("# only a comment\n", "", "is empty"),
        ("- method\n- claim\n", "", "holds a list, not keys and values"),
        ("claim\n", "", "holds a str, not keys and values"),
        ("method: [claim\n", "", "is not YAML"),
        ("method: claim\n\tkey: x\n", "", "is not YAML"),
        ("method: !!python/object/apply:os.getcwd []\n", "", "is not YAML"),
        ("thing_name: x\n", "method", "is missing"),
        ("method: magic\n", "method", "invalid enum value 'magic'"),
        (LEAST + "endpont: x\n", "endpont", "unknown key"),
        (LEAST + "claim: {templat: x}\n", "claim.templat", "unknown key"),
        (LEAST + "connection: {retry: {longst: 9}}\n", "connection.retry.longst", "unknown key"),
        (LEAST + "1: x\n", "", "expected `str`"),
        (LEAST + "claim: firstboot\n", "claim", "expected `object`, got `str`"),
        (LEAST + "thing_name: 5\n", "thing_name", "expected `str`, got `int`"),
        (LEAST + "connection:\n", "connection", "expected `object`, got `null`"),
        (LEAST + "connection: {keep_alive: soon}\n", "connection.keep_alive", "expected `int`"),
        (LEAST + "connection: {keep_alive: 29}\n", "connection.keep_alive", ">= 30"),
        (LEAST + "connection: {keep_alive: 1201}\n", "connection.keep_alive", "<= 1200"),
        (LEAST + "connection: {reply_timeout: 0}\n", "connection.reply_timeout", "> 0"),
        (
            LEAST + "connection: {connect_timeout: .inf}\n",
            "connection.connect_timeout",
            "<= 604800",
        ),
        (LEAST + "telemetry: {interval: .nan}\n", "telemetry.interval", ">= 0.1"),
        (
            LEAST + "connection: {first_connect_spread: -1}\n",
            "connection.first_connect_spread",
            ">= 0",
        ),
        (LEAST + "key: {type: ed25519}\n", "key.type", "invalid enum value 'ed25519'"),
        (LEAST + 'key: {store: "file:key.pem"}\n', "key.store", "regex"),
        (LEAST + 'claim: {template: "a/b"}\n', "claim.template", "regex"),
        (LEAST + 'claim: {template: ""}\n', "claim.template", "regex"),
        (LEAST + 'claim: {template: "line\\n"}\n', "claim.template", "regex"),
        (LEAST + f"claim: {{template: {'x' * 37}}}\n", "claim.template", "length <= 36"),
        (LEAST + "claim: {parameters: [SerialNumber]}\n", "claim.parameters", "expected `object`"),
        (LEAST + "subject: {common_name: 5}\n", "subject[...]", "expected `str`, got `int`"),
    ],
)
def test_an_unusable_file(tmp_path: Path, text: str, key: str, problem: str) -> None:
    error = refused(tmp_path, text)

    assert error.source == str(tmp_path / "claim.yaml")
    assert error.key == key
    assert problem in error.problem


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        settings.load(tmp_path / "none.yaml", {}, {})

    assert raised.value.source == str(tmp_path / "none.yaml")
    assert raised.value.problem == "no such file"
    assert "--config" in raised.value.next_step


def test_a_folder_for_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        settings.load(tmp_path, {}, {})


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "claim.yaml"
    path.write_bytes(b"method: \xff\xfe")

    with pytest.raises(ConfigurationError, match="cannot be read"):
        settings.load(path, {}, {})


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
        ("DEVICE_CONNECTION__KEEP_ALIVE", "soon", "connection.keep_alive", "expected `int`"),
        ("DEVICE_CONNECTION__KEEP_ALIVE", "", "connection.keep_alive", "expected `int`"),
        ("DEVICE_CLAIM__TEMPLAT", "x", "claim.templat", "unknown key"),
        ("DEVICE_METHOD__X", "x", "method.x", "method is not a section"),
        ("DEVICE_ENDPOINT", "{", "", "is not a plain value"),
    ],
)
def test_an_unusable_variable_is_named(
    tmp_path: Path, variable: str, value: str, key: str, problem: str
) -> None:
    error = refused(tmp_path, LEAST, {variable: value})

    assert error.source == variable
    assert error.key == key
    assert problem in error.problem


@pytest.mark.parametrize("name", ["DEVICE_STATE", "DEVICE_CONFIG", "DEVICE_TREE", "HOME"])
def test_variables_that_are_no_settings_are_left_alone(tmp_path: Path, name: str) -> None:
    assert load(tmp_path, LEAST, {name: "{"}) == load(tmp_path, LEAST)


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


@pytest.mark.parametrize("name", BOTH)
def test_what_the_comments_call_a_default_is_the_default(tmp_path: Path, name: str) -> None:
    """Whoever deletes a line keeps what it says, but for what the file is there to choose."""
    written = settings.load(CONFIG / name, {}, {})
    default = load(tmp_path, LEAST)

    assert written.endpoint is default.endpoint is None
    assert written.root_ca is default.root_ca is None
    assert written.thing_name == default.thing_name
    assert written.key == default.key
    assert written.telemetry == default.telemetry
    assert written.connection.retry == default.connection.retry
    assert written.claim.parameters == default.claim.parameters
    assert written.claim.client_id == default.claim.client_id
