"""Is everything that can be known to be wrong said before the device connects?"""

import os
from pathlib import Path

import msgspec
import pytest

from device.config.device_plan import Plan, plan_for
from device.config.endpoint import Endpoint, Login
from device.config.methods import CLAIM_METHODS, METHODS, PRESENTED_METHODS
from device.config.settings import Claim, JustInTime, Key, Settings, Telemetry
from device.config.sources import Sources
from device.errors import ConfigurationError
from device.errors.provisioning import NO_CREDENTIAL, SUBJECT_FIELD_MISSING
from device.lifecycle.journal import Keyed, save
from device.lifecycle.made_for import check_made_for
from device.provisioning.claim import ClaimPlan
from device.provisioning.presented import PresentedPlan
from device.storage import installed_certificate
from device.storage.device_storage import open_device_storage
from device.storage.keys import FIRST_DEVICE_KEY
from tests.support.certificates import DeviceAuthority, new_key, pem_of
from tests.support.devices import AUTHORITY, DEVICE_ID, SERIAL, advance_to, make_device
from tests.support.errors import raises

CA = DeviceAuthority("a CA of the test").certificate_pem


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_device(tmp_path_factory.mktemp("plan") / "device")


def plan(state: Path, settings: Settings) -> Plan:
    with open_device_storage(state, read_only=True) as storage:
        check_made_for(storage, settings.method, "claim.yaml")
        return plan_for(storage, settings, "claim.yaml")


def claim_plan(state: Path, settings: Settings) -> ClaimPlan:
    machine = plan(state, settings).machine
    assert isinstance(machine, ClaimPlan)
    return machine


def refused(state: Path, settings: Settings) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as raised:
        plan(state, settings)
    return raised.value


def claim(**fields: object) -> Settings:
    return Settings(method="claim", claim=Claim(**fields))  # type: ignore[arg-type]  # any field


def test_the_defaults_make_a_plan(state: Path) -> None:
    made = plan(state, Settings(method="claim"))

    assert made.endpoint == Endpoint("localhost", 8883)
    assert made.root_ca_pem == AUTHORITY.certificate_pem
    assert made.issuer_pem is None
    assert made.subject == {"common_name": SERIAL}
    machine = claim_plan(state, Settings(method="claim"))
    assert machine.parameters == {"SerialNumber": SERIAL}
    assert machine.claim_client_id == f"claim-{SERIAL}"
    assert machine.expected_thing_name == SERIAL
    assert machine.proof_topic == "dt/{thing_name}/telemetry"
    assert not machine.keys_made_by_aws


def test_placeholders_are_filled_everywhere(state: Path) -> None:
    settings = Settings(
        method="claim",
        thing_name="thing-{serial}",
        subject={"common_name": "{device_id}", "organization": "plain"},
        claim=Claim(parameters={"Both": "{serial}/{device_id}"}, client_id="c-{device_id}"),
        telemetry=Telemetry(topic="{serial}/{thing_name}"),
    )

    machine = claim_plan(state, settings)

    assert plan(state, settings).subject == {"common_name": DEVICE_ID, "organization": "plain"}
    assert machine.expected_thing_name == f"thing-{SERIAL}"
    assert machine.parameters == {"Both": f"{SERIAL}/{DEVICE_ID}"}
    assert machine.claim_client_id == f"c-{DEVICE_ID}"
    assert machine.proof_topic == f"{SERIAL}/{{thing_name}}"


def test_keys_made_by_aws_are_a_method(state: Path) -> None:
    assert claim_plan(state, Settings(method="claim-aws-keys")).keys_made_by_aws


