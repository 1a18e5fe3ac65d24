"""Checking policies and templates."""

from typing import Final

from device.errors import ExitCode, Row
from factory.errors.base import StationError

NOTHING_TO_LINT: Final = Row(
    "FB-741",
    "NothingToLintError",
    "There is nothing to check",
    means="Neither files nor a method were given.",
    causes=("The command line has no file.",),
    next_step="Pass files, or a method whose documents to check: --method claim.",
    exit_code=ExitCode.MISUSE,
    kind=StationError,
    reproduce=("factory lint  # {code}",),
)
LINT_FAILED: Final = Row(
    "FB-742",
    "LintFailedError",
    "A policy or a template has errors",
    means="The linter found errors in policies or templates; the output names each.",
    causes=("A policy allows more than a device needs.", "A template names something unknown."),
    next_step="Correct what is named above; docs/lint.md lists the rules.",
    sentence="{errors} error(s) in policies or templates",
    kind=StationError,
    reproduce=(
        (
            'echo \'{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", '
            '"Action": "*", "Resource": "*"}]}\' > {code}.json'
        ),
        "factory lint {code}.json  # {code}",
    ),
)
