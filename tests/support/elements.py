"""Secure elements to test with: what scripts/_soft_elements.py runs, or a skipped test."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from device.errors.element import ElementError
from device.storage.element.cryptoki import Module
from device.storage.element.installation import ElementPlan
from scripts import _soft_elements
from scripts._soft_elements import PIN, ElementBench, variables

__all__ = [
    "PIN",
    "ElementBench",
    "module_of",
    "skip_without",
    "softhsm",
    "softhsm_module",
    "tpm",
    "variables",
]


def module_of(plan: ElementPlan) -> Module:
    """Return the module that ``plan`` speaks to."""
    assert plan.uri.module_path is not None
    return Module.load(plan.uri.module_path)


@contextmanager
def softhsm(folder: Path) -> Iterator[ElementBench]:
    """SoftHSM with its tokens in ``folder``."""
    softhsm_module()
    with _soft_elements.softhsm(folder) as bench:
        yield bench


@contextmanager
def tpm(folder: Path) -> Iterator[ElementBench]:
    """A TPM of its own: swtpm, and tpm2-abrmd in front of it."""
    with _or_skip():
        _soft_elements.tpm_module()
    with _soft_elements.tpm(folder) as bench:
        yield bench


def softhsm_module() -> Path:
    """Return SoftHSM's module, or skip."""
    with _or_skip():
        return _soft_elements.softhsm_module()


@contextmanager
def _or_skip() -> Iterator[None]:
    try:
        yield
    except ElementError as error:
        skip_without(str(error))


def skip_without(what: str) -> NoReturn:
    """Skip for want of ``what``; in CI that is a failure, as any skip (tests/conftest.py)."""
    pytest.skip(f"{what}: python3 -m scripts._elements installs it")
