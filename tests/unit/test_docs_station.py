"""The synopsis in docs/station.md is what the command line has: every verb, every option."""

import re
from pathlib import Path

import pytest

from tests.unit.test_factory_options import options_of, verbs

DOCUMENT = Path(__file__).parents[2] / "docs" / "station.md"
VERBS = dict(verbs())


def synopsis() -> dict[str, str]:
    """Return the words of each verb in the document's first block."""
    (block, *_) = re.findall(r"^```\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    lines = re.sub(r"\n +", " ", block).splitlines()
    return {line.split()[1]: line for line in lines}


def test_every_verb_is_in_it() -> None:
    assert synopsis().keys() == VERBS.keys()


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_of_a_verb_is_in_it_and_no_other(verb: str) -> None:
    shown = set(re.findall(r"--[a-z-]+", synopsis()[verb]))
    real = {each for each in options_of(VERBS[verb]) if each.startswith("--")}
    assert shown == real - {"--help"}


@pytest.mark.parametrize("verb", VERBS)
def test_what_must_be_given_is_not_in_brackets(verb: str) -> None:
    optional = set(re.findall(r"\[(--[a-z-]+)|\| (--[a-z-]+)", synopsis()[verb]))
    names = {name for pair in optional for name in pair if name}
    required = {
        each for action in VERBS[verb]._actions if action.required for each in action.option_strings
    }
    assert not required & names
