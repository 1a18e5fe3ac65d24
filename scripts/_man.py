"""Man pages and bash completion of the commands, made from their parsers.

Source for the form: man-pages(7), groff_man(7), bash(1) "Programmable Completion".
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import device.cli
import factory.cli
import localcloud.cli

_ROOT: Final = Path(__file__).parents[1]
_ALL: Final = ("--help",)
PARSERS: Final[Mapping[str, Callable[[], argparse.ArgumentParser]]] = {
    "device": lambda: device.cli.parser(_ALL),
    "factory": factory.cli.parser,
    "localcloud": localcloud.cli.parser,
}
_EXIT_STATUS: Final = (
    ("0", "Done."),
    ("1", "Failed."),
    ("2", "The command line is not valid."),
    ("3", "The configuration is invalid."),
    ("4", "Denied: trying again will not help."),
    ("5", "Not reachable, throttled, or the clock is not set: try later."),
    ("6", "The storage is corrupt, rolled back or not SECURED."),
)
_FILES: Final[Mapping[str, str]] = {
    "DIR": "-d",
    "FILE": "-f",
    "PATH": "-f",
}
"""What bash completes for an option's value, by its name in the help."""


def man_page(command: str) -> str:
    """Return the page of ``command`` in section 1, as groff reads it."""
    parser = PARSERS[command]()
    summary = _plain(parser.description).partition(".")[0]
    parts = [
        f'.\\" Made by scripts/docs from the parser of {command}.',
        f'.TH {command.upper()} 1 "" "Firstboot" "User Commands"',
        ".SH NAME",
        f"{command} \\- {_escaped(summary[:1].lower() + summary[1:])}",
        ".SH SYNOPSIS",
        f".B {command}\n.I VERB\n.RI [ options ]",
        ".SH DESCRIPTION",
        _escaped(_plain(parser.description)),
        ".SH VERBS",
        *(line for verb, each in verbs_of(parser).items() for line in _verb(verb, each)),
        ".SH EXIT STATUS",
        *(f".TP\n.B {code}\n{words}" for code, words in _EXIT_STATUS),
        ".SH ENVIRONMENT",
        ".TP\n.B DEVICE_*\nOverride the device's settings; DEVICE_STATE is its folder.",
        ".TP\n.B NO_COLOR\nIf it is set and not empty, nothing is coloured.",
    ]
    return "\n".join(parts) + "\n"


def completion(command: str) -> str:
    """Return what bash needs to complete ``command``: verbs, options, choices, files."""
    verbs = verbs_of(PARSERS[command]())
    cases = "".join(
        f"        {verb}) options={_quoted(_flags(each))} ;;\n" for verb, each in verbs.items()
    )
    values = "".join(f"        {line}\n" for line in sorted(set(_values(verbs))))
    return f"""\
# bash completion of {command}; made by scripts/docs from its parser.
_{command}() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} options
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W {_quoted([*verbs, "--help", "--version"])} -- "$word")
        return
    fi
    case ${{COMP_WORDS[1]}}:$before in
{values}    esac
    case ${{COMP_WORDS[1]}} in
{cases}    esac
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
}}
complete -F _{command} {command}
"""


def verbs_of(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    """Return the parser of each verb."""
    for action in parser._actions:  # noqa: SLF001 - argparse shows its actions nowhere else
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            return dict(action.choices)
    return {}


def _verb(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    yield f".SS {_escaped(name)}"
    yield _escaped(_plain(parser.description))
    for action in parser._actions:  # noqa: SLF001
        if not isinstance(action, argparse._HelpAction | argparse._SubParsersAction):  # noqa: SLF001
            yield f".TP\n{_invocation(action)}\n{_escaped(_help(parser, action))}"
    for inner, each in verbs_of(parser).items():
        yield from _verb(f"{name} {inner}", each)


def _invocation(action: argparse.Action) -> str:
    value = action.metavar or "|".join(map(str, action.choices or ())) or action.dest.upper()
    value = value if isinstance(value, str) else " ".join(value)
    if not action.option_strings:
        return f".I {_escaped(value)}"
    names = ", ".join(action.option_strings)
    if action.nargs == 0:
        return f".B {_escaped(names)}"
    return f".BI {_escaped_word(names + ' ')} {_escaped_word(value)}"


def _help(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    return parser._get_formatter()._expand_help(action) if action.help else ""  # noqa: SLF001


def _flags(parser: argparse.ArgumentParser) -> list[str]:
    own = [name for action in parser._actions for name in action.option_strings]  # noqa: SLF001
    return [name for name in own if name.startswith("--")] + list(verbs_of(parser))


def _values(verbs: Mapping[str, argparse.ArgumentParser]) -> Iterator[str]:
    """Yield one line of ``case`` for each option whose values can be completed."""
    for verb, parser in verbs.items():
        for action in parser._actions:  # noqa: SLF001
            reply = _reply(action)
            for name in action.option_strings if reply else ():
                made = f'mapfile -t COMPREPLY < <(compgen {reply} -- "$word")'
                yield f"{verb}:{name}) {made}; return ;;"


def _reply(action: argparse.Action) -> str:
    if action.choices and action.option_strings:
        return f"-W {_quoted(list(map(str, action.choices)))}"
    return _FILES.get(str(action.metavar), "")


def _quoted(words: list[str]) -> str:
    return "'" + " ".join(words) + "'"


def _plain(text: str | None) -> str:
    return " ".join((text or "").replace("``", "").split())


def _escaped(text: str) -> str:
    """Return ``text`` as groff shows it; a line of it is never a request."""
    safe = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{safe}" if safe.startswith((".", "'")) else safe


def _escaped_word(text: str) -> str:
    return '"' + _escaped(text).replace('"', "\\(dq") + '"'


_FOLDERS: Final[Mapping[str, Callable[[str], str]]] = {
    "man/{}.1": man_page,
    "completion/{}": completion,
}
PAGES: Final[Mapping[Path, Callable[[], str]]] = {
    _ROOT / "packaging" / name.format(command): partial(make, command)
    for name, make in _FOLDERS.items()
    for command in PARSERS
}
"""The files that `scripts/docs` writes whole."""
