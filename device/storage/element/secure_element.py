"""One secure element, logged in: which token it is, and a session that survives its loss.

A process has one session here and awscrt has another. Neither is ever logged out. When the
token was pulled, or the module restarted, the next use opens a new session and asks again,
once; handles of objects are therefore never kept.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeVar

from msgspec import structs

from device.errors.element import (
    ELEMENT_LOST,
    PIN_LAST_TRY,
    PIN_LOCKED,
    PIN_UNAVAILABLE,
    TOKEN_AMBIGUOUS,
    TOKEN_MISSING,
    TOKEN_NOT_READY,
    WRONG_PIN,
    CryptokiError,
)
from device.errors.log import logger
from device.storage.element.cryptoki import Module, TokenInfo
from device.storage.element.cryptoki_codes import ReturnValue, TokenFlag
from device.storage.element.pin import PinMemory, PinSource
from device.storage.element.pkcs11_uri import Pkcs11Uri
from device.storage.element.profiles import ElementProfile, profile_of

_log = logger(__name__)

T = TypeVar("T")

_LOST: Final = frozenset(
    {
        ReturnValue.SLOT_ID_INVALID,
        ReturnValue.GENERAL_ERROR,
        ReturnValue.DEVICE_ERROR,
        ReturnValue.DEVICE_REMOVED,
        ReturnValue.KEY_HANDLE_INVALID,
        ReturnValue.OBJECT_HANDLE_INVALID,
        ReturnValue.SESSION_CLOSED,
        ReturnValue.SESSION_HANDLE_INVALID,
        ReturnValue.TOKEN_NOT_PRESENT,
        ReturnValue.TOKEN_NOT_RECOGNIZED,
        ReturnValue.USER_NOT_LOGGED_IN,
        ReturnValue.CRYPTOKI_NOT_INITIALIZED,
    }
)
"""Codes after which a new session, login and search may help."""


_WRONG_PIN: Final = frozenset(
    {ReturnValue.PIN_INCORRECT, ReturnValue.PIN_INVALID, ReturnValue.PIN_LEN_RANGE}
)
_NO_PIN: Final = frozenset({ReturnValue.PIN_EXPIRED, ReturnValue.USER_PIN_NOT_INITIALIZED})


@dataclass(frozen=True)
class ElementSession:
    """An open session, logged in; good for one operation."""

    module: Module
    token: TokenInfo
    handle: int


class SecureElement:
    """The token that a URI names; safe to use from any thread, one call at a time."""

    def __init__(
        self, module: Module, uri: Pkcs11Uri, pin: PinSource | None, refused: PinMemory
    ) -> None:
        """The token is looked for when it is first used."""
        self.uri: Final = uri
        self.module_path: Final = module.path
        self._module: Final = module
        self._pin: Final = pin
        self._refused: Final = refused
        self._lock: Final = threading.RLock()
        self._session: ElementSession | None = None

    @cached_property
    def profile(self) -> ElementProfile:
        """What is known of elements of this kind."""
        return profile_of(self.run(lambda session: session.module.manufacturer))

    def pin(self) -> str | None:
        """Return the PIN, for awscrt's login beside this one; None where none is set.

        Raises:
            PinExposedError, PinUnavailableError: it cannot be had.
        """
        return None if self._pin is None else self._pin()

    def run(self, operation: Callable[[ElementSession], T]) -> T:
        """Return what ``operation`` returns; if the session is lost, once more in a new one.

        Raises:
            TokenMissingError, TokenAmbiguousError, TokenNotReadyError: not one token is meant.
            PinError: the PIN cannot be had, or the token does not take it.
            ElementLostError: the element is gone, and did not come back at once.
            CryptokiError: the operation failed for another reason.
        """
        with self._lock:
            try:
                return operation(self._session_now())
            except CryptokiError as error:
                if error.return_value not in _LOST:
                    raise
                _log.warning("the element's session was lost (%s): opening a new one", error)
            self._drop()
            try:
                return operation(self._open())
            except CryptokiError as error:
                if error.return_value not in _LOST:
                    raise
                self._drop()
                raise ELEMENT_LOST.error(f"the element is lost: {error}") from error

    def look(self) -> TokenInfo:
        """Return the token without a login: the PIN is read, and not tried, which could lock it.

        Raises:
            TokenMissingError, TokenAmbiguousError, TokenNotReadyError: not one token is meant.
            PinError: the PIN cannot be had, or must not be tried.
            CryptokiError: the module does not work.
        """
        with self._lock:
            self._module.initialize()
            token = self._find_token()
            if TokenFlag.LOGIN_REQUIRED in token.flags:
                self._usable_pin(token)
            return token

    def close(self) -> None:
        """Give the session back; the next use opens another. This logs nobody out."""
        with self._lock:
            self._drop()

    def _session_now(self) -> ElementSession:
        """Return the session; one that someone logged out counts as lost.

        Without a login private keys are not refused but unseen, and would be taken for missing.
        """
        if self._session is None:
            return self._open()
        wants_login = TokenFlag.LOGIN_REQUIRED in self._session.token.flags
        if wants_login and not self._module.is_logged_in(self._session.handle):
            code = ReturnValue.USER_NOT_LOGGED_IN
            raise CryptokiError("C_GetSessionInfo", code, f"CKR_{code.name}")
        return self._session

    def _open(self) -> ElementSession:
        self._module.initialize()  # in case someone finalised the module
        token = self._find_token()
        if TokenFlag.TOKEN_INITIALIZED not in token.flags:
            raise TOKEN_NOT_READY.error(f"token {token.label} is not initialised")
        handle = self._module.open_session(token.slot_id)
        try:
            self._log_in(token, handle)
        except BaseException:
            self._close(handle)
            raise
        self._session = ElementSession(self._module, token, handle)
        return self._session

    def _find_token(self) -> TokenInfo:
        present, unreadable = self._tokens()
        found = [token for token in present if _is_meant(token, self.uri)]
        if not found and unreadable:
            raise unreadable
        if not found:
            labels = ", ".join(token.label for token in present if token.label)
            raise TOKEN_MISSING.error(wanted=_wanted(self.uri), present=labels or "none")
        if len(found) > 1:
            raise TOKEN_AMBIGUOUS.error(f"{len(found)} tokens are {_wanted(self.uri)}")
        return found[0]

    def _tokens(self) -> tuple[list[TokenInfo], CryptokiError | None]:
        """Return all tokens, and why one could not be read: it may be none of our business."""
        tokens, unreadable = [], None
        for slot in self._module.slots():
            try:
                tokens.append(self._module.token_info(slot))
            except CryptokiError as error:
                unreadable = error
        return tokens, unreadable

    def _log_in(self, token: TokenInfo, session: int) -> None:
        if TokenFlag.LOGIN_REQUIRED not in token.flags:
            return
        pin, name = self._usable_pin(token), _name(token)
        try:
            self._module.login(session, pin)
        except CryptokiError as error:
            if error.return_value == ReturnValue.USER_ALREADY_LOGGED_IN:
                return  # awscrt was first; this PIN was not looked at
            if error.return_value in _WRONG_PIN:
                self._refused.remember(name, pin)
                raise WRONG_PIN.error(token=name) from None
            if error.return_value == ReturnValue.PIN_LOCKED:
                raise PIN_LOCKED.error(token=name) from None
            if error.return_value in _NO_PIN:
                raise TOKEN_NOT_READY.error(f"token {name} has no valid user PIN") from None
            raise
        self._refused.forget()

    def _usable_pin(self, token: TokenInfo) -> str:
        """Return the PIN if trying it cannot lock the token."""
        name = _name(token)
        if TokenFlag.USER_PIN_INITIALIZED not in token.flags:
            raise TOKEN_NOT_READY.error(f"token {name} has no user PIN")
        if TokenFlag.USER_PIN_LOCKED in token.flags:
            raise PIN_LOCKED.error(token=name)
        pin = self.pin()
        if pin is None:
            raise PIN_UNAVAILABLE.error(f"token {name} requires a PIN, but none is set")
        self._refused.check(name, pin)
        if TokenFlag.USER_PIN_FINAL_TRY in token.flags:
            raise PIN_LAST_TRY.error(token=name)
        return pin

    def _drop(self) -> None:
        if self._session is not None:
            self._close(self._session.handle)
        self._session = None

    def _close(self, handle: int) -> None:
        """Give the session back; an element that lost it has nothing to take back."""
        with suppress(CryptokiError):
            self._module.close_session(handle)


def _is_meant(token: TokenInfo, uri: Pkcs11Uri) -> bool:
    pairs = (
        (uri.token, token.label),
        (uri.serial, token.serial),
        (uri.manufacturer, token.manufacturer),
        (uri.model, token.model),
        (uri.slot_id, token.slot_id),
    )
    return all(wanted in {None, given} for wanted, given in pairs)


def _wanted(uri: Pkcs11Uri) -> str:
    return str(structs.replace(uri, object=None, id=None, module_path=None, pin_source=None))


def _name(token: TokenInfo) -> str:
    return f"{token.label} (serial {token.serial})"
