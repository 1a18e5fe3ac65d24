"""Every deliberate error of the local AWS: rows of a catalogue, and the classes decided by.

The shape is that of the device's errors (`device.errors`), which the local AWS may not import. A
`Row` has a code that never changes (``FB-901``), what it means, the usual causes and the next step;
``ROW.error(...)`` makes the error of a row.
"""

import shlex
from enum import IntEnum
from os import PathLike
from typing import Final, NamedTuple


class ExitCode(IntEnum):
    """The exit codes of ``localcloud``; the numbers mean what they mean for ``device``."""

    DONE = 0
    FAILED = 1
    MISUSE = 2


class Row(NamedTuple):
    """One row of the catalogue; ``sentence`` and ``next_step`` may name fields in braces."""

    code: str
    name: str
    title: str
    means: str
    causes: tuple[str, ...]
    next_step: str
    sentence: str = "{problem}"
    exit_code: ExitCode = ExitCode.FAILED
    reproduce: tuple[str, ...] = ()
    needs: str = ""

    @property
    def commands(self) -> tuple[str, ...]:
        """The lines for a shell that end in the error, as for the device's errors."""
        return tuple(line.replace("{code}", self.code) for line in self.reproduce)

    def error(
        self, problem: object = "", *, next_step: str = "", **fields: object
    ) -> "LocalCloudError":
        """Return the error of this row; a ``next_step`` of its own goes before the row's."""
        kind = _OWN_CLASSES.get(self.code, LocalCloudError)
        return kind(problem, row=self, next_step=next_step, **fields)

    def __repr__(self) -> str:
        """Return the code and the name."""
        return f"<{self.code} {self.name}>"


def _quoted(value: object) -> object:
    """Return a path as a shell reads it, since next steps are commands; else the ``value``."""
    return shlex.quote(str(value)) if isinstance(value, PathLike) else value


_OWN_CLASSES: Final[dict[str, "type[LocalCloudError]"]] = {}


class LocalCloudError(Exception):
    """The base of every error that the local AWS raises on purpose."""

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
        in_shell = {name: _quoted(each) for name, each in values.items()}
        self.next_step = next_step or self.row.next_step.format_map(in_shell)

    @property
    def code(self) -> str:
        """The code in the catalogue, such as ``FB-901``; it never changes."""
        return self.row.code

    @property
    def name(self) -> str:
        """What the error is called in ``--json``, such as ``PortInUseError``."""
        return self.row.name

    @property
    def exit_code(self) -> ExitCode:
        """What the command ends with."""
        return self.row.exit_code


STATE_FOLDER: Final = Row(
    "FB-901",
    "StateFolderError",
    "The state folder cannot be used",
    means="The state folder cannot be made, written or trusted.",
    causes=(
        "--state names a folder that something else uses.",
        "A file in it was changed or cut short.",
        "This user may not write to it.",
    ),
    next_step="Choose another folder with --state DIR, or remove this one.",
    sentence="state folder {path}: {problem}",
    reproduce=(
        "mkdir {code} && touch {code}/something",
        "localcloud up --detach --state {code}  # {code}",
    ),
)
ALREADY_RUNNING: Final = Row(
    "FB-902",
    "AlreadyRunningError",
    "A local AWS is already running",
    means="Another process serves this state folder.",
    causes=("localcloud up was run before.", "It runs with other ports than you asked for."),
    next_step="Stop it first: localcloud down --state {path}",
    sentence="state folder {path}: {problem}",
    reproduce=("localcloud up --detach --api-port 4999  # {code}",),
)
NOT_RUNNING: Final = Row(
    "FB-903",
    "NotRunningError",
    "No local AWS is running",
    means="No local AWS serves this state folder.",
    causes=("It was not started, or was stopped.", "--state names another folder."),
    next_step="Start it: localcloud up --detach --state {path}",
    sentence="state folder {path}: no local AWS is running on it",
    reproduce=("localcloud watch --state {code}  # {code}",),
)


class NotRunningError(LocalCloudError):
    """No local AWS serves this state folder."""

    row = NOT_RUNNING


