"""One record by its key in all accounts and Regions, without a look at any other record."""

from typing import Any

from localcloud.gaps._support.stores import Store

Found = tuple[str, str, dict[str, Any]]
"""Account, Region and the record there."""


def found_in_any_scope(store: Store, key: str) -> list[Found]:
    """Return every record of ``store`` that has ``key``."""
    records = store._data  # noqa: SLF001 - as MiniStack itself does
    scopes = getattr(records, "scopes", None)  # of a store that is kept; else they are looked for
    if scopes is None:
        scopes = dict.fromkeys(each[:-1] for each in list(records))
    found = ((account, region, records.get((account, region, key))) for account, region in scopes)
    return [(account, region, record) for account, region, record in found if record is not None]
