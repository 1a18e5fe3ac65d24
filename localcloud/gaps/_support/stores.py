"""Stores of our own that live with MiniStack's: per account and Region, saved, emptied by reset."""

import copy
from collections.abc import Callable
from typing import Any

from localcloud.seam import Seam

Store = Any
"""MiniStack's ``AccountRegionScopedDict``: a dict of what belongs to the caller's scope."""


def add_store(iot: Seam, name: str) -> Store:
    """Return a new, empty store that is saved under ``name`` beside those of ``iot``.

    A record that was changed must be assigned again: assigning is what notes the change.
    """
    store = iot["AccountRegionScopedDict"]()
    get_state: Callable[[], dict[str, Any]] = iot["get_state"]
    restore: Callable[[dict[str, Any]], None] = iot["load_persisted_state"]
    reset: Callable[[], None] = iot["reset"]

    def get_all() -> dict[str, Any]:
        return {**get_state(), name: copy.deepcopy(store)}

    def restore_all(saved: dict[str, Any]) -> None:
        restore(saved)
        store.update(saved.get(name, {}))

    def reset_all() -> None:
        reset()
        store.clear()

    iot["get_state"] = get_all
    iot["load_persisted_state"] = restore_all
    iot["reset"] = reset_all
    return store
