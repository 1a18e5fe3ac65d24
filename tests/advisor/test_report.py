"""The outcomes in each form, and the command as people use it."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from advisor.case import Finding, Given, Verdict, failed, passed, warned
from advisor.cases import CASES
from advisor.cases.policies import has_no_wildcards
from advisor.cli import main
from advisor.report import document, junit, page, summary
from advisor.run import Outcome
from tests.support.hang import SECONDS

HOSTILE = "<script>alert(1)</script>\x00"
OUTCOMES = [
    Outcome(CASES[0], passed("TLSv1.3"), 1.0),
    Outcome(CASES[1], warned("hm"), 2.0),
    Outcome(CASES[2], failed(HOSTILE), 3.0),
    Outcome(CASES[3], Finding(Verdict.NOT_RUN, "needs more"), 0.0),
]
CLIENT = """
import os, socket, ssl
told = os.environ
context = ssl.create_default_context(cafile=told["ADVISOR_CA"])
context.load_cert_chain(told["ADVISOR_CERTIFICATE"], told["ADVISOR_KEY"])
raw = socket.create_connection((told["ADVISOR_HOST"], int(told["ADVISOR_PORT"])))
context.wrap_socket(raw, server_hostname=told["ADVISOR_HOST"]).recv(1)
"""


def test_junit_has_each_case_and_counts_failures() -> None:
    suite = ET.fromstring(junit(OUTCOMES, "my client"))  # noqa: S314 - written just now
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("4", "1", "1")
    assert [case.get("name") for case in suite] == [outcome.case.id for outcome in OUTCOMES]


def test_what_a_client_sent_does_nothing_in_the_page() -> None:
    assert "<script>" not in page(OUTCOMES, HOSTILE)


def test_a_document_has_the_columns_of_the_table() -> None:
    fields = ["id", "title", "source", "done", "seen", "verdict", "seconds"]
    assert list(document(OUTCOMES[0])) == fields


def test_the_summary_counts() -> None:
    assert summary(OUTCOMES) == "1 PASS, 1 PASS WITH WARNINGS, 1 FAIL, 1 NOT RUN"
    assert summary([]) == "no case was run"


def test_each_case_has_a_name_of_its_own_and_says_where_it_comes_from() -> None:
    assert len({case.id for case in CASES}) == len(CASES)
    assert sum(case.source.startswith("https://docs.aws.amazon.com/") for case in CASES) >= 27
    assert all(case.done and case.source for case in CASES)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ({"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"}, Verdict.FAIL),
        (
            {"Effect": "Allow", "Action": "iot:*", "Resource": "arn:aws:iot:r:1:client/a"},
            Verdict.FAIL,
        ),
        (
            {"Effect": "Allow", "Action": ["iot:Publish"], "Resource": ["arn:aws:iot:r:1:topic/*"]},
            Verdict.FAIL,
        ),
        ({"Effect": "Deny", "Action": "*", "Resource": "*"}, Verdict.PASS),
        (
            {"Effect": "Allow", "Action": "iot:Publish", "Resource": "arn:aws:iot:r:1:topic/d/*"},
            Verdict.PASS,
        ),
    ],
)
def test_a_wildcard_in_place_of_a_name_fails(statement: object, expected: Verdict) -> None:
    found = has_no_wildcards(Given(policies=({"Statement": statement},)))(())
    assert found is not None
    assert found.verdict is expected


def test_without_policies_there_is_no_verdict_on_them() -> None:
    found = has_no_wildcards(Given())(())
    assert found is not None
    assert found.verdict is Verdict.NOT_RUN


def test_the_command_runs_a_client(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {name: tmp_path / name for name in ("junit", "html", "logs")}
    told = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    words = ["--json", "--case", "TLS_Connect", *told, "--", sys.executable, "-c", CLIENT]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "PASS"
    assert all(path.exists() for path in files.values())


def test_a_client_that_refuses_and_ends_has_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--case", "TLS_Unsecure_Server_Cert", "--", sys.executable, "-c", CLIENT]) == 0
    assert "the client closed the connection" in capsys.readouterr().out


def test_a_client_that_ends_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--case", "MQTT_Connect", "--", sys.executable, "-c", "exit(3)"]) == 1
    assert "the client ended with exit code 3" in capsys.readouterr().out


def test_the_cases_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list", "--case", "TLS_*"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 7


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--case", "TSL"], "no case is named TSL"),
        (["--desired", "{"], "--desired is not JSON"),
        (["--policy", "/nowhere"], "No such file"),
    ],
)
def test_misuse_is_named(
    words: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--", "true"]) == 2
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize("module", ["advisor", "scripts._advisor_clients"])
def test_help_needs_the_standard_library_only(module: str) -> None:
    words = [sys.executable, "-S", "-m", module, "--help"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=SECONDS)
    assert "usage:" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["--", "/nowhere/client"],
        ["--", "/"],
        ["--seconds", "-1", "--", "true"],
        ["--seconds", "nan", "--", "true"],
        ["--jobs", "0", "--", "true"],
        ["--junit", "/nowhere/report.xml", "--", "true"],
        ["--html", "/nowhere/report.html", "--", "true"],
        ["--html", "/", "--", "true"],
        ["--logs", __file__, "--", "true"],
    ],
)
def test_what_cannot_be_used_is_said_before_a_case_runs(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--case", "TLS_Connect", *arguments]) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
