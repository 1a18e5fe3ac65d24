"""Make an element ready for a device: what a station does with a blank token."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from device.errors.element import NO_MODULE, TOKEN_EXISTS, TOKEN_MISSING
from device.storage.element.cryptoki import Module, TokenInfo
from device.storage.element.cryptoki_codes import TokenFlag
from device.storage.element.installation import InstalledElement, element_at
from device.storage.element.pin import pin_from_file
from device.storage.element.pkcs11_uri import Pkcs11Uri
from device.storage.filesystem import OsFs, make_folder, replace

_SOFTHSM: Final = (
    "usr/lib/softhsm/libsofthsm2.so",
    "usr/lib/*/softhsm/libsofthsm2.so",
    "usr/lib*/libsofthsm2.so",
    "usr/lib*/pkcs11/libsofthsm2.so",
    "usr/local/lib/softhsm/libsofthsm2.so",
    "opt/homebrew/lib/softhsm/libsofthsm2.so",
)
_MAX_LABEL_BYTES: Final = 32


def initialize_token(module_path: Path, label: str, *, so_pin: str, pin: str) -> TokenInfo:
    """Give the first blank token of a module a label and its PINs.

    Raises:
        TokenExistsError: a token has this label already; nothing is ever erased here.
        TokenMissingError: no token is blank.
        ElementError: the module cannot be used, or refused.
    """
    if not 0 < len(label.encode()) <= _MAX_LABEL_BYTES:
        raise TOKEN_EXISTS.error(f"{label!r} is not a token label (1 to {_MAX_LABEL_BYTES} bytes)")
    module = Module.load(module_path)
    tokens = _tokens(module)
    if label in tokens:
        raise TOKEN_EXISTS.error(f"the token {label!r} already exists")
    blank = [slot for slot in module.slots() if _is_blank(module.token_info(slot))]
    if not blank:
        raise TOKEN_MISSING.error(wanted="blank", present=tuple(tokens))
    module.init_token(blank[0], label, so_pin)
    made = _tokens(module)[label]  # SoftHSM gives it another slot
    with _session(module, made.slot_id) as session:
        module.login(session, so_pin, as_security_officer=True)
        module.init_pin(session, pin)
    return module.token_info(made.slot_id)


def make_softhsm_element(folder: Path, label: str) -> InstalledElement:
    """Make a SoftHSM token in ``folder`` with a PIN of its own, in a file that its user can read.

    A second call finds what the first one made. The security officer's PIN is thrown away: a
    test element that is locked is made again. The token lies where ``use_softhsm`` says.

    Raises:
        NoModuleError: SoftHSM is not installed.
        TokenExistsError: there is a token of this label, made by someone else.
    """
    module_path = find_softhsm()
    use_softhsm(folder)
    make_folder(folder)
    pin = folder.resolve() / "pin"
    uri = Pkcs11Uri(token=label, module_path=module_path, pin_source=pin)
    if pin.exists() and label in _tokens(Module.load(module_path)):
        return element_at(str(uri))
    replace(OsFs(folder), "pin", f"{secrets.token_hex(8)}\n".encode())  # nobody could tell later
    initialize_token(module_path, label, so_pin=secrets.token_hex(8), pin=pin_from_file(pin))
    return element_at(str(uri))


def use_softhsm(folder: Path) -> None:
    """Keep this process's SoftHSM tokens in ``folder``, unless ``SOFTHSM2_CONF`` says where.

    The module reads that variable once: a process has one place for all its tokens.
    """
    if "SOFTHSM2_CONF" not in os.environ:
        make_folder(folder)
        os.environ["SOFTHSM2_CONF"] = str(_configure_softhsm(folder.resolve()))


def find_softhsm(root: Path = Path("/")) -> Path:
    """Return where the system in ``root`` has SoftHSM's module.

    Raises:
        NoModuleError: it is not installed in any usual place.
    """
    for pattern in _SOFTHSM:
        for path in sorted(root.glob(pattern)):
            return path
    raise NO_MODULE.error(
        "is not installed (apt-get install softhsm2)", path=Path("libsofthsm2.so")
    )


def _configure_softhsm(folder: Path) -> Path:
    make_folder(folder / "tokens")
    lines = (f"directories.tokendir = {folder}/tokens", "objectstore.backend = file")
    replace(OsFs(folder), "softhsm2.conf", "\n".join((*lines, "log.level = ERROR", "")).encode())
    return folder / "softhsm2.conf"


def _tokens(module: Module) -> dict[str, TokenInfo]:
    found = map(module.token_info, module.slots())
    return {token.label: token for token in found if not _is_blank(token)}


def _is_blank(token: TokenInfo) -> bool:
    return TokenFlag.TOKEN_INITIALIZED not in token.flags


@contextmanager
def _session(module: Module, slot: int) -> Iterator[int]:
    """Lend a session. Closing the last one of a token ends its login; nothing is logged out."""
    session = module.open_session(slot)
    try:
        yield session
    finally:
        module.close_session(session)
