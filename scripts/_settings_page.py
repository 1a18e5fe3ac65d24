"""The tables of docs/settings.md: every setting, from the classes in device/config/settings.py."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec
from msgspec import inspect

from device.config import settings
from device.config.methods import METHODS
from device.config.settings import Settings
from device.identity.csr import SUBJECT

_TABLES: Final = re.compile(
    r"(?<=^<!-- settings -->\n).*(?=^<!-- end of settings -->$)", re.M | re.S
)
_HEAD: Final = "| key | default | allowed | what it is for |\n|---|---|---|---|\n"


def with_settings(document: str) -> str:
    """Return ``document`` with the tables of the settings written again."""
    return _TABLES.sub(lambda _: "\n" + "".join(_section(Settings, "")), document)


def _section(section: type[msgspec.Struct], prefix: str) -> Iterator[str]:
    """Yield the table of a section, then those of the sections in it."""
    meanings = _meanings()[section.__name__]
    fields = inspect.type_info(section).fields  # type: ignore[attr-defined] # of a struct
    inner = [each for each in fields if isinstance(each.type, inspect.StructType)]
    rows = [_row(each, prefix, meanings[each.name]) for each in fields if each not in inner]
    title = f"## `{prefix[:-1]}`\n\n{_in_markdown(section.__doc__ or '')}\n\n" if prefix else ""
    yield f"{title}{_HEAD}{''.join(rows)}\n"
    for each in inner:
        yield from _section(each.type.cls, f"{prefix}{each.name}.")


def _row(field: inspect.Field, prefix: str, meaning: str) -> str:
    key = f"{prefix}{field.name}"
    return f"| `{key}` | {_default(field)} | {_allowed(key, field.type)} | {meaning} |\n"


def _default(field: inspect.Field) -> str:
    if field.default_factory is not msgspec.NODEFAULT:
        made = field.default_factory()
        return ", ".join(f"`{name}: {value}`" for name, value in made.items())
    if field.default in {msgspec.NODEFAULT, None}:
        return ""
    is_number = isinstance(field.default, float) and not isinstance(field.default, bool)
    return (
        f"`{field.default:g}`"
        if is_number
        else f"`{str(field.default).replace('False', 'no').replace('True', 'yes')}`"
    )


def _allowed(key: str, shape: inspect.Type) -> str:
    if key == "method":
        return ", ".join(f"`{name}`" for name in METHODS)
    if key == "subject":
        return ", ".join(f"`{name}`" for name in SUBJECT)
    match shape:
        case inspect.LiteralType(values=values):
            return ", ".join(f"`{value}`" for value in values)
        case inspect.IntType() | inspect.FloatType():
            least = f"{shape.ge:g}" if shape.ge is not None else f"above {shape.gt:g},"
            return f"{least} to {shape.le:g}" if shape.lt is None else f"{least} below {shape.lt:g}"
        case inspect.UnionType(types=types):
            return _allowed(
                key, next(each for each in types if not isinstance(each, inspect.NoneType))
            )
        case inspect.BoolType():
            return "`yes`, `no`"
    return ""


def _meanings() -> Mapping[str, Mapping[str, str]]:
    """Return what is written below each setting, by class and name."""
    tree = ast.parse(Path(settings.__file__).read_text(encoding="utf-8"))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return {each.name: dict(_meanings_in(each)) for each in classes}


def _meanings_in(section: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for setting, below in zip(section.body, section.body[1:], strict=False):
        match setting, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(
                value=ast.Constant(value=str(words))
            ):
                yield name, _in_markdown(words)


def _in_markdown(words: str) -> str:
    return " ".join(words.split()).replace("``", "`")
