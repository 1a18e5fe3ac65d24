"""The parts of the verbs that need no local AWS: what they read, and what they print."""

import datetime as dt
import json
import subprocess
import sys
from argparse import ArgumentTypeError
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from localcloud.cli import main
from localcloud.errors import CLOCK, FAULT, SETTINGS, UNKNOWN_CODE, LocalCloudError, NoAnswerError
from localcloud.faults.board import FaultBoard
from localcloud.faults.rude import Rude
from localcloud.process.admin import Admin
from localcloud.process.cloud_clock import CloudClock
from localcloud.process.state_folder import Ports, StateFolder
from localcloud.settings import Settings
from localcloud.verbs.clock import duration
from localcloud.verbs.env import in_the_way
from localcloud.verbs.explain import row_of
from localcloud.verbs.fault import fields_of
from localcloud.wire.line import colour_of, line_of, numbered_events
from localcloud.wire.log import WireLog
from localcloud.wire.registry_log import RegistryLog
from tests.support.errors import raises
from tests.support.hang import SECONDS

VERBS = (
    "up",
    "env",
    "status",
    "logs",
    "watch",
    "fault",
    "wire",
    "clock",
    "reset",
    "down",
    "explain",
)


def objects(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


# --- every verb, in JSON -------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_misuse_is_an_object_too(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([verb, "--json", "--nonsense"])
    (told,) = objects(capsys.readouterr().out)
    assert ended.value.code == told["exit_code"] == 2
    assert set(told) == {"error", "code", "message", "next_step", "exit_code"}


@pytest.mark.parametrize(
    "words",
    [
        "fault drop-reply --off",
        "fault --off one",
        "fault --off \u0663",  # a decimal digit, in Arabic
        "fault drop-reply count",
        "clock advance",
        "clock show 90d",
        "clock advance 5",
        "logs --lines 0",
        "up --rude 51",
        "watch --web --client-id one",
    ],
)
def test_what_makes_no_sense_is_misuse(words: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words.split(), "--state", str(tmp_path)])
    assert ended.value.code == 2


@pytest.mark.parametrize("words", ["fault --off", "fault --off 3", "clock advance 90d", "logs"])
def test_what_makes_sense_is_asked_of_the_server(words: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words.split(), "--state", str(tmp_path)])
    assert ended.value.code == 1  # none runs there


