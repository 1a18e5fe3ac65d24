"""The AWS CLI, a process for each command, led here by the variables of ``localcloud env``."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.foreign.cases import Case
from tests.foreign.place import Place

PACKAGE, VERSION = "awscli", "1.46.3"
_SECONDS = 60


def cases(command: Path) -> list[Case]:
    """Return the cases of the CLI that was installed as ``command``."""
    return [
        Case(PACKAGE, "shadow", lambda place: _shadow(command, place)),
        Case(PACKAGE, "job", lambda place: _job(command, place)),
    ]


def _shadow(command: Path, place: Place) -> None:
    thing, told = place.thing(), place.folder / "shadow.json"
    state = '{"state": {"reported": {"on": true}}}'
    update = ("update-thing-shadow", "--thing-name", thing, "--payload", state)
    _run(command, place, "iot-data", *update, str(told))
    _run(command, place, "iot-data", "get-thing-shadow", "--thing-name", thing, str(told))
    assert json.loads(told.read_text())["state"]["reported"] == {"on": True}


def _job(command: Path, place: Place) -> None:
    thing, job = place.thing_with_job()
    of_thing = ("--thing-name", thing)
    start = "start-next-pending-job-execution"
    begun = _run(command, place, "iot-jobs-data", start, *of_thing)["execution"]
    done = ("--job-id", begun["jobId"], "--status", "SUCCEEDED")
    _run(command, place, "iot-jobs-data", "update-job-execution", *of_thing, *done)
    assert place.job_status(thing, job) == "SUCCEEDED"


def _run(command: Path, place: Place, *words: str) -> Any:
    done = subprocess.run(
        [str(command), *words, "--output", "json"],
        env={**os.environ, **place.cloud.environment},
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout or "{}")
