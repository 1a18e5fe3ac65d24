"""Secure elements to test with: what scripts/_soft_elements.py runs, or a skipped test."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from device.errors.element import NoModuleError
from device.storage.element.cryptoki import Module
from device.storage.element.installation import ElementPlan
from scripts import _soft_elements
from scripts._soft_elements import PIN, ElementBench, variables

__all__ = ["PIN", "ElementBench", "module_of", "softhsm", "softhsm_module", "tpm", "variables"]


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
    """Return SoftHSM's module, or skip; in CI nothing is skipped."""
    with _or_skip():
        return _soft_elements.softhsm_module()


@contextmanager
def _or_skip() -> Iterator[None]:
    try:
        yield
    except NoModuleError as error:
        if os.environ.get("CI"):
            pytest.fail(f"{error}: python3 -m scripts._elements installs it")
        pytest.skip(str(error))