def test_settings_win_over_what_the_station_installed(state: Path, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(CA)
    settings = Settings(method="claim", endpoint="other:443", root_ca=str(tmp_path / "ca.pem"))

    made = plan(state, settings)

    assert made.endpoint == Endpoint("other", 443)
    assert made.root_ca_pem == CA


@pytest.mark.parametrize(
    ("settings", "key", "problem"),
    [
        (Settings(method="claim", thing_name="{name}"), "thing_name", "placeholder {name}"),
        (Settings(method="claim", thing_name="{thing_name}"), "thing_name", "placeholder"),
        (Settings(method="claim", thing_name="{}"), "thing_name", "placeholder {}"),
        (
            Settings(method="claim", subject={"common_name": "{cpu}"}),
            "subject.common_name",
            "placeholder {cpu}",
        ),
        (claim(parameters={"A": "{Serial}"}), "claim.parameters.A", "placeholder {Serial}"),
        (claim(client_id="{thing_name}-c"), "claim.client_id", "placeholder {thing_name}"),
        (
            Settings(method="claim", telemetry=Telemetry(topic="{thing}")),
            "telemetry.topic",
            "placeholder {thing}",
        ),
        *(
            (
                Settings(method="claim", telemetry=Telemetry(topic=topic)),
                "telemetry.topic",
                "is not a topic to publish on",
            )
            for topic in (
                "",
                "dt/#",
                "dt/+/x",
                "$aws/x",
                "a\0",
                "a\n",
                "1/2/3/4/5/6/7/8/9",
                "é" * 129,
                "dt/{serial",
                "dt/serial}",
                "{thing_name}" + "x" * 253,
            )
        ),
        (Settings(method="claim", thing_name=""), "thing_name", "is not an AWS thing name"),
        (Settings(method="claim", thing_name="a b"), "thing_name", "is not an AWS thing name"),
        (Settings(method="claim", thing_name="a/b"), "thing_name", "is not an AWS thing name"),
        (Settings(method="claim", thing_name="x" * 129), "thing_name", "is not an AWS thing name"),
        (claim(client_id=""), "claim.client_id", "1 to 128 bytes"),
        (claim(client_id="é" * 65), "claim.client_id", "1 to 128 bytes"),
        (claim(client_id="claim-{serial"), "claim.client_id", "no braces but {serial}"),
        (claim(client_id="claim\n{serial}"), "claim.client_id", "no control characters"),
        (claim(client_id="$claim"), "claim.client_id", "no $ first"),
        (claim(client_id="{serial}"), "claim.client_id", "must not be the thing name"),
    ],
)
def test_a_name_that_cannot_be_used(
    state: Path, settings: Settings, key: str, problem: str
) -> None:
    error = refused(state, settings)

    assert (error.source, error.key) == ("claim.yaml", key)
    assert problem in error.problem


def test_an_unknown_placeholder_comes_with_the_known_ones(state: Path) -> None:
    settings = Settings(method="claim", telemetry=Telemetry(topic="{thing}"))

    assert refused(state, settings).next_step == (
        "Known here: {serial}, {device_id}, {thing_name}."
    )


def test_an_endpoint_that_is_none(state: Path) -> None:
    error = refused(state, Settings(method="claim", endpoint="https://x"))

    assert (error.source, error.key) == ("claim.yaml", "endpoint")


@pytest.mark.parametrize("key", ["endpoint", "root_ca"])
def test_what_nobody_set_or_installed(tmp_path: Path, key: str) -> None:
    endpoint, root_ca = (None, CA) if key == "endpoint" else ("localhost:8883", None)
    made = make_device(tmp_path / "device", endpoint=endpoint, root_ca=root_ca)

    error = refused(made, Settings(method="claim"))

    assert error.key == key
    assert error.problem == "is not set, and the station did not install one"


def test_an_installed_endpoint_that_is_none(tmp_path: Path) -> None:
    made = make_device(tmp_path / "device", endpoint="two words")

    assert refused(made, Settings(method="claim")).source == "the device's storage"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "no such file"),
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"certificates/ca.pem", "holds no PEM certificate"),
        (pem_of(new_key()), "holds no PEM certificate"),
        (CA.replace(b"M", b"N"), "holds a malformed certificate"),
        (CA[: len(CA) // 2], "holds a malformed certificate"),
        (CA + CA[: len(CA) // 2], "holds a malformed certificate"),
    ],
)
@pytest.mark.parametrize("key", ["root_ca", "issuer_ca"])
def test_a_certificate_file_that_is_none(
    state: Path, tmp_path: Path, key: str, content: bytes | None, problem: str
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)

    error = refused(state, msgspec.structs.replace(Settings(method="claim"), **{key: str(path)}))

    assert (error.source, error.key) == ("claim.yaml", key)
    assert error.problem.startswith(f"{path}: ")
    assert problem in error.problem


def test_a_folder_for_a_certificate_file(state: Path, tmp_path: Path) -> None:
    error = refused(state, Settings(method="claim", root_ca=str(tmp_path)))

    assert error.problem == f"{tmp_path}: is not a regular file"


def test_a_pipe_for_a_certificate_file_is_not_waited_for(state: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    error = refused(state, Settings(method="claim", root_ca=str(tmp_path / "pipe")))

    assert "is not a regular file" in error.problem


LINES = CA.count(b"\n")


@pytest.mark.parametrize(
    ("second", "problem"),
    [
        (CA.replace(b"MII", b"MIJ"), "cannot be read"),
        (CA[: len(CA) // 2], "is truncated"),
        (CA.replace(b"-----END CERTIFICATE-----", b""), "is truncated"),
        (CA.replace(b"BEGIN CERT", b"BEGIN TRUSTED CERT"), "is truncated, or its label"),
    ],
)
def test_a_bundle_names_the_certificate_that_is_spoiled(
    state: Path, tmp_path: Path, second: bytes, problem: str
) -> None:
    path = tmp_path / "bundle.pem"
    path.write_bytes(CA + b"# second\n" + second + AUTHORITY.certificate_pem)

    error = refused(state, Settings(method="claim", root_ca=str(path)))

    assert f"certificate 2 of 3 (line {LINES + 2}) {problem}" in error.problem


def test_a_bundle_of_certificates(state: Path, tmp_path: Path) -> None:
    path = tmp_path / "bundle.pem"
    path.write_bytes(b"# first\n" + CA + b"\n# second\n" + AUTHORITY.certificate_pem)

    assert plan(state, Settings(method="claim", root_ca=str(path))).root_ca_pem.count(b"BEGIN") == 2


def test_a_parameter_that_the_template_wants(state: Path, tmp_path: Path) -> None:
    path = tmp_path / "template.json"
    path.write_text(
        '{"Parameters": {"SerialNumber": {"Type": "String"}, "Batch": {"Type": "String"},'
        ' "Colour": {"Type": "String", "Default": "red"},'
        ' "AWS::IoT::Certificate::Id": {"Type": "String"}},'
        ' "Resources": {"thing": {"Type": "AWS::IoT::Thing"}}}'
    )

    error = refused(state, claim(template_file=str(path)))

    assert error.key == "claim.parameters.Batch"
    assert str(path) in error.problem
    plan(state, claim(template_file=str(path), parameters={"SerialNumber": "x", "Batch": "y"}))
    sent_at_times = claim(
        template_file=str(path), parameters={"SerialNumber": "x", "Batch": "{given_up}"}
    )
    assert refused(state, sent_at_times).key == "claim.parameters.Batch"


def test_a_template_may_name_the_thing(state: Path) -> None:
    machine = plan(state, Settings(method="claim", thing_name="{cloud}")).machine

    assert isinstance(machine, ClaimPlan)
    assert machine.named_by_cloud
    assert machine.expected_thing_name == SERIAL


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "no such file"),
        (b'{"Resources": {"a": {"Type": "AWS::IoT::Policy"}}}', "has no AWS::IoT::Thing"),
        (b'{"Resources": {"a": {"Type": ["AWS::IoT::Thing"]}}}', "is not a provisioning template"),
        (b"{}", "has no AWS::IoT::Thing"),
        (b"", "is not a provisioning template"),
        (b"[]", "is not a provisioning template"),
        (b"\xff", "is not a provisioning template"),
        (b'{"Parameters": ["SerialNumber"]}', "is not a provisioning template"),
        (b'{"a":' + b"[" * 60_000, "is not a provisioning template"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_a_template_file_that_is_none(
    state: Path, tmp_path: Path, content: bytes | None, problem: str
) -> None:
    path = tmp_path / "template.json"
    if content is not None:
        path.write_bytes(content)

    error = refused(state, claim(template_file=str(path)))

    assert (error.source, error.key) == ("claim.yaml", "claim.template_file")
    assert str(path) in error.problem
    assert problem in error.problem


def test_the_template_that_comes_with_the_project(state: Path) -> None:
    path = Path(__file__).parents[2] / "config" / "templates" / "firstboot-claim.json"

    assert claim_plan(state, claim(template_file=str(path))).template_name == "firstboot-claim"


def test_each_refusal_names_the_variable_that_set_the_value(state: Path, tmp_path: Path) -> None:
    settings = Settings(
        method="claim",
        endpoint="a b",
        proxy="http://user:secret@host",
        root_ca=str(tmp_path / "none.pem"),
        issuer_ca=str(tmp_path / "none.pem"),
        thing_name="a b",
        subject={"country": "Germany"},
        claim=Claim(
            template_file=str(tmp_path / "none.json"), client_id="$", parameters={"A": "{x}"}
        ),
        telemetry=Telemetry(topic="#"),
        key=Key(tls13=True),
    )
    keys = (
        "endpoint", "proxy", "root_ca", "issuer_ca", "subject.country", "claim.parameters.A",
        "claim.template_file", "thing_name", "claim.client_id", "telemetry.topic", "key.tls13",
    )  # fmt: skip
    sources = Sources("claim.yaml", {key: f"variable of {key}" for key in keys}, frozenset())

    for key in keys:
        with (
            open_device_storage(state, read_only=True) as storage,
            pytest.raises(ConfigurationError) as raised,
        ):
            plan_for(storage, settings, sources)
        assert (raised.value.source, raised.value.key) == (f"variable of {key}", key)
        assert "secret" not in str(raised.value) + raised.value.next_step
        settings = mended(settings, key)


def mended(settings: Settings, key: str) -> Settings:
    """Return ``settings`` with the default of ``key``, and no more parameters of one's own."""
    section, _, name = key.partition(".")
    value: object = getattr(Settings(method="claim"), section)
    if name and section in {"claim", "key", "telemetry"}:
        name = name.partition(".")[0]
        held = getattr(settings, section)
        value = msgspec.structs.replace(held, **{name: getattr(value, name)})
    return msgspec.structs.replace(settings, **{section: value})


def test_a_default_that_cannot_be_used_is_said_to_be_one(tmp_path: Path) -> None:
    made = make_device(tmp_path / "device", serial="SN 1")

    with (
        open_device_storage(made, read_only=True) as storage,
        pytest.raises(ConfigurationError) as raised,
    ):
        plan_for(storage, Settings(method="claim"), Sources("claim.yaml", {}, frozenset()))

    assert raised.value.source == "the default"
    assert raised.value.next_step == "Set thing_name in claim.yaml."


@pytest.mark.parametrize("serial", ["sn_1", "sn*1", "x" * 65])
def test_a_serial_number_that_the_subject_cannot_hold(tmp_path: Path, serial: str) -> None:
    made = make_device(tmp_path / "device", serial=serial)

    error = refused(made, Settings(method="claim", subject={"serial_number": "{serial}"}))

    assert (error.source, error.key) == ("claim.yaml", "subject.serial_number")
    assert serial in error.problem


@pytest.mark.parametrize("proxy", ["127.0.0.1:3128", "http://127.0.0.1:3128/"])
def test_a_proxy_is_named_with_or_without_its_scheme(state: Path, proxy: str) -> None:
    made = plan(state, Settings(method="claim", proxy=proxy))

    assert made.endpoint.proxy == Endpoint("127.0.0.1", 3128)


def test_a_proxy_that_is_none(state: Path) -> None:
    error = refused(state, Settings(method="claim", proxy="https://secure"))

    assert (error.source, error.key) == ("claim.yaml", "proxy")


def test_a_plan_does_not_show_the_login_of_its_proxy(state: Path) -> None:
    made = plan(state, Settings(method="claim", proxy="http://user:p%40ss@127.0.0.1:3128"))

    assert made.endpoint.proxy is not None
    assert made.endpoint.proxy.login == Login("user", "p@ss")
    assert "p@ss" not in repr(made) + str(made)


# --- just-in-time -----------------------------------------------------------------------

JITP_TEMPLATE = """{
  "Parameters": {
    "AWS::IoT::Certificate::CommonName": {"Type": "String"},
    "AWS::IoT::Certificate::Country": {"Type": "String"},
    "AWS::IoT::Certificate::StateName": {"Type": "String", "Default": "none"},
    "AWS::IoT::Certificate::Id": {"Type": "String"}
  },
  "Resources": {"thing": {"Type": "AWS::IoT::Thing"}}
}"""


def just_in_time(tmp_path: Path, template: str, subject: dict[str, str]) -> tuple[Path, Settings]:
    """Return a device with an installed certificate for ``subject``, and its settings."""
    (tmp_path / "template.json").write_text(template)
    state = make_device(tmp_path / "device", claim=None)
    with open_device_storage(state) as storage:
        leaf = AUTHORITY.issue(new_key().public_key(), subject)
        chain = leaf + AUTHORITY.certificate_pem
        installed_certificate.save(storage.ps, FIRST_DEVICE_KEY, chain)
    just = JustInTime(template_file=str(tmp_path / "template.json"))
    return state, Settings(method="jitp", just_in_time=just)


def test_a_subject_that_lacks_what_the_template_takes_from_it(tmp_path: Path) -> None:
    state, settings = just_in_time(tmp_path, JITP_TEMPLATE, {"common_name": SERIAL})

    with raises(SUBJECT_FIELD_MISSING, match="subject lacks Country") as raised:
        plan(state, settings)

    assert raised.value.fields["lacking"] == "Country"
    assert "PENDING_ACTIVATION" in raised.value.next_step


def test_a_subject_that_has_all_that_the_template_takes(tmp_path: Path) -> None:
    subject = {"common_name": SERIAL, "country": "DE"}

    made = plan(*just_in_time(tmp_path, JITP_TEMPLATE, subject)).machine

    assert isinstance(made, PresentedPlan)
    assert made.just_in_time
    assert made.thing_name == SERIAL


def test_a_just_in_time_template_without_a_thing(tmp_path: Path) -> None:
    template = JITP_TEMPLATE.replace("AWS::IoT::Thing", "AWS::IoT::Policy")

    with pytest.raises(ConfigurationError, match=r"just_in_time.template_file: .*no AWS::IoT::Thi"):
        plan(*just_in_time(tmp_path, template, {"common_name": SERIAL}))


def test_a_just_in_time_template_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not a provisioning template"):
        plan(*just_in_time(tmp_path, "[]", {"common_name": SERIAL}))


# --- the settings of another method -----------------------------------------------------


@pytest.mark.parametrize("method", PRESENTED_METHODS)
def test_a_device_with_a_claim_is_not_booted_as_one_with_a_certificate(
    state: Path, method: str
) -> None:
    error = refused(state, Settings(method=method))

    assert (error.source, error.key) == ("claim.yaml", "method")
    assert "request its certificate with a claim" in str(error)


def test_a_device_that_has_begun_goes_on_by_claim_only(tmp_path: Path) -> None:
    state = make_device(tmp_path / "device", claim=None)
    with open_device_storage(state) as storage:
        save(storage.ps, Keyed(FIRST_DEVICE_KEY, "csr"))

    assert refused(state, Settings(method="jitp")).key == "method"
    assert isinstance(plan(state, Settings(method="trusted-user")).machine, ClaimPlan)


@pytest.mark.parametrize("method", CLAIM_METHODS)
def test_a_device_with_a_certificate_is_not_booted_as_one_with_a_claim(
    tmp_path: Path, method: str
) -> None:
    state, settings = just_in_time(tmp_path, JITP_TEMPLATE, {"common_name": SERIAL})

    assert "own certificate" in str(refused(state, Settings(method=method)))
    assert settings.method == "jitp"


# --- a device that is provisioned already -----------------------------------------------


@pytest.mark.parametrize("method", sorted(METHODS.keys() - {"claim"}))
def test_a_provisioned_device_is_not_run_as_one_of_another_method(
    tmp_path: Path, method: str
) -> None:
    state = make_device(tmp_path / "device")
    with open_device_storage(state) as storage:
        advance_to(storage, "proven")

    error = refused(state, Settings(method=method))

    assert (error.source, error.key) == ("claim.yaml", "method")
    assert error.problem == f"is {method}, but this device was provisioned by claim"
    plan(state, Settings(method="claim"))


@pytest.mark.parametrize("method", PRESENTED_METHODS)
def test_a_device_without_any_credential_is_told_so(tmp_path: Path, method: str) -> None:
    state = make_device(tmp_path / "device", claim=None)

    with raises(NO_CREDENTIAL, match="has no credential"):
        plan(state, Settings(method=method))
