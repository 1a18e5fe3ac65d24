"""Run one function of a test in a process of its own, for what concerns a whole process.

A PKCS #11 library is initialised, logged in and finalised once for all its users.
"""

import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from tests.wire.conftest import ROOT, python


def in_own_process(function: Callable[..., Any], *arguments: object, seconds: float = 120.0) -> Any:
    """Return what ``function`` returns; it and the ``arguments`` pass through JSON.

    ``seconds`` is how long it may take.
    """
    where = f"{function.__module__}:{function.__name__}"
    command = python("-m", "tests.support.own_process", where, json.dumps(arguments))
    finished = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout.splitlines()[-1])


def _main() -> None:
    module, _, name = sys.argv[1].partition(":")
    result = getattr(importlib.import_module(module), name)(*json.loads(sys.argv[2]))
    sys.stdout.write("\n" + json.dumps(result) + "\n")


if __name__ == "__main__":
    _main()
