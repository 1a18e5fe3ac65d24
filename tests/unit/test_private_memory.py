"""Is the memory of a process with secrets private?"""

import subprocess
import sys

import pytest

from tests.support.hang import SECONDS

_PROGRAM = """
import ctypes, resource
from device.storage.private_memory import keep_memory_private
keep_memory_private()
get_dumpable = 3  # prctl(2), PR_GET_DUMPABLE
print(ctypes.CDLL(None).prctl(get_dumpable, 0, 0, 0, 0))
print(resource.getrlimit(resource.RLIMIT_CORE)[0])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has prctl")
def test_nobody_may_read_or_dump_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True,
        timeout=SECONDS,
    )  # fmt: skip
    assert done.stdout.split() == ["0", "0"]
