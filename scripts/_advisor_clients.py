"""Runs the advisor on the device and on clients of others, and writes the tables of its page.

Those on PyPI come with the extra ``foreign``; mosquitto is run where it is installed, and those on
npm where Node.js is. What was seen is kept in docs/advisor-clients.json, so that one client can be
run again by itself: ``scripts/advisor-clients paho-mqtt``.
"""

import argparse
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from advisor.case import Given

_ROOT: Final = Path(__file__).parents[1]
_PAGE: Final = _ROOT / "docs" / "advisor.md"
_RECORD: Final = _ROOT / "docs" / "advisor-clients.json"
_TABLES: Final = re.compile(
    r"(?<=<!-- tables: written by scripts/advisor-clients -->\n).*?(?=<!-- tables end -->)", re.S
)
_MARKS: Final = {"PASS": "pass", "PASS WITH WARNINGS": "warn", "FAIL": "**fail**"}
_PROVISIONING: Final = ("P1", "P2", "P4", "P8", "P16", "P17", "P19")
_APPLICATION: Final = ("Shadow_*", "Job_*", "Security_*", *_PROVISIONING)
"""What an application does, or its account has, and no library."""
_PUBLISHING: Final = (
    *_APPLICATION,
    *("MQTT_Publish*", "Long_*", "W1", "W2", "W3", "W4", "W6"),
)
_MOSQUITTO: Final = (
    "exec mosquitto_sub -h {host} -p {port} --cafile {ca} --cert {certificate} --key {key} "
    "-i {client_id} -k 10 -c -q 1 -t advisor/in"
)
_LONGEST: Final = 160
_SECONDS: Final = 180.0
_SOAK_SECONDS: Final = 20.0


@dataclass(frozen=True)
class Client:
    """A client, how it is started, and the cases that are not for it."""

    name: str
    version: str
    words: tuple[str, ...]
    leaves_out: tuple[str, ...] = _APPLICATION
    npm: str = ""


def main(arguments: list[str]) -> int:
    """Run the clients that are named, or all; write the record and the page."""
    parser = argparse.ArgumentParser(prog="scripts/advisor-clients", description=__doc__)
    parser.add_argument("clients", nargs="*", help="only these; default: all that are here")
    parser.add_argument("--jobs", type=int, default=8, help="cases at once")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="advisor-clients-") as name:
        for client in _clients(Path(name), options.clients):
            outcomes = _outcomes(client, options.jobs)
            record = _record()
            record[client.name] = {"version": client.version, "cases": outcomes}
            _RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    page = _PAGE.read_text(encoding="utf-8")
    _PAGE.write_text(_TABLES.sub(lambda _old: tables(_record()), page), encoding="utf-8")
    return 0


def tables(record: Mapping[str, Any]) -> str:
    """Return who fails what, and then what was seen of each failure."""
    from advisor.cases import CASES  # noqa: PLC0415 - --help needs the standard library only

    record = dict(sorted(record.items(), key=lambda item: item[0] != "device"))
    heads = [f"{name} {said['version']}".strip() for name, said in record.items()]
    lines = [f"| case | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for case in CASES:
        cells = [_mark(said["cases"].get(case.id)) for said in record.values()]
        lines.append(f"| {case.id} | {' | '.join(cells)} |")
    lines += ["", "What the advisor saw at each failure and each warning:", ""]
    for name, said in record.items():
        lines += [
            f"- {name}, {case_id}, {verdict}: {_short(seen)}"
            for case_id, (verdict, seen) in said["cases"].items()
            if verdict != "PASS"
        ]
    return "\n".join(lines) + "\n"


def _mark(said: Sequence[str] | None) -> str:
    return "-" if said is None else _MARKS.get(said[0], "-")


def _short(seen: str) -> str:
    return seen if len(seen) <= _LONGEST else f"{seen[:_LONGEST].rpartition(' ')[0]} ..."


def _record() -> dict[str, Any]:
    return json.loads(_RECORD.read_text(encoding="utf-8")) if _RECORD.exists() else {}


def _outcomes(client: Client, at_once: int) -> dict[str, tuple[str, str]]:
    from fnmatch import fnmatchcase  # noqa: PLC0415

    from advisor.cases import CASES  # noqa: PLC0415
    from advisor.client import command  # noqa: PLC0415
    from advisor.run import run_all  # noqa: PLC0415

    cases = [
        case
        for case in CASES
        if not any(fnmatchcase(case.id, pattern) for pattern in client.leaves_out)
    ]
    found = {}
    for outcome in run_all(cases, command(client.words), _given(), at_once=at_once):
        finding = outcome.finding
        print(f"{client.name} {outcome.case.id}: {finding.verdict.value}", file=sys.stderr)  # noqa: T201
        found[outcome.case.id] = (finding.verdict.value, finding.seen)
    return found


def _given() -> "Given":
    from advisor.case import Given  # noqa: PLC0415

    policy = _ROOT / "config" / "policies" / "firstboot-device.json"
    return Given(
        policies=(json.loads(policy.read_text(encoding="utf-8")),),
        desired={"settings": {"telemetry": {"interval": 2}}},
        job={"operation": "collect-diagnostics"},
        template="firstboot-claim",
        soak_seconds=_SOAK_SECONDS,
        seconds=_SECONDS,
    )


def _clients(folder: Path, names: Sequence[str]) -> Iterator[Client]:
    for client in _known():
        if names and client.name not in names:
            continue
        if client.npm:
            if shutil.which("npm") is None:
                continue
            modules = _npm(folder / client.name, client)
            words = ("env", f"NODE_PATH={modules}", *client.words)
            yield Client(client.name, client.version, words)
        elif client.name != "mosquitto_sub" or shutil.which("mosquitto_sub"):
            yield client


def _npm(folder: Path, client: Client) -> Path:
    from scripts._foreign import install_node  # noqa: PLC0415

    return install_node(folder, {client.npm: client.version})


def _known() -> Sequence[Client]:
    from tests.foreign.node_clients import PACKAGES  # noqa: PLC0415

    python, place = sys.executable, _ROOT / "tests" / "advisor" / "clients"

    def of_pypi(name: str, file: str) -> Client:
        return Client(name, version(name), (python, str(place / file)))

    def of_npm(name: str, file: str) -> Client:
        return Client(f"{name} (npm)", PACKAGES[name], ("node", str(place / file)), npm=name)

    return (
        Client("device", "", (python, "-m", "tests.advisor.device_under_test"), ()),
        of_pypi("awsiotsdk", "awsiotsdk_.py"),
        of_pypi("AWSIoTPythonSDK", "aws_v1.py"),
        of_pypi("paho-mqtt", "paho_mqtt.py"),
        of_pypi("aiomqtt", "aiomqtt_.py"),
        of_pypi("gmqtt", "gmqtt_.py"),
        of_npm("aws-iot-device-sdk-v2", "aws_iot_device_sdk_v2.js"),
        of_npm("mqtt", "mqtt.js"),
        Client("mosquitto_sub", "", ("sh", "-c", _MOSQUITTO), _PUBLISHING),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
