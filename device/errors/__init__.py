"""Every deliberate error: rows of a catalogue, and the few classes that somebody decides by.

A `Row` has a code that never changes (``FB-110``), what it means, the usual causes and the next
step. ``ROW.error(...)`` makes the error of a row; a class that has a row of its own is raised by
itself. The command line prints code, words and ``next_step``, and ends with ``exit_code``. The
rows stand beside this file by subject; `device.errors.catalogue` has them all. Text never holds a
secret.
"""

from collections.abc import Mapping
from enum import IntEnum
from os import PathLike
from typing import Final, NamedTuple


class ExitCode(IntEnum):
    """The exit codes of ``device``, ``factory``; other people's scripts rely on them."""

    DONE = 0
    FAILED = 1
    MISUSE = 2
    CONFIGURATION_INVALID = 3
    DENIED = 4
    TRY_LATER = 5
    STORAGE_UNUSABLE = 6
    NOT_DUE = 10
    """Of ``device needs-renewal`` alone; far from the others, which say that something is wrong."""


class Row(NamedTuple):
    """One row of the catalogue: what an error means, and what to do about it.

    ``sentence`` and ``next_step`` may name fields in braces; the error fills them in. Most
    sentences are ``{problem}``: they stand where the error is raised, beside their values.
    """

    code: str
    name: str
    title: str
    means: str
    causes: tuple[str, ...]
    next_step: str
    sentence: str = "{problem}"
    exit_code: ExitCode = ExitCode.FAILED
    kind: "type[FirstbootError] | None" = None
    """The class that is raised, if somebody catches these errors by class."""
    reproduce: tuple[str, ...] = ()
    """Lines for a shell that end in the error on the local AWS; ``{code}`` stands for the code.

    docs/errors.md says in which folder, and what is prepared there.
    """
    needs: str = ""
    """What one needs to see the error, where no commands can bring it about."""

    @property
    def raised_as(self) -> "type[FirstbootError]":
        """The class of the row's errors: its own, if a class has this row."""
        return self.kind or _OWN_CLASSES.get(self.code, FirstbootError)

    def error(
        self, problem: object = "", *, next_step: str = "", **fields: object
    ) -> "FirstbootError":
        """Return the error of this row; a ``next_step`` of its own goes before the row's."""
        return self.raised_as(problem, row=self, next_step=next_step, **fields)

    @property
    def commands(self) -> tuple[str, ...]:
        """The lines of ``reproduce``; the one that has to fail ends with ``# FB-110``."""
        return tuple(line.replace("{code}", self.code) for line in self.reproduce)

    def __repr__(self) -> str:
        """Return the code and the name."""
        return f"<{self.code} {self.name}>"


MAKE: Final = "factory make --method claim --serial {code} --out {code}"
JUST_IN_TIME: Final = "factory make --method jitp --serial {code} --out {code}"
BOOT: Final = "device boot --state {code}"


def _for_a_shell(values: Mapping[str, object]) -> dict[str, object]:
    """Return ``values`` with each path as a shell reads it, since next steps are commands."""
    return {name: _quoted(each) for name, each in values.items()}


def _quoted(value: object) -> object:
    if not isinstance(value, PathLike):
        return value
    import shlex  # noqa: PLC0415 - 2 ms, and most errors name no path

    return shlex.quote(str(value))


_OWN_CLASSES: Final[dict[str, "type[FirstbootError]"]] = {}


class FirstbootError(Exception):
    """The base of every error that this project raises on purpose."""

    row: Row

    def __init_subclass__(cls) -> None:
        """Remember the class that has a row of its own."""
        if "row" in vars(cls):
            _OWN_CLASSES[cls.row.code] = cls

    def __init__(
        self, problem: object = "", *, row: Row | None = None, next_step: str = "", **fields: object
    ) -> None:
        """Say it in the words of the ``row``, or of the class's own; keep the ``fields``."""
        if row is not None:
            self.row = row
        values = {"problem": problem, **fields}
        super().__init__(self.row.sentence.format_map(values))
        self.fields = fields
        self.next_step = next_step or self.row.next_step.format_map(_for_a_shell(values))

    @property
    def code(self) -> str:
        """The code in the catalogue, such as ``FB-110``; it never changes."""
        return self.row.code

    @property
    def name(self) -> str:
        """What the error is called in ``--json``, such as ``TokenMissingError``."""
        return self.row.name

    @property
    def exit_code(self) -> ExitCode:
        """What the command ends with."""
        return self.row.exit_code


CONFIGURATION: Final = Row(
    "FB-001",
    "ConfigurationError",
    "A setting is not usable",
    means="A settings file, an environment variable or a flag has a value that cannot be used.",
    causes=(
        "A key is misspelt, or its value has the wrong type.",
        "A file that the settings name is missing or cannot be read.",
        "Two settings contradict each other.",
    ),
    next_step="Correct {where} in {source}.",
    sentence="{source}: {problem}",
    exit_code=ExitCode.CONFIGURATION_INVALID,
    reproduce=(MAKE, "device boot --state {code} --endpoint mqtts://a  # {code}"),
)


