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
    # cryptography loads it as well; ctypes would be 1 ms and 0.3 MiB more.
    import _cffi_backend as c  # type: ignore[import-untyped]  # noqa: PLC0415 - as above

    number, word = c.new_primitive_type("int"), c.new_primitive_type("unsigned long")
    prctl = c.new_function_type((number, word, word, word, word), number)
    with suppress(OSError, AttributeError):
        c.load_library(None).load_function(prctl, "prctl")(_PR_SET_DUMPABLE, 0, 0, 0, 0)
