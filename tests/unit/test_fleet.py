"""The parts of a fleet that need no cloud: orders, limits, permission, invariants, report."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import yaml

from device.connection.awscrt_session import Network
from device.errors import StoppedError
from device.errors.storage import StorageError
from device.lifecycle.journal import Identity
from device.provisioning import actions as act
from device.provisioning.events import Credential
from device.storage.keys import FIRST_DEVICE_KEY
from fleet.account import Permission
from fleet.cli import main, order_of, parser
from fleet.crowd import Crowd, Moment
from fleet.errors import FleetError, MisuseError
from fleet.invariants import Registered, broken, unregistered
from fleet.limits import Allowed, most_devices, refuse_too_many
from fleet.memory_disk import MemoryDisk
from fleet.order import FleetOrder, Scenario
from fleet.page import page_of, plot
from fleet.progress import Screen
from fleet.record import Passed, Record
from fleet.report import Run, document_of, growth, percentile, write_csv
from fleet.running import how_it_ended
from fleet.sessions import Ceiling, kind_of
from fleet.share import swarm_order
from fleet.simulated_device import Shared

KUBERNETES = Path(__file__).parents[2] / "packaging" / "kubernetes" / "fleet.yaml"
MUCH = Allowed(files=10**9, threads=10**9, ports=10**9, memory_kib=10**9)


def proven(serial: str, certificate_id: str) -> Record:
    return Record(
        serial, thing_name=serial, certificate_id=certificate_id, proven_after=1.0,
        issued={certificate_id},
    )  # fmt: skip


def violated(
    records: Sequence[Record], things: Mapping[str, Sequence[str]], status: Mapping[str, str]
) -> list[str]:
    found = Registered(things, status)
    return [each.invariant for each in broken(records, found, frozenset({"claim"}))]


def test_a_registry_that_is_right_breaks_nothing() -> None:
    records = [proven("A", "1"), proven("B", "2")]
    status = {"1": "ACTIVE", "2": "ACTIVE", "claim": "ACTIVE", "old": "PENDING_ACTIVATION"}
    assert violated(records, {"A": ["1"], "B": ["2"]}, status) == []


def test_a_proven_device_without_a_thing_is_lost() -> None:
    assert "nothing lost" in violated([proven("A", "1")], {}, {"1": "ACTIVE"})


def test_a_proven_device_whose_certificate_is_not_attached_is_lost() -> None:
    found = violated([proven("A", "1")], {"A": ["2"]}, {"1": "ACTIVE", "2": "ACTIVE"})
    assert "nothing lost" in found


def test_an_inactive_certificate_is_not_the_one() -> None:
    found = violated([proven("A", "1")], {"A": ["1"]}, {"1": "INACTIVE"})
    assert found == ["one ACTIVE certificate"]


def test_a_second_active_certificate_is_one_too_many_even_of_an_unproven_device() -> None:
    found = violated([Record("A")], {"A": ["1", "2"]}, {"1": "ACTIVE", "2": "ACTIVE"})
    assert found == ["one ACTIVE certificate"]


def test_two_devices_with_one_certificate_are_a_duplicate() -> None:
    records = [proven("A", "1"), proven("B", "1")]
    assert violated(records, {"A": ["1"], "B": ["1"]}, {"1": "ACTIVE"}) == ["no duplicate"]


def test_an_active_certificate_without_a_thing_is_an_orphan() -> None:
    found = violated([proven("A", "1")], {"A": ["1"]}, {"1": "ACTIVE", "2": "ACTIVE"})
    assert found == ["no orphan"]


def test_what_was_issued_and_never_activated_is_counted_not_blamed() -> None:
    record = replace(proven("A", "1"), issued={"0", "1"})
    found = Registered({"A": ["1"]}, {"0": "PENDING_ACTIVATION", "1": "ACTIVE"})
    assert unregistered([record], found) == ["0"]
    assert list(broken([record], found, frozenset())) == []


def test_a_device_that_renews_may_have_two_active_certificates_until_it_is_done() -> None:
    record = replace(proven("A", "1"), is_renewing=True)
    status = {"1": "ACTIVE", "2": "ACTIVE", "3": "ACTIVE"}
    assert violated([record], {"A": ["1", "2"]}, {"1": "ACTIVE", "2": "ACTIVE"}) == []
    assert "one ACTIVE certificate" in violated([record], {"A": ["1", "2", "3"]}, status)
    record.is_renewing = False
    assert "one ACTIVE certificate" in violated([record], {"A": ["1", "2"]}, status)


def test_a_certificate_that_was_renewed_is_not_one_that_was_never_activated() -> None:
    record = replace(proven("A", "2"), issued={"1", "2"}, retired={"1"})
    found = Registered({"A": ["2"]}, {"1": "INACTIVE", "2": "ACTIVE"})
    assert unregistered([record], found) == []


def test_the_certificate_before_a_renewal_is_retired() -> None:
    record, first = Record("A"), Identity(
        "A", "1", FIRST_DEVICE_KEY, "", "EC-P256", "device", "claim", 0.0, 1.0, 0.0
    )  # fmt: skip
    record.prove(first, 1.0)
    record.prove(first, 2.0)
    assert record.retired == set()
    record.prove(msgspec.structs.replace(first, certificate_id="2"), 3.0)
    assert (record.certificate_id, record.retired) == ("2", {"1"})
    assert record.proven_after == 1.0


def test_a_record_tells_the_steps_of_a_renewal_from_those_of_a_first_boot() -> None:
    record = Record("A")
    timeline = record.new_timeline(lambda _: None)
    told = ("key made", "renewal begun", "key made", "renewed", "operating")
    for name in told:
        timeline.add(name)
    timeline.add("renewal waits", "AWS IoT is too busy; it is tried again in 2 s; next: wait")
    assert [step.name for step in record.steps] == [
        "key made", "renewal begun", "renewal: key made", "renewal: renewed", "operating",
    ]  # fmt: skip
    assert (record.renewals, record.is_renewing) == (1, False)
    assert record.waits == {"renewal waits: AWS IoT is too busy": 1}


@pytest.mark.parametrize("what", ["files", "threads", "ports", "memory_kib"])
def test_too_many_devices_are_refused_with_the_limit_and_how_to_raise_it(what: str) -> None:
    allowed = replace(MUCH, **{what: 5000})
    with pytest.raises(FleetError) as refused:
        refuse_too_many(FleetOrder(10_000), allowed, with_local_aws=True)
    assert "5,000 allowed" in str(refused.value)
    room = most_devices(allowed, with_local_aws=True)
    assert f"at most {room:,} devices" in refused.value.next_step
    assert "raise the limit: " in refused.value.next_step
    refuse_too_many(FleetOrder(room), allowed, with_local_aws=True)
    refuse_too_many(FleetOrder(10_000, at_once=room), allowed, with_local_aws=True)


def test_a_renewal_storm_needs_room_for_two_connections_a_device() -> None:
    allowed = replace(MUCH, ports=5000)
    room = most_devices(allowed, with_local_aws=True)
    storm = FleetOrder(room, scenario=Scenario.RENEWAL_STORM)
    with pytest.raises(FleetError) as refused:
        refuse_too_many(storm, allowed, with_local_aws=True)
    assert f"at most {room // 2:,} devices" in refused.value.next_step
    refuse_too_many(replace(storm, devices=room // 2), allowed, with_local_aws=True)


REFUSED = {
    "an endpoint alone": Permission(endpoint="abc-ats.iot.eu-central-1.amazonaws.com"),
    "a local endpoint alone": Permission(endpoint="localhost:8883"),
    "a profile alone": Permission(profile="work"),
    "no ceilings": Permission(account_id="123456789012"),
    "no ceiling on calls": Permission(account_id="123456789012", most_devices=10),
    "no ceiling on devices": Permission(account_id="123456789012", most_calls=10),
    "above the ceiling": Permission(account_id="123456789012", most_devices=9, most_calls=99),
    "no account number": Permission(account_id="work", most_devices=10, most_calls=99),
}


@pytest.mark.parametrize("permission", REFUSED.values(), ids=REFUSED)
def test_an_account_is_used_only_if_all_is_said(permission: Permission) -> None:
    with pytest.raises(MisuseError) as refused:
        permission.real_account(FleetOrder(10))
    assert refused.value.next_step


def test_an_account_that_is_named_with_its_ceilings_is_used() -> None:
    named = Permission(account_id="123456789012", most_devices=10, most_calls=99)
    account = named.real_account(FleetOrder(10))
    assert account is not None
    assert account.account_id == "123456789012"
    assert Permission().real_account(FleetOrder(10)) is None


def test_a_refusal_says_what_to_do_and_exits_as_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--endpoint", "localhost:8883"]) == 2
    assert "next: Name the account" in capsys.readouterr().err


@pytest.mark.parametrize(
        "words",
    [
        ("--devices", "0"), ("--spread", "-1"), ("--rate", "-1"), ("--interval", "0"),
        ("--limit", "0"), ("--rate", "nan"), ("--limit", "nan"), ("--seconds", "inf"),
        ("--at-once", "0"), ("--at-once", "5", "--scenario", "steady"),
    ],
)  # fmt: skip
def test_a_number_without_sense_is_misuse(words: tuple[str, ...]) -> None:
    with pytest.raises(MisuseError):
        order_of(parser().parse_args(words))


def test_a_folder_that_cannot_be_made_is_said_before_a_device_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["--devices", "1", "--out", str(tmp_path / "file" / "out")]) == 1
    assert "this machine refused: " in capsys.readouterr().err


def test_a_ceiling_is_never_passed() -> None:
    ceiling = Ceiling(2)
    ceiling.take()
    ceiling.take()
    assert not ceiling.is_reached
    with pytest.raises(StoppedError):
        ceiling.take()
    assert ceiling.is_reached


def test_calls_have_the_names_that_aws_has_for_them() -> None:
    topics = {
        "$aws/certificates/create-from-csr/json": "CreateCertificateFromCsr",
        "$aws/certificates/create/json": "CreateKeysAndCertificate",
        "$aws/provisioning-templates/firstboot-claim/provision/json": "RegisterThing",
    }
    assert {topic: kind_of(act.Request(topic, b"")) for topic in topics} == topics
    assert kind_of(act.Connect(Credential.DEVICE, "A")) == "Connect"
    assert kind_of(act.Disconnect()) is None


def test_what_a_device_writes_stays_in_memory(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(b"made")
    tmp_path.chmod(0o700)
    disk = MemoryDisk()
    folder = disk.mount(tmp_path)
    folder.create("image.new", b"changed")
    folder.rename("image.new", "image")
    again = disk.mount(tmp_path)
    assert (again.read("image"), again.read("image.new")) == (b"changed", None)
    assert (tmp_path / "image").read_bytes() == b"made"
    with pytest.raises(StorageError):
        again.create("image", b"")
    again.unlink("image")
    assert again.read("image") is None
    with pytest.raises(StorageError):
        again.overwrite("image", b"")


@pytest.mark.parametrize(
    ("percent", "expected"), [(50.0, 2.0), (99.0, 4.0), (100.0, 4.0), (0.1, 1.0)]
)
def test_a_percentile_is_a_value_that_was_measured(percent: float, expected: float) -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], percent) == expected


def run_of(*records: Record, ended_by: str = "done") -> Run:
    order = FleetOrder(len(records), scenario=Scenario.POWER_CUTS)
    return Run(order, records, [], [], baseline_kib=1000, ended_by=ended_by)


def test_where_there_is_no_terminal_each_tenth_of_a_fleet_is_told_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tell = Screen(20).hearer.moment
    for proven in (0, 1, 2, 3, 3, 7):
        tell(Moment(1.0, 20, proven, 0, 0, 0, 0, 0.0))
    told = capsys.readouterr().err.splitlines()
    assert [line.split(" ")[0] for line in told if "proven after" in line] == ["2", "7"]


def test_a_fleet_that_did_not_come_through_its_storm_reached_its_limit() -> None:
    order = FleetOrder(1, scenario=Scenario.RECONNECT_STORM)
    crowd = Crowd([], Shared(order, Network(), Ceiling(None)), lambda _: None, None)
    assert how_it_ended("done", crowd, Ceiling(None)) == "done"
    crowd.is_through = False
    assert how_it_ended("done", crowd, Ceiling(None)) == "limit"
    assert how_it_ended("Ctrl-C", crowd, Ceiling(None)) == "Ctrl-C"


def test_a_report_tells_what_a_device_costs_the_cloud_at_first_and_at_last() -> None:
    moments = [
        Moment(0.0, 1, proven, 0, 0, 0, 0, cloud_cpu=cpu)
        for proven, cpu in ((0, 1.0), (200, 3.0), (800, 9.0), (1000, 12.0), (1000, 13.0))
    ]
    assert growth(moments) == {"first_fifth": 10.0, "last_fifth": 15.0, "ratio": 1.5}
    assert growth(moments[:1]) is None


def test_a_device_that_is_proven_while_the_fleet_stops_does_not_hide_how_long_it_took() -> None:
    moments = [Moment(seconds, 1, 1, 0, 0, 0, 0, 0.0) for seconds in (4.0, 5.0)]
    stopped = Run(FleetOrder(2), [proven("A", "1"), proven("B", "2")], moments, [], 0)
    assert document_of(stopped)["devices"]["seconds_until_all_proven"] == 4.0


def test_a_report_names_who_is_not_proven_and_is_no_success() -> None:
    run = run_of(proven("A", "1"), Record("B", failure="FB-999 no <b>way"))
    document = json.loads(json.dumps(document_of(run)))
    assert document["devices"]["first_unfinished"] == [{"serial": "B", "why": "FB-999 no <b>way"}]
    assert not run.is_good
    assert not run_of(proven("A", "1"), ended_by="Ctrl-C").is_good
    assert run_of(proven("A", "1")).is_good


def test_a_page_loads_nothing_from_anywhere() -> None:
    record = proven("A", "1")
    record.steps.append(Passed("<script>", 1.0, 1.0))
    page = page_of(run := run_of(record), document_of(run))
    assert "<script" not in page
    assert "http" not in page
    assert "&lt;script&gt;" in page


def test_a_plot_ends_at_its_largest_values() -> None:
    drawn = plot([(0.0, 0.0), (2.0, 50.0)], "devices")
    assert "2.0 s" in drawn
    assert ">50<" in drawn


def test_a_csv_has_a_line_a_device(tmp_path: Path) -> None:
    write_csv(run_of(proven("A", "1"), Record("B")), tmp_path / "devices.csv")
    lines = (tmp_path / "devices.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["serial", "A", "B"]


def test_the_kubernetes_example_numbers_its_workers_alike() -> None:
    documents = list(yaml.safe_load_all(KUBERNETES.read_text()))
    config, master, workers = (documents[number] for number in (0, 2, 3))
    count = config["data"]["FLEET_WORKERS"]
    command = master["spec"]["template"]["spec"]["containers"][0]["command"]
    assert command[command.index("--expect-workers") + 1] == count
    assert workers["spec"]["parallelism"] == workers["spec"]["completions"] == int(count)
    assert "fleet.swarm" in command


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"FLEET_DEVICES": "nowhere"},
        {"FLEET_DEVICES": "/", "FLEET_WORKERS": "0"},
        {"FLEET_DEVICES": "/", "FLEET_DEVICES_A_USER": "many"},
        {"FLEET_DEVICES": "/", "FLEET_SCENARIO": "earthquake"},
    ],
)
def test_a_swarm_without_sense_is_misuse(variables: dict[str, str]) -> None:
    with pytest.raises(MisuseError):
        swarm_order(variables)


def test_a_worker_takes_no_bundle_that_its_machine_has_no_room_for(tmp_path: Path) -> None:
    variables = {"FLEET_DEVICES": str(tmp_path), "FLEET_DEVICES_A_USER": "30"}
    order, allowed = swarm_order(variables), replace(MUCH, ports=150)  # two a device
    order.refuse_too_many(45, allowed)
    with pytest.raises(FleetError, match="152 local ports needed, 150 allowed"):
        order.refuse_too_many(46, allowed)


def test_no_device_is_in_two_shares(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"SN-{number}" / "fuses").mkdir(parents=True)
    order = swarm_order({"FLEET_DEVICES": str(tmp_path), "FLEET_WORKERS": "3"})
    shares = [each for index in range(3) for each in order.share(index)]
    assert sorted(shares) == sorted(tmp_path.iterdir())
    assert list(order.share(3)) == []


def test_a_claim_that_a_batch_shares_is_set_up_once() -> None:
    network, made = Network(), list[str]()

    def context(name: str) -> object:
        def make() -> object:
            made.append(name)
            return object()

        return network.context(name.encode(), make)

    claim = context("claim")
    for number in range(7):
        context(f"device {number}")
    assert context("claim") is claim
    context("device 7")
    context("device 0")
    assert made.count("claim") == 1
    assert made.count("device 0") == 2, "contexts are kept for ever"
