"""The command line where nothing runs: words, exit codes, and no traceback."""

import inspect
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from localcloud import errors
from localcloud.cli import main
from localcloud.errors import START, STOP, LocalCloudError, NoAnswerError
from localcloud.process import lifecycle
from localcloud.process.state_folder import Ports, Server, StateFolder
from localcloud.verbs.env import environment_of, past_the_proxy
from tests.support.errors import raises
from tests.support.hang import SECONDS


def test_every_error_is_of_the_one_family() -> None:
    classes = [c for _name, c in inspect.getmembers(errors, inspect.isclass)]
    raised = [c for c in classes if issubclass(c, Exception)]
    assert all(issubclass(c, LocalCloudError) for c in raised)


def test_env_without_a_server_says_how_to_start_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["env", "--state", str(tmp_path)])
    assert ended.value.code == 1
    out, err = capsys.readouterr()
    assert out.startswith("false  # ")
    assert f"next: Start it: localcloud up --detach --state {tmp_path}" in err


def test_env_is_made_for_a_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = StateFolder(tmp_path / "my cloud")
    folder.create()
    with folder.serve(Ports(1234, 5678)):
        main(["env", "--state", str(folder.path)])
    script = capsys.readouterr().out + 'printf %s "$DEVICE_ROOT_CA $DEVICE_ENDPOINT"'
    said = subprocess.run(
        ["/bin/sh", "-c", script], capture_output=True, text=True, check=True, timeout=SECONDS
    )
    assert said.stdout == f"{folder.root_ca} localhost:5678"


def test_the_endpoint_is_an_address_so_that_buckets_are_paths(tmp_path: Path) -> None:
    server = Server(1, Ports(1234, 5678))
    folder = StateFolder(tmp_path)
    folder.create()
    assert environment_of(folder, server)["AWS_ENDPOINT_URL"] == ("http://127.0.0.1:1234")


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_a_companys_proxy_is_not_asked_for_this_machine(name: str) -> None:
    mine = {name: "intranet,localhost"}
    assert past_the_proxy({})[name] == "127.0.0.1,localhost"
    assert past_the_proxy(mine)[name] == "intranet,localhost,127.0.0.1"
    assert past_the_proxy(past_the_proxy(mine)) == past_the_proxy(mine)


def test_reset_where_nothing_runs_empties_the_folder(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    folder.create()
    (folder.services / "iot.json").touch()
    main(["reset", "--state", str(tmp_path)])
    assert not folder.services.exists()


def test_an_empty_argument_is_misuse_and_no_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["status", "--json", "--state", ""])
    assert ended.value.code == 2
    assert "an argument is empty" in json.loads(capsys.readouterr().out)["message"]


@pytest.mark.parametrize("port", ["0", "65536", "x", "-1"])
def test_a_port_that_is_none_is_misuse(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["up", "--api-port", port])
    assert ended.value.code == 2
    assert "--api-port" in capsys.readouterr().err


def test_a_state_folder_that_is_not_ours_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(SystemExit):
        main(["up", "--detach", "--state", str(tmp_path)])
    assert "does not belong to a local AWS" in capsys.readouterr().err


def test_nothing_heavy_is_loaded_to_ask_for_help() -> None:
    code = "import sys, localcloud.cli; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=SECONDS
    ).stdout.split()
    assert {"ministack", "hypercorn", "cryptography", "boto3"}.isdisjoint(loaded)


# --- a server that does not do what it should ----------------------------------------


def test_no_answer_in_time_shows_the_log(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    folder.create()
    folder.log.write_text("first line\nlast line\n")
    with raises(START, match="last line"):
        lifecycle.wait_until_ready(folder, lambda: False, seconds=0)


def test_a_log_that_is_not_there_is_no_second_error(tmp_path: Path) -> None:
    with raises(START, match="the process ended"):
        lifecycle.wait_until_ready(StateFolder(tmp_path), lambda: True)


def test_a_process_that_does_not_stop_is_named(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    folder.create()
    stubborn = subprocess.Popen(["sleep", "60"])
    try:
        with folder.serve(Ports(1, 2)), raises(STOP, match=str(stubborn.pid)):
            lifecycle.stop(folder, Server(stubborn.pid, Ports(1, 2)), seconds=0)
    finally:
        stubborn.kill()
        stubborn.wait(SECONDS)


def test_nobody_at_the_port_is_no_answer(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    folder.create()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        ports = Ports(unused.getsockname()[1], 2)
        with folder.serve(ports), pytest.raises(NoAnswerError, match="no answer on port"):
            lifecycle.call(folder, "GET", "status")


def test_what_a_client_wrote_cannot_command_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = StateFolder(tmp_path)
    folder.create()
    folder.log.write_text("SN-1\x1b[2J \u202eSN-2 caf\u00e9\n")
    main(["logs", "--state", str(tmp_path)])
    assert capsys.readouterr().out == "SN-1\\x1b[2J \\u202eSN-2 caf\u00e9\n"


def test_an_error_cannot_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["wire", "--state", "/nowhere\x1b[2J\nlocalcloud: all is well"])
    assert "\x1b" not in (err := capsys.readouterr().err)
    assert "\nlocalcloud: all is well" not in err
