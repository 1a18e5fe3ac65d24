"""Every error has a row in the catalogue, every row is raised, and its words can be filled in."""

import ast
import json
import re
import string
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from device import __all__ as device_names
from device import application
from device.cli import main as device
from device.errors import ExitCode, FirstbootError, Row, StoppedError
from device.errors.catalogue import CATALOGUE as DEVICE_ROWS
from device.errors.catalogue import explained, row_of
from device.errors.root_of_trust import TpmError
from device.errors.storage import DataCorruptError
from factory.cli import main as factory
from factory.errors.catalogue import OWN as STATION_ROWS
from localcloud.cli import main as cloud
from localcloud.errors import CATALOGUE as LOCAL_ROWS
from localcloud.errors import LocalCloudError, NotRunningError
from localcloud.errors import Row as LocalRow
from scripts._docs import help_of

ROOT = Path(__file__).parents[2]
RELIED_ON = ROOT / "tests" / "data" / "error_codes.txt"
ROWS: list[Row | LocalRow] = [
    *DEVICE_ROWS.values(), *STATION_ROWS.values(), *LOCAL_ROWS.values(),
]  # fmt: skip
CODES = {row.code for row in ROWS}
Main = Callable[[list[str]], object]
FORBIDDEN = re.compile(r"/(?:home|root)/|BEGIN [A-Z ]*KEY|AKIA[A-Z0-9]{12}|password=|token=\w{12}")


@dataclass
class Sources:
    """What the code does with rows and errors, from one walk over all of it."""

    used: Counter[str] = field(default_factory=Counter)
    caught: set[str] = field(default_factory=set)
    """Every class by which somebody decides, in ``except``, ``suppress`` or ``isinstance``."""
    rows: list[tuple[str, str, str]] = field(default_factory=list)
    """Code, package and constant of every row."""
    calls: list[tuple[str, str, str, ast.Call]] = field(default_factory=list)
    """Each ``NAME.error(...)``: package, name, where, and the call."""

    def read(self, path: Path) -> None:
        """Take in a module."""
        package = path.relative_to(ROOT).parts[0]
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name, ctx=ast.Load()):
                    self.used[name] += 1
                case ast.AnnAssign(
                    target=ast.Name(name),
                    value=ast.Call(func=ast.Name("Row"), args=[ast.Constant(str(code)), *_]),
                ):
                    self.rows.append((code, package, name))
                case ast.ExceptHandler(type=ast.expr() as kind):
                    self.caught |= names_in(kind)
                case ast.Call(func=ast.Name("suppress" | "isinstance")):
                    self.caught |= names_in(node)
                case ast.Call(
                    func=ast.Attribute(
                        value=ast.Name(id=name) | ast.Attribute(attr=name), attr="error"
                    )
                ):
                    where = f"{path.relative_to(ROOT)}:{node.lineno}"
                    self.calls.append((package, name, where, node))


def names_in(tree: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(tree) if isinstance(each, ast.Name)}


@pytest.fixture(scope="module")
def sources() -> Sources:
    """Not read at import, which each worker of a run does."""
    found = Sources()
    for folder in ("device", "factory", "localcloud"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            found.read(path)
    return found


def test_every_row_in_the_source_is_in_a_catalogue_and_no_code_is_given_twice(
    sources: Sources,
) -> None:
    codes = [code for code, _, _ in sources.rows]
    assert sorted(codes) == sorted(CODES)
    assert len(codes) == len(ROWS)


def test_codes_names_and_exit_codes_are_what_scripts_rely_on() -> None:
    """tests/data/error_codes.txt is the only place that has them a second time."""
    known = [line for line in RELIED_ON.read_text().splitlines() if not line.startswith("#")]
    assert [f"{row.code} {row.name} {int(row.exit_code)}" for row in ROWS] == known


def test_each_row_is_raised_somewhere(sources: Sources) -> None:
    assert [row for row in sources.rows if not sources.used[row[2]]] == []


@pytest.mark.parametrize("row", ROWS, ids=repr)
def test_a_row_says_what_it_means_why_it_comes_and_what_to_do(row: Row | LocalRow) -> None:
    assert re.fullmatch(r"FB-\d{3}", row.code)
    assert row.exit_code != ExitCode.DONE
    assert row.causes
    for words in (row.means, *row.causes):
        assert words.endswith("."), words
    assert row.next_step
    assert not row.title.endswith(".")
    assert not FORBIDDEN.search(" ".join((row.title, row.means, *row.causes, row.next_step)))


@pytest.mark.parametrize("row", DEVICE_ROWS.values(), ids=repr)
def test_a_row_is_explained_with_names_instead_of_values(row: Row) -> None:
    text = "\n".join(explained(row)).partition("\n\nTo see it")[0]  # braces are the shell's there
    assert row.title in text
    assert not re.search(r"\{(?!serial\}|device_id\}|cloud\})", text)


def raising_classes() -> dict[str, type[FirstbootError | LocalCloudError]]:
    """Return the classes that have a row of their own, by name."""
    found: dict[str, type[FirstbootError | LocalCloudError]] = {}
    pending: list[type[FirstbootError | LocalCloudError]] = [FirstbootError, LocalCloudError]
    while pending:
        kind = pending.pop()
        pending += kind.__subclasses__()
        if "row" in vars(kind):
            found[kind.__name__] = kind
    return found


def test_a_class_with_a_row_is_named_as_the_row_is() -> None:
    assert {name: kind.row.name for name, kind in raising_classes().items()} == {
        name: name for name in raising_classes()
    }


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (StoppedError, {}),
        (DataCorruptError, {}),
        (TpmError, {"response": 0x101}),
        (NotRunningError, {"path": "cloud"}),
    ],
)
def test_an_error_made_from_a_row_is_caught_by_the_class_that_has_it(
    kind: type[FirstbootError | LocalCloudError], fields: dict[str, object]
) -> None:
    made = kind.row.error("why", next_step="", **fields)
    assert type(made) is kind