PORT_IN_USE: Final = Row(
    "FB-904",
    "PortInUseError",
    "A port is in use",
    means="Another process listens on a port that the local AWS needs.",
    causes=("Another local AWS, or another broker, runs on this machine.",),
    next_step="Stop it, or choose another port with {flag}.",
    sentence="port {port} on 127.0.0.1 is in use by {owner}",
    reproduce=(
        ("localcloud up --detach --state {code} --api-port ${DEVICE_ENDPOINT##*:}  # {code}"),
    ),
)
START: Final = Row(
    "FB-905",
    "StartError",
    "The local AWS did not start",
    means="The server process ended, or did not answer in time.",
    causes=("The machine is busy.", "The state folder is damaged; the log says which file."),
    next_step="Read {log}; each start begins a new log.",
    sentence="the local AWS did not start: {problem}",
    reproduce=(
        "mkdir {code}",
        """echo 'import sys; sys.modules["hypercorn.asyncio"] = None' > {code}/sitecustomize.py""",
        (
            "PYTHONPATH={code}:$PYTHONPATH python -m localcloud up --detach "
            "--state {code}/cloud  # {code}"
        ),
    ),
)
MISSING_EXTRA: Final = Row(
    "FB-906",
    "MissingExtraError",
    "The extra 'local' is not installed",
    means="Packages that the local AWS needs are not installed.",
    causes=("Firstboot was installed for a device: pip install firstboot.",),
    next_step="Install them: pip install 'firstboot[local]'",
    sentence="the extra [local] is not installed: no {missing}",
    reproduce=(
        "mkdir {code}",
        """echo 'import sys; sys.modules["ministack"] = None' > {code}/sitecustomize.py""",
        "PYTHONPATH={code}:$PYTHONPATH python -m localcloud up --state {code}/cloud  # {code}",
    ),
)
STOP: Final = Row(
    "FB-907",
    "StopError",
    "The local AWS did not stop",
    means="The server process did not stop in time.",
    causes=("The machine is busy.",),
    next_step="End it: kill -9 {pid} (everything it answered is kept)",
    sentence="process {pid} did not stop in time",
    reproduce=(
        "localcloud up --detach --state {code}",
        "pid=$(localcloud status --state {code} | sed -n 's/^pid *//p'); kill -STOP $pid",
        "localcloud down --state {code}  # {code}",
        "kill -9 $pid",
    ),
)
NO_ANSWER: Final = Row(
    "FB-908",
    "NoAnswerError",
    "The local AWS gives a wrong answer",
    means="The server process runs, but gives a wrong answer, or none.",
    causes=("It has another version than this command.", "It is starting or stopping."),
    next_step="Try again. If that does not help: localcloud down, then localcloud up.",
    reproduce=(
        "localcloud up --detach --state {code}",
        "pid=$(localcloud status --state {code} | sed -n 's/^pid *//p'); kill -STOP $pid",
        "localcloud clock --state {code}  # {code}",
        "kill -9 $pid",
    ),
)


class NoAnswerError(LocalCloudError):
    """The server process runs, but gives a wrong answer."""

    row = NO_ANSWER


GAP: Final = Row(
    "FB-909",
    "GapError",
    "MiniStack has another version than expected",
    means="This version of MiniStack does not fit a gap module.",
    causes=("MiniStack was upgraded without the local AWS.",),
    next_step="Install the versions that belong together: pip install 'firstboot[local]'",
    sentence="gap module {gap}: {problem}",
    needs="another version of MiniStack",
)
FAULT: Final = Row(
    "FB-910",
    "FaultError",
    "The fault is not valid",
    means="There is no such fault, or one of its fields cannot have this value.",
    causes=("A field is misspelt, or its value is out of range.",),
    next_step="See docs/local-aws.md for the faults and their fields.",
    exit_code=ExitCode.MISUSE,
    reproduce=("localcloud fault nonsense  # {code}",),
)


SETTINGS: Final = Row(
    "FB-911",
    "SettingsError",
    "The setting is not valid",
    means="There is no such setting, or it cannot have this value.",
    causes=("A name is misspelt, or a value is out of range.",),
    next_step="See docs/local-aws.md for the settings and their ranges.",
    exit_code=ExitCode.MISUSE,
    needs="a program that changes a setting which does not exist",
)
CLOCK: Final = Row(
    "FB-912",
    "ClockError",
    "The clock cannot be advanced by this duration",
    means="The local AWS cannot advance its clock by this duration.",
    causes=("The duration has no unit, is negative, or is longer than 100 years.",),
    next_step="Give a duration: localcloud clock advance 90d",
    exit_code=ExitCode.MISUSE,
    reproduce=("localcloud clock advance 9999w  # {code}",),
)
MISUSE: Final = Row(
    "FB-913",
    "MisuseError",
    "The command line is not valid",
    means="localcloud does not understand the command line.",
    causes=(
        "An option or a verb is misspelt, or an option lacks its value.",
        "A variable of the shell is not set, so an argument is empty.",
    ),
    next_step="See {command} --help.",
    exit_code=ExitCode.MISUSE,
    reproduce=("localcloud clock advance soon --json  # {code}",),
)
NO_SUCH_PATH: Final = Row(
    "FB-914",
    "LocalCloudError",
    "The local AWS has no such path",
    means="A request to the local AWS's own interface names a path that does not exist.",
    causes=("The command has another version than the server.",),
    next_step="If the server has another version than the command: localcloud down, then up.",
    needs="a command of another version than the server",
)
UNKNOWN_CODE: Final = Row(
    "FB-915",
    "UnknownCodeError",
    "The catalogue has no such code",
    means="`localcloud explain` was asked for a code that the local AWS's catalogue does not have.",
    causes=(
        "The code is misspelt: it is FB- and three digits.",
        "The code is one of the device's (FB-0 to FB-4) or of the station's (FB-5 to FB-8).",
    ),
    next_step="Look it up in docs/errors.md, which has the codes of all commands.",
    sentence="the local AWS has no code {code}",
    exit_code=ExitCode.MISUSE,
    reproduce=("localcloud explain FB-000  # {code}",),
)
MACHINE_REFUSED: Final = Row(
    "FB-916",
    "MachineRefusedError",
    "This machine refused a file, a connection or memory",
    means="The operating system refused what localcloud asked for.",
    causes=("There is no memory left.", "A limit is reached (ulimit -a).", "The disk is full."),
    next_step="Correct the cause on this machine, then run the same command again.",
    sentence="this machine refused: {problem}",
    needs="a machine without memory, or with a full disk behind standard output",
)

CATALOGUE: Final = {each.code: each for each in tuple(vars().values()) if isinstance(each, Row)}
"""Every row, by code."""