class ConfigurationError(FirstbootError):
    """A settings file, environment variable or flag is not usable."""

    row = CONFIGURATION

    def __init__(self, source: str, key: str, problem: str, next_step: str = "") -> None:
        """Name the ``source`` (file, variable or flag), the ``key`` in it and the problem."""
        said = f"{key}: {problem}" if key else problem
        super().__init__(said, next_step=next_step, source=source, where=key or "the file")
        self.source = source
        self.key = key
        self.problem = problem


DISTRIBUTIONS: Final = {
    "_awscrt": "awsiotsdk",
    "_cffi_backend": "cryptography",
    "awscrt": "awsiotsdk",
    "awsiot": "awsiotsdk",
    "cryptography": "cryptography",
    "msgspec": "msgspec",
    "yaml": "pyyaml",
}
"""What brings each package that a device needs."""

NOT_INSTALLED: Final = Row(
    "FB-002",
    "NotInstalledError",
    "A Python package is missing",
    means="A package that the command needs is not installed on this machine.",
    causes=(
        "Firstboot was copied instead of installed with pip.",
        "The package is built for another processor or another Python.",
    ),
    next_step="Install it: pip install {install}",
    sentence="the Python package {package} is not installed, or cannot be loaded",
    reproduce=(
        MAKE,
        "mkdir {code}/broken",
        "echo 'raise ImportError(name=\"msgspec\")' > {code}/broken/msgspec.py",
        ("PYTHONPATH={code}/broken:$PYTHONPATH python -m device status --state {code}  # {code}"),
    ),
)
MISUSE: Final = Row(
    "FB-003",
    "MisuseError",
    "The command line is not valid",
    means="The command does not understand the command line.",
    causes=(
        "An option or a verb is misspelt, or an option lacks its value.",
        "A variable of the shell is not set, so an argument is empty.",
    ),
    next_step="Read {help_command}.",
    exit_code=ExitCode.MISUSE,
    reproduce=("device boot --state  # {code}",),
)
STOPPED: Final = Row(
    "FB-004",
    "StoppedError",
    "The device was stopped",
    means="Someone asked the device to stop before it was done. Nothing is lost.",
    causes=("SIGTERM or SIGINT: systemd stopped the unit, or someone pressed Ctrl-C.",),
    next_step="Boot again. The device continues where it stopped.",
    exit_code=ExitCode.TRY_LATER,
    reproduce=(
        MAKE,
        "localcloud fault withhold-connack client_id=claim-{code}",
        "timeout 2 device boot --state {code}  # {code}",
    ),
)


class StoppedError(FirstbootError):
    """Someone asked the device to stop before it was done."""

    row = STOPPED


STEP_NOT_REACHED: Final = Row(
    "FB-006",
    "StepNotReachedError",
    "The device did not reach this step",
    means="The boot ended without the step after which you wanted to cut the power.",
    causes=("The method has no such step.", "The device did this step in an earlier boot."),
    next_step="Name a step that this device still has to do.",
    sentence="the device did not reach the step {step!r}; its steps were {seen}",
    needs="a test that cuts the power after a step that the device does not reach",
)


class StepNotReachedError(FirstbootError):
    """The boot ended before it came to the step after which the power was to be cut."""

    row = STEP_NOT_REACHED


MACHINE_REFUSED: Final = Row(
    "FB-007",
    "MachineRefusedError",
    "This machine refused a file, a connection or memory",
    means="The operating system refused what the command asked for. The device loses nothing.",
    causes=("There is no memory left.", "A limit is reached (ulimit -a).", "The disk is full."),
    next_step="Correct the cause on this machine, then run the same command again.",
    sentence="this machine refused: {problem}",
    needs="a machine without memory, or with a full disk behind standard output",
)


def machine_refusal(error: Exception) -> str:
    """Return what this machine lacks, where that is no `OSError`; empty for any other ``error``."""
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    if any(each in str(error) for each in ("start new thread", "INSUFFICIENT_RESOURCE")):
        return "no more threads can be started"  # Python's RuntimeError, and awscrt's
    return ""


UNKNOWN_CODE: Final = Row(
    "FB-005",
    "UnknownCodeError",
    "The catalogue has no such code",
    means="`device explain` was asked for a code that the device's catalogue does not have.",
    causes=(
        "The code is misspelt: it is FB- and three digits.",
        "The code is one of the station's (FB-5 to FB-8) or of the local AWS's (FB-9).",
    ),
    next_step="Look it up in docs/errors.md, which has the codes of all commands.",
    exit_code=ExitCode.MISUSE,
    reproduce=("device explain FB-000  # {code}",),
)