@pytest.mark.parametrize("name", sorted(raising_classes()))
def test_a_class_is_there_because_somebody_decides_by_it(name: str, sources: Sources) -> None:
    caught = sources.caught
    kinds = [kind for kind in raising_classes()[name].__subclasses__() if kind.__name__ in caught]
    assert name in caught | set(device_names) | set(application.__all__) or kinds


def fields_of(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def missing_values(row: Row | LocalRow, call: ast.Call) -> set[str]:
    """Return what the words of a row name and a call that raises it does not give."""
    given = {each.arg for each in call.keywords} | ({"problem"} if call.args else set())
    own_step = "next_step" in given
    wanted = fields_of(row.sentence) | (set() if own_step else fields_of(row.next_step))
    return wanted - given


def test_who_raises_a_row_gives_every_value_of_its_words(sources: Sources) -> None:
    by_code = {row.code: row for row in ROWS}
    by_name = {(package, name): by_code[code] for code, package, name in sources.rows}
    raised = [
        (where, row, call)
        for package, name, where, call in sources.calls
        if (row := by_name.get((package, name)) or by_name.get(("device", name)))
    ]
    assert len(raised) > len(ROWS), "the walk found nothing, so it proves nothing"
    found = [(where, row.code, missing_values(row, call)) for where, row, call in raised]
    assert [each for each in found if each[2]] == []


@pytest.mark.parametrize("form", ["FB-{}", "fb-{}", "FB{}", "{}", " fb {}"])
@pytest.mark.parametrize(("code", "command"), [("110", device), ("803", factory), ("903", cloud)])
def test_each_explain_finds_a_code_in_any_spelling(
    code: str, command: Main, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command(["explain", form.format(code), "--json"])
    assert json.loads(capsys.readouterr().out)["code"] == f"FB-{code}"


def every_explain() -> Iterator[tuple[str, Main, str]]:
    """Yield each command with one code of each chapter, and who has it."""
    for code in ("001", "101", "201", "301", "401", "501", "601", "701", "801", "901"):
        owner = "device" if code < "5" else "factory" if code < "9" else "localcloud"
        for name, command in {"device": device, "factory": factory, "localcloud": cloud}.items():
            knows = name == owner or (name == "factory" and owner == "device")
            yield f"FB-{code}", command, "" if knows else f"{owner} explain FB-{code}"


@pytest.mark.parametrize(("code", "command", "step"), list(every_explain()))
def test_explain_shows_a_code_or_names_the_command_that_does(
    code: str, command: Main, step: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with suppress(SystemExit):
        command(["explain", code, "--json"])
    shown = json.loads(capsys.readouterr().out)
    assert ("page" in shown) is (step == "")
    assert step in shown["next_step"]


def test_explain_names_no_command_for_a_code_that_it_would_have(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with suppress(SystemExit):
        factory(["explain", "FB-599", "--json"])
    assert "docs/errors.md" in json.loads(capsys.readouterr().out)["next_step"]


@pytest.mark.parametrize("command", ["device", "factory", "localcloud"])
def test_the_help_says_where_a_code_is_explained(command: str) -> None:
    assert f"{command} explain FB-nnn" in " ".join(help_of(command).split())


def test_a_code_that_nobody_gave_is_misuse() -> None:
    with pytest.raises(FirstbootError, match="no code FB-000") as raised:
        row_of("FB-000")
    assert raised.value.exit_code is ExitCode.MISUSE
