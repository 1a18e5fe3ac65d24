"""What the commands really print with ``--json`` is what docs/schemas says, errors included."""

import io
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest

import factory.cli
import localcloud.cli
from pytest_firstboot import LocalAWS
from scripts.schemas import generate
from tests.support.device_process import CONFIG, device_here, running
from tests.support.hang import line_from
from tests.support.schemas import check_line, is_error, kinds_of, name_of
from tests.wire.conftest import LocalCloud, free_ports, python

pytestmark = pytest.mark.wire

Lines = list[Mapping[str, Any]]
SINGLE_THING: Final = CONFIG.with_name("single-thing.yaml")
ACCOUNT: Final = "555544443333"
"""Only these tests use it."""


VERBS: Final = [each for each in generate.LINES if not each.startswith(("error", "scripts"))]


NEVER_FAILS: Final = {
    *("localcloud-down", "localcloud-reset", "localcloud-status", "localcloud-watch"),
}
"""Verbs that fail only where something is broken."""


ONLY_WITHOUT_RIGHTS: Final = {"NotLookedAt"}
"""Kinds of lines for credentials that lack a right; tests/diagnose/test_account_causes.py."""


class Bench:
    """One station and its devices, at the command line; each line is kept by the verb it is of."""

    def __init__(self, folder: Path, cloud: LocalCloud) -> None:
        self.folder = folder
        self.cloud = cloud
        self.printed: dict[str, Lines] = {}

    def keep(self, name: str, lines: Sequence[Mapping[str, Any]]) -> None:
        self.printed.setdefault(name, []).extend(lines)

    def device(self, verb: str, *words: str | Path, **settings: str) -> None:
        self.keep(f"device-{verb}", device_here(verb, *words, **settings).lines)

    def factory(self, verb: str, *words: str | Path) -> None:
        station = () if verb == "rewrap" else ("--station", str(self.folder / "station"))
        self._here(f"factory-{verb}", factory.cli.main, [verb, *map(str, words), *station])

    def localcloud(self, verb: str, *words: str, state: Path | None = None) -> None:
        where = ["--state", str(state or self.cloud.folder.path)]
        self._here(f"localcloud-{verb}", localcloud.cli.main, [verb, *words, *where])

    def _here(self, name: str, main: Any, words: list[str]) -> None:
        out = io.StringIO()
        with redirect_stdout(out), redirect_stderr(io.StringIO()), suppress(SystemExit):
            main([*words, "--json"])
        self.keep(name, [json.loads(line) for line in out.getvalue().splitlines()])


@pytest.fixture(scope="module")
def printed(
    local_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Lines]]:
    """Every verb, run for real; the lines of each, by the name of its schema."""
    folder = tmp_path_factory.mktemp("bench")
    (folder / "root").touch(mode=0o600)
    (folder / "root").write_bytes(bytes(range(32)))
    bench = Bench(folder, local_cloud)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in local_cloud.environment.items():
            patch.setenv(name, value)
        patch.setenv("AWS_ACCESS_KEY_ID", ACCOUNT)
        patch.setenv("CREDENTIALS_DIRECTORY", str(folder))
        patch.chdir(folder)
        at_the_station(bench)
        at_the_device(bench)
        at_the_cloud(bench)
        with LocalAWS(folder / "other", log=folder / "log") as other:
            at_another_cloud(bench, other)
        bench.localcloud("status", state=folder / "other")
        bench.localcloud("env", state=folder / "other")
        yield bench.printed


def at_the_station(bench: Bench) -> None:
    bench.factory("prepare", "--method", "claim", "--renewal")
    for method in ("claim", "jitr", "single-thing", "bulk", "trusted-user"):
        bench.factory("prepare", "--method", method)
    for state in ("one", "two", "three"):
        bench.factory("make", "--method", "claim", "--serial", f"SN-{state}", "--out", state)
    bench.factory("make", "--method", "claim", "--serial", "SN-two", "--out", "new", "--again")
    bench.factory("make", "--method", "jitr", "--serial", "SN-jitr", "--out", "jitr")
    bench.factory("make", "--method", "claim", "--serial", "no/serial", "--out", "x")
    bench.factory("single", "--serial", "SN-single", "--out", "single", "--no-exclusive")
    bench.factory("single", "--serial", "SN-single", "--out", "again", "--again", "--no-exclusive")
    bench.factory("bulk", "--count", "2", "--batch", "B1", "--out", "batch")
    bench.factory("bulk", "--count", "1", "--batch", "B3", "--out", "batch", "--dry-run")
    bench.factory("claim", "new", "--name", "B1")
    Path("serials").write_text("SN-a\nSN-b\n")
    line = ("--method", "claim", "--serials", "serials", "--batch", "B4", "--out", "line")
    bench.factory("make", *line, "--dry-run")
    Path("line").mkdir()
    Path("line", "SN-b").write_text("in the way")
    bench.factory("make", *line)
    bench.factory("report", "B4")
    bench.factory("report", "B5")
    bench.factory("manifest", "B1", "--out", "B1.json")
    bench.factory("manifest", "B2")
    bench.factory("verify", "B1.json")
    bench.factory("verify", "root")
    bench.factory("claim", "--trusted-user", "--to", "claim.json")
    bench.factory("ca", "init")
    bench.factory("rewrap", "--state", "three", "--to", "systemd-credential:root")
    bench.factory("rewrap", "--state", "nowhere", "--to", "file")
    wide = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*",
            "Resource": "*"}]}  # fmt: skip
    Path("wide.json").write_text(json.dumps(wide))
    bench.factory("lint", "wide.json")
    bench.factory("explain", "--serial", "SN-jitr")
    bench.factory("explain", "FB-803")
    bench.factory("explain", "--serial", "SN-nobody")
    bench.factory("audit")
    bench.factory("audit", "--days", "x")
    bench.factory("retire", "--serial", "SN-jitr")
    bench.factory("teardown", "--method", "single-thing", "--devices")
    for words in (
        ("prepare", "--method", "claim", "--inline-template"),
        ("single", "--serial", "no/serial"),
        ("bulk", "--batch", "B9"),
        ("claim", "--trusted-user", "--to", "nobody"),
        ("ca", "renew"),
        ("retire", "--serial", "SN-nobody"),
        ("teardown", "--method", "none"),
    ):
        bench.factory(*words)


