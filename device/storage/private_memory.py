"""Keep the memory of a process with secrets private, also when the process crashes.

prctl(2), PR_SET_DUMPABLE: no core dump is written or piped to a collector, and no process of the
same user may attach or read ``/proc/PID/mem``. setrlimit(2), RLIMIT_CORE, says the same where
there is no prctl.
"""

import sys
from contextlib import suppress

_PR_SET_DUMPABLE = 4  # include/uapi/linux/prctl.h


def keep_memory_private() -> None:
    """Do what this system lets us do; a device also works where it lets us do nothing."""
    import resource  # noqa: PLC0415 - the command line need not pay for it to show its version

    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if sys.platform != "linux":
        return
    import ctypes  # noqa: PLC0415 - as above

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
