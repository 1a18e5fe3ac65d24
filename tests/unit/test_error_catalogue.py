"""Every error has a row in the catalogue, every row is raised, and its words can be filled in."""

import ast
import re
import string
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import device
from device import application
from device.errors import ExitCode, FirstbootError, Row, StoppedError
from device.errors.catalogue import CATALOGUE as DEVICE_ROWS
from device.errors.catalogue import explained, row_of
from device.errors.root_of_trust import TpmError
from device.errors.storage import DataCorruptError
from factory.errors.catalogue import OWN as STATION_ROWS
from localcloud.errors import CATALOGUE as LOCAL_ROWS
from localcloud.errors import LocalCloudError, NotRunningError
from localcloud.errors import Row as LocalRow

ROOT = Path(__file__).parents[2]
RELIED_ON = ROOT / "tests" / "data" / "error_codes.txt"
ROWS: list[Row | LocalRow] = [
    *DEVICE_ROWS.values(), *STATION_ROWS.values(), *LOCAL_ROWS.values(),
]  # fmt: skip
CODES = {row.code for row in ROWS}
FORBIDDEN = re.compile(r"/home/|/root/|BEGIN [A-Z ]*KEY|AKIA[A-Z0-9]{12}|password=|token=\w{12}")


def modules(*folders: str) -> Iterator[tuple[Path, ast.Module]]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path, ast.parse(path.read_text())


SOURCES = list(modules("device", "factory", "localcloud"))
USED = Counter(
    node.id if isinstance(node, ast.Name) else node.attr
    for path, module in SOURCES
    for node in ast.walk(module)
    if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load)
)


def package(path: Path) -> str:
    return path.relative_to(ROOT).parts[0]


def named_rows() -> Iterator[tuple[str, str, str]]:
    """Yield code, package and constant of every row in the source."""
    for path, module in SOURCES:
        for node in module.body:
            match node:
                case ast.AnnAssign(
                    target=ast.Name(name),
                    value=ast.Call(func=ast.Name("Row"), args=[ast.Constant(str(code)), *_]),
                ):
                    yield code, package(path), name


NAMES = {code: name for code, _, name in named_rows()}
BY_NAME = {(found, name): code for code, found, name in named_rows()}


def test_every_row_in_the_source_is_in_a_catalogue_and_no_code_is_given_twice() -> None:
    codes = [code for code, _, _ in named_rows()]
    assert sorted(codes) == sorted(CODES)
    assert len(codes) == len(ROWS)


def test_codes_names_and_exit_codes_are_what_scripts_rely_on() -> None:
    """tests/data/error_codes.txt is the only place that has them a second time."""
    known = [line for line in RELIED_ON.read_text().splitlines() if not line.startswith("#")]
    assert [f"{row.code} {row.name} {int(row.exit_code)}" for row in ROWS] == known


@pytest.mark.parametrize("row", ROWS, ids=repr)
def test_a_row_is_raised_somewhere(row: Row | LocalRow) -> None:
    assert USED[NAMES[row.code]] >= 1


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


def caught_names() -> set[str]:
    """Return every class by which somebody decides: in an ``except`` or a ``suppress``."""
    found: set[str] = set()
    for _, module in SOURCES:
        for node in ast.walk(module):
            match node:
                case ast.ExceptHandler(type=ast.expr() as kind):
                    found |= {each.id for each in ast.walk(kind) if isinstance(each, ast.Name)}
                case ast.Call(func=ast.Name("suppress" | "isinstance")):
                    found |= {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    return found


CAUGHT = caught_names()


@pytest.mark.parametrize("name", sorted(raising_classes()))
def test_a_class_is_there_because_somebody_decides_by_it(name: str) -> None:
    kinds = [kind for kind in raising_classes()[name].__subclasses__() if kind.__name__ in CAUGHT]
    assert name in CAUGHT | set(device.__all__) | set(application.__all__) or kinds


def error_calls() -> Iterator[tuple[str, str, ast.Call]]:
    """Yield each ``ROW.error(...)`` of the source: the code, where, and the call."""
    for path, module in SOURCES:
        for node in ast.walk(module):
            match node:
                case ast.Call(
                    func=ast.Attribute(
                        value=ast.Name(id=name) | ast.Attribute(attr=name), attr="error"
                    )
                ):
                    code = BY_NAME.get((package(path), name)) or BY_NAME.get(("device", name))
                    if code:
                        yield code, f"{path.relative_to(ROOT)}:{node.lineno}", node


def fields_of(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


BY_CODE = {row.code: row for row in ROWS}
CALLS = [pytest.param(BY_CODE[code], call, id=where) for code, where, call in error_calls()]


@pytest.mark.parametrize(("row", "call"), CALLS)
def test_who_raises_a_row_gives_every_value_of_its_words(
    row: Row | LocalRow, call: ast.Call
) -> None:
    given = {each.arg for each in call.keywords} | ({"problem"} if call.args else set())
    own_step = "next_step" in given
    wanted = fields_of(row.sentence) | (set() if own_step else fields_of(row.next_step))
    assert wanted <= given


def test_a_code_is_found_in_any_case() -> None:
    assert row_of("fb-110").name == "RolledBackError"


def test_a_code_that_nobody_gave_is_misuse() -> None:
    with pytest.raises(FirstbootError, match="no code FB-000") as raised:
        row_of("FB-000")
    assert raised.value.exit_code is ExitCode.MISUSE
