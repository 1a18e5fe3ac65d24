"""What events and orders are made of: fields that do not change, and do not show secrets."""

from typing import Final

from msgspec import Struct

UNSHOWN: Final = frozenset(
    {"certificate_pem", "ownership_token", "payload", "private_key_pem", "proof"}
)
"""Fields of these names are secret, or could hold a secret."""


class Record(Struct, frozen=True):
    """The base of all of them; a struct, since forty dataclasses take 15 ms more to define."""

    def __repr__(self) -> str:
        shown = [name for name in self.__struct_fields__ if name not in UNSHOWN]
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
        return f"{type(self).__name__}({fields})"
