"""What leads a client to another account: the numbers and names it may have."""

import json
import threading
from argparse import ArgumentTypeError
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from localcloud.errors import NoAnswerError
from localcloud.gaps.endpoint_names import is_endpoint
from localcloud.process.state_folder import Ports, Server, StateFolder
from localcloud.verbs.env import account_of, region_of, scope_variables
from tests.support.hang import join

SERVER = Server(pid=1, ports=Ports(api=1, mqtt=8884))


class Answering(BaseHTTPRequestHandler):
    """Answers every GET with ``document``."""

    document: object = None

    def do_GET(self) -> None:
        body = json.dumps(self.document).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StateFolder]:
    handler = type("Handler", (Answering,), {"document": request.param})
    with HTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        state = StateFolder(tmp_path)
        state.create()
        with state.serve(Ports(api=http.server_port, mqtt=8884)):
            yield state
        http.shutdown()
        join(thread)


@pytest.mark.parametrize("folder", [{"name": "abc-ats.iot.eu-west-1.localhost"}], indirect=True)
def test_the_device_dials_the_name_through_the_mqtt_port(folder: StateFolder) -> None:
    assert scope_variables(folder, SERVER, "222222222222", "eu-west-1") == {
        "AWS_ACCESS_KEY_ID": "222222222222",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "DEVICE_ENDPOINT": "abc-ats.iot.eu-west-1.localhost:8883",
        "DEVICE_PROXY": "http://127.0.0.1:8884",
    }
    assert scope_variables(folder, SERVER, None, "eu-west-1")["AWS_ACCESS_KEY_ID"] == "000000000000"
    assert (
        scope_variables(folder, SERVER, "222222222222", None)["AWS_DEFAULT_REGION"] == "us-east-1"
    )


@pytest.mark.parametrize("folder", [{"name": 7}, [], {}], indirect=True)
def test_an_answer_without_a_name_is_none(folder: StateFolder) -> None:
    with pytest.raises(NoAnswerError, match="222222222222"):
        scope_variables(folder, SERVER, "222222222222", None)


def test_without_account_and_region_nothing_differs(tmp_path: Path) -> None:
    assert scope_variables(StateFolder(tmp_path), SERVER, None, None) == {}


@pytest.mark.parametrize("text", ["1" * 11, "1" * 13, "", "12345678901x", "\u0660" * 12])
def test_what_is_no_account(text: str) -> None:
    with pytest.raises(ArgumentTypeError):
        account_of(text)


@pytest.mark.parametrize("text", ["us-gov-west-1", "ap-southeast-5", "eu-central-2"])
def test_what_is_a_region(text: str) -> None:
    assert region_of(text) == text


@pytest.mark.parametrize("text", ["Ireland", "eu-west", "EU-WEST-1", "eu-west-1.evil", ""])
def test_what_is_no_region(text: str) -> None:
    with pytest.raises(ArgumentTypeError):
        region_of(text)


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("abc0-ats.iot.eu-west-1.localhost", True),
        ("ABC0-ATS.IOT.EU-WEST-1.AMAZONAWS.COM.", True),
        ("abc0.iot.eu-west-1.localhost", False),
        ("abc0-ats.iot.eu-west-1.example.com", False),
        ("x.abc0-ats.iot.eu-west-1.localhost", False),
        ("localhost", False),
        ("", False),
    ],
)
def test_what_is_the_name_of_an_endpoint(name: str, is_one: bool) -> None:
    assert is_endpoint(name) == is_one
