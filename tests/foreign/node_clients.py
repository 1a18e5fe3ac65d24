"""The clients that are on npm: each step a process of Node.js, which is told all by a variable."""

import json
import os
import subprocess
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.foreign.cases import Case, Do
from tests.foreign.place import Place
from tests.wire.localcloud_sdk import Credential, new_csr

_SCRIPTS: Final = Path(__file__).parent / "node"
_SECONDS: Final = 60
_PLAIN: Final = ("connect 3.1.1", "connect 5", "claim, CSR", "shadow", "job")
_STEPS: Final[Mapping[str, tuple[str, ...]]] = {
    "aws-iot-device-sdk-v2": (*_PLAIN, "claim, AWS's key"),
    "mqtt": (*_PLAIN, "QoS 1 again"),
}
"""By the name of the package on npm."""
PACKAGES: Final = {"aws-iot-device-sdk-v2": "1.28.0", "mqtt": "5.16.0"}


def cases(modules: Path) -> list[Case]:
    """Return the cases of the packages that were installed in ``modules``."""
    return [
        Case(package, step, _do(modules, package, step))
        for package, steps in _STEPS.items()
        for step in steps
    ]


def _do(modules: Path, package: str, step: str) -> Do:
    known = {"shadow": _shadow, "job": _job, "QoS 1 again": _again}
    check = known.get(step, _claim if step.startswith("claim") else _connect)
    return lambda place: check(place, partial(_run, modules, package, step, place))


def _connect(place: Place, run: Any) -> None:
    run(place.thing())


def _claim(place: Place, run: Any) -> None:
    serial = f"SN-{place.thing()}"
    made = run(serial)
    found = place.certificates(serial)
    assert (found, made["thing"]) == ({made["certificate"]: "ACTIVE"}, serial)


def _shadow(place: Place, run: Any) -> None:
    assert run(place.thing()) == {"on": True}


def _job(place: Place, run: Any) -> None:
    thing, job = place.thing_with_job()
    assert run(thing) == job
    assert place.job_status(thing, job) == "SUCCEEDED"


def _again(place: Place, run: Any) -> None:
    assert run(place.thing()) == "once more"


def _run(modules: Path, package: str, step: str, place: Place, thing: str) -> Any:
    given = {
        "host": place.cloud.mqtt_host,
        "port": place.cloud.mqtt_port,
        "rootCa": str(place.cloud.root_ca),
        "device": _files(place, place.device),
        "claim": _files(place, place.fleet.claim),
        "template": place.fleet.template,
        "thing": thing,
        "csr": new_csr(thing)[0],
    }
    variables = {
        "NODE_PATH": str(modules),
        "NODE_EXTRA_CA_CERTS": str(place.cloud.root_ca),
        "FOREIGN": json.dumps(given),
    }
    script = _SCRIPTS / f"{package.replace('-', '_')}.js"
    done = subprocess.run(
        ["node", str(script), step],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _files(place: Place, credential: Credential) -> Mapping[str, str]:
    files = place.files(credential)
    return {"certificate": str(files.certificate), "key": str(files.key)}