def at_the_device(bench: Bench) -> None:
    one, config = ("--state", "one"), ("--config", CONFIG)
    bench.device("status", *one)
    bench.device("doctor", *one, "--offline")
    bench.device("doctor", "--state", "nowhere", "--no-such-option")
    bench.device("boot", *one, *config)
    bench.device("status", *one)
    bench.device("needs-renewal", *one)
    bench.device("needs-renewal", "--state", "new")
    bench.device("renew", *one, *config)
    bench.device("renew", "--state", "new", *config)
    bench.device("reset", *one)
    bench.device("reset", "--state", "new")
    for verb in ("status", "reset", "metrics", "decommission"):
        bench.device(verb, "--state", "nowhere")
    bench.device("boot", "--state", "new", *config, DEVICE_ENDPOINT="localhost:1")
    with running("run", "--state", bench.folder / "one", *config) as started:
        started.wait_for("operating")
        bench.keep("device-run", [*started.stop().lines, *started.seen])
    bench.device("metrics", *one)
    bench.device("decommission", *one)
    # Its certificate was deleted by the teardown: the broker refuses it.
    bench.device("boot", "--state", "again", "--config", SINGLE_THING)
    bench.device("run", *one, "--no-such-option")
    bench.device("explain", "FB-110")
    bench.device("explain", "FB-000")


def at_the_cloud(bench: Bench) -> None:
    bench.localcloud("status")
    bench.localcloud("env")
    bench.localcloud("logs")
    bench.localcloud("wire")
    bench.localcloud("clock")
    for verb in ("logs", "wire", "clock"):
        bench.localcloud(verb, state=bench.folder / "nowhere")
    bench.localcloud("fault", "earthquake")
    for words in (["slow"], ["expire-tokens", "seconds=0"], ["stall", "seconds=0.1"]):
        bench.localcloud("fault", *words)
    bench.localcloud("fault")
    bench.localcloud("fault", "--off")
    bench.localcloud("explain", "FB-903")
    bench.localcloud("explain", "FB-110")
    bench.keep("localcloud-watch", bench.cloud.admin("GET", "wire"))  # it prints these
    bench.keep("localcloud-watch", [address_of_the_page(bench.cloud.folder.path)])


def address_of_the_page(state: Path) -> dict[str, Any]:
    command = python("-m", "localcloud", "watch", "--web", "--json", "--state", str(state))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            return dict(json.loads(line_from(process, process.stdout)))
        finally:
            process.kill()


def at_another_cloud(bench: Bench, other: LocalAWS) -> None:
    bench.localcloud("up", state=other.state)
    bench.localcloud("wire", "--clear", state=other.state)
    bench.localcloud("clock", "advance", "90d", state=other.state)
    bench.localcloud("reset", state=other.state)
    bench.localcloud("up", "--api-port", str(free_ports().api), state=other.state)
    bench.localcloud("down", state=other.state)


def test_every_verb_was_run(printed: dict[str, Lines]) -> None:
    assert sorted(name for name, lines in printed.items() if lines) == sorted(VERBS)


@pytest.mark.parametrize("name", VERBS)
def test_what_a_verb_prints_is_what_its_schema_says(printed: dict[str, Lines], name: str) -> None:
    for line in printed[name]:
        check_line(name, line)


@pytest.mark.parametrize("name", VERBS)
def test_every_kind_of_line_that_a_schema_names_was_printed(
    printed: dict[str, Lines], name: str
) -> None:
    never = [each for each in kinds_of(name) if not any(map(each.is_valid, printed[name]))]
    missing = {name_of(each) for each in never if name not in NEVER_FAILS or not is_error(each)}
    assert missing - ONLY_WITHOUT_RIGHTS == set()


def test_a_line_with_a_property_that_no_schema_names_is_found() -> None:
    with pytest.raises(jsonschema.ValidationError):
        check_line("device-reset", {"reset": True, "colour": "blue"})