@pytest.mark.parametrize("verb", ["env", "watch", "fault", "wire", "clock"])
def test_an_error_is_an_object(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([verb, "--json", "--state", str(tmp_path)])
    (told,) = objects(capsys.readouterr().out)
    assert (ended.value.code, told["error"]) == (1, "NotRunningError")
    assert told["next_step"].startswith("Start it: localcloud up")


@pytest.mark.parametrize(("verb", "told"), [
    ("status", {"running": False}), ("reset", {"reset": True}), ("down", {"stopped": False}),
])  # fmt: skip
def test_where_nothing_runs_some_verbs_have_an_answer(
    verb: str, told: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([verb, "--json", "--state", str(tmp_path / "none")])
    assert objects(capsys.readouterr().out) == [{"state": str(tmp_path / "none"), **told}]


def test_the_log_is_printed_from_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = StateFolder(tmp_path)
    folder.create()
    folder.log.write_text("first\nsecond\nthird\n")
    main(["logs", "--json", "--lines", "2", "--state", str(tmp_path)])
    assert objects(capsys.readouterr().out) == [{"line": "second"}, {"line": "third"}]


def test_a_missing_extra_is_named_with_its_command(tmp_path: Path) -> None:
    code = "import sys; sys.modules['ministack'] = None; from localcloud.cli import main; main()"
    for more in ([], ["--json"]):
        done = subprocess.run(
            [sys.executable, "-c", code, "up", "--state", str(tmp_path), *more],
            capture_output=True, text=True, check=False, timeout=SECONDS,
        )  # fmt: skip
        assert done.returncode == 1
        assert "pip install 'firstboot[local]'" in (done.stdout if more else done.stderr)
        assert "Traceback" not in done.stderr


# --- env -----------------------------------------------------------------------------


def test_env_unsets_what_another_account_left(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    folder.create()
    left = {"AWS_PROFILE": "real", "AWS_SESSION_TOKEN": "real", "DEVICE_PROXY": "http://real",
            "AWS_ENDPOINT_URL_IOT": "https://real", "AWS_REGION": "real-1",
            "AWS_DEFAULT_REGION": "real-1", "AWS_ACCESS_KEY_ID": "real"}  # fmt: skip
    with folder.serve(Ports(1, 2)):
        line = f'eval "$({sys.executable} -m localcloud env --state {tmp_path})"; env'
        said = subprocess.run(
            ["/bin/sh", "-c", line], env={"PATH": "/usr/bin:/bin", **left},
            cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True,
            timeout=SECONDS,
        ).stdout  # fmt: skip
    assert "real" not in said


def test_a_variable_that_is_set_is_not_in_the_way() -> None:
    assert "DEVICE_PROXY" not in in_the_way({}, {"DEVICE_PROXY": "http://127.0.0.1:1"})


def test_a_shell_stops_where_no_local_aws_is(tmp_path: Path) -> None:
    line = f'set -e; eval "$({sys.executable} -m localcloud env --state {tmp_path})"; echo on'
    done = subprocess.run(
        ["/bin/sh", "-c", line], cwd=Path(__file__).parents[2],
        capture_output=True, text=True, check=False, timeout=SECONDS,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert "no local AWS is running" in done.stderr


# --- words that are read -------------------------------------------------------------


def test_fields_of_a_fault_are_json_or_text() -> None:
    deep = "[" * 100_000
    words = ["count=null", "client-id=claim-*", "seconds=1.5", "error_message=a=b", f"topic={deep}"]
    assert fields_of(words) == {
        "count": None, "client_id": "claim-*", "seconds": 1.5, "error_message": "a=b",
        "topic": deep,
    }  # fmt: skip


@pytest.mark.parametrize(("code", "next_step"), [
    ("FB-403", "device explain FB-403"), ("503", "factory explain FB-503"),
    ("FB-999", "docs/errors.md"), ("FB-4x", "docs/errors.md"),
])  # fmt: skip
def test_a_code_of_another_command_is_explained_there(code: str, next_step: str) -> None:
    with raises(UNKNOWN_CODE) as refused:
        row_of(code)
    assert next_step in refused.value.next_step


def test_a_word_without_a_value_is_misuse() -> None:
    with raises(FAULT, match="FIELD=VALUE"):
        fields_of(["count"])


@pytest.mark.parametrize(("text", "seconds"), [
    ("90d", 7776000), ("15m", 900), ("1.5h", 5400), ("0s", 0), ("2w", 1209600),
])  # fmt: skip
def test_a_duration(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "d", "-1d", "1y", "1 d", "9999999d", "٣d", "1e3s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ArgumentTypeError):
        duration(text)


# --- a line of the wire --------------------------------------------------------------

EVENT = {"number": 7, "connection": 3, "ms": 12.5, "by": "device", "packet": "CONNECT"}


def test_a_packet_is_one_line() -> None:
    line = line_of({**EVENT, "client_id": "SN-1", "topics": ["a", "b"], "qos": 0})
    assert line == "   3      12.5 ms -> CONNECT     client_id=SN-1 topics=a,b qos=0"


@pytest.mark.parametrize(("event", "colour"), [
    ({"by": "device"}, 34), ({"by": "cloud"}, 32), ({"event": "closed"}, 90),
    ({"by": "cloud", "reason_codes": [0, 0x87]}, 31), ({"reason": "no policy"}, 31),
])  # fmt: skip
def test_a_refusal_is_red(event: Mapping[str, object], colour: int) -> None:
    assert colour_of(event) == colour


@pytest.mark.parametrize("answer", [None, {}, [1], [{"connection": 1}]])
def test_a_wire_that_is_none(answer: object) -> None:
    with pytest.raises(NoAnswerError):
        numbered_events(answer)


def test_only_what_is_new_is_told() -> None:
    log = WireLog(lambda: 0.0)
    note = log.connection()
    note("device", event="opened")
    note("device", packet="CONNECT")
    assert [event["number"] for event in log.listed(1)] == [2]


# --- the admin paths -----------------------------------------------------------------


async def reset() -> object:
    return {"reset": True}


def admin() -> Admin:
    return Admin(
        status=dict, reset=reset, endpoint_name=lambda account, region: f"{account}.{region}",
        age_tokens=int, settings=Settings(), wire=WireLog(),
        registry=RegistryLog(int), faults=FaultBoard(), clock=CloudClock(), rude=Rude(),
    )  # fmt: skip


def ask(each: Admin, method: str, path: str, body: bytes = b"") -> Any:
    work = each(method, path, body)
    try:
        work.send(None)  # nothing here waits
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")


@pytest.mark.parametrize(("method", "path"), [
    ("GET", "nothing"), ("POST", "status"), ("GET", "reset"), ("DELETE", "settings"),
    ("GET", "endpoint/one"), ("GET", "wire/after/x"), ("POST", "wire"), ("PUT", "faults"),
    ("DELETE", "faults/x"), ("DELETE", "clock"), ("GET", ""),
])  # fmt: skip
def test_a_path_that_is_none_is_refused(method: str, path: str) -> None:
    with pytest.raises(LocalCloudError, match=f"there is no {method}"):
        ask(admin(), method, path)


def test_the_clock_goes_ahead_by_what_is_added() -> None:
    one = admin()
    ask(one, "POST", "clock", b'{"advance_seconds": 3600}')
    told = ask(one, "POST", "clock", b'{"advance_seconds": 60}')
    assert told["ahead_seconds"] == 3660
    ahead = dt.datetime.fromisoformat(told["now"]) - dt.datetime.now(dt.UTC)
    assert ahead.total_seconds() == pytest.approx(3660, abs=10)


@pytest.mark.parametrize("body", [
    b"", b"{", b"7", b"{}", b'{"advance_seconds": "1"}', b'{"advance_seconds": -1}',
    b'{"advance_seconds": NaN}', b'{"advance_seconds": 1e99}', b'{"advance_seconds": 1, "x": 1}',
    b"\xff", b"[" * 100_000,
])  # fmt: skip
def test_an_advance_that_makes_no_sense_is_misuse(body: bytes) -> None:
    with raises(CLOCK):
        ask(admin(), "POST", "clock", body)


def test_a_cloud_becomes_rude_while_it_runs() -> None:
    one = admin()
    told = ask(one, "PUT", "rude", b'{"percent": 20, "seed": 7}')
    assert told == {"percent": 20, "seed": 7, "latest_seconds": 1.5} == ask(one, "GET", "rude")


@pytest.mark.parametrize("body", [b"", b'{"percent": 51}', b'{"percent": -1}', b'{"often": 5}'])
def test_manners_that_make_no_sense_change_nothing(body: bytes) -> None:
    one = admin()
    with raises(SETTINGS):
        ask(one, "PUT", "rude", body)
    assert ask(one, "GET", "rude")["percent"] == 0
