"""Is the right token opened, the PIN spared, and a lost session replaced?"""

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from device.errors import Row
from device.errors.element import (
    CRYPTOKI,
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
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.element.cryptoki import TokenInfo
from device.storage.element.cryptoki_codes import ReturnValue, TokenFlag
from device.storage.element.profiles import CRYPTOAUTHLIB, GENERIC, SOFTHSM, TPM, YKCS11, profile_of
from device.storage.element.secure_element import SecureElement
from device.storage.secure_storage import Uid
from tests.support.errors import raises
from tests.support.fake_element import element_of
from tests.support.fake_module import READY, FakeModule
from tests.support.sealed_device import make_device

LOST = (
    ReturnValue.SESSION_HANDLE_INVALID,
    ReturnValue.SESSION_CLOSED,
    ReturnValue.DEVICE_REMOVED,
    ReturnValue.TOKEN_NOT_PRESENT,
    ReturnValue.USER_NOT_LOGGED_IN,
    ReturnValue.OBJECT_HANDLE_INVALID,
    ReturnValue.KEY_HANDLE_INVALID,
    ReturnValue.DEVICE_ERROR,
    ReturnValue.CRYPTOKI_NOT_INITIALIZED,
)


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[DeviceStorage]:
    with open_device_storage(make_device(tmp_path)) as storage:
        yield storage


@pytest.fixture
def module() -> FakeModule:
    return FakeModule()


def use(element: SecureElement) -> list[int]:
    """Ask the element something that needs a login."""
    return element.run(lambda session: session.module.find(session.handle, {}))


def test_one_session_serves_all_calls(storage: DeviceStorage, module: FakeModule) -> None:
    element = element_of(storage, module)
    for _ in range(3):
        use(element)
    assert module.calls["C_OpenSession"] == module.calls["C_Login"] == 1


def test_awscrt_may_have_logged_in_before(storage: DeviceStorage, module: FakeModule) -> None:
    module.is_user = True
    assert use(element_of(storage, module)) == []


def test_a_token_without_login_is_asked_for_none(
    storage: DeviceStorage, module: FakeModule
) -> None:
    module.tokens = [replace(module.tokens[0], flags=TokenFlag.TOKEN_INITIALIZED)]
    use(element_of(storage, module, pin=None))
    assert module.calls["C_Login"] == 0


# --- which token --------------------------------------------------------------------


def test_a_missing_token_is_named_with_those_that_are_there(
    storage: DeviceStorage, module: FakeModule
) -> None:
    with raises(TOKEN_MISSING) as raised:
        use(element_of(storage, module, uri="pkcs11:token=other"))
    assert str(raised.value) == "no token matches pkcs11:token=other; present: dev"


def test_a_foreign_token_that_cannot_be_read_is_passed_over(
    storage: DeviceStorage, module: FakeModule
) -> None:
    """Someone's bank card in another reader, or a token that another process is writing."""
    module.tokens.insert(0, replace(module.tokens[0], slot_id=6, label="other"))
    module.fail("C_GetTokenInfo", ReturnValue.TOKEN_NOT_RECOGNIZED)
    element = element_of(storage, module)
    assert element.run(lambda session: session.token.slot_id) == 7
    assert module.calls["C_GetTokenInfo"] == 2


def test_a_token_that_cannot_be_read_is_not_called_missing(
    storage: DeviceStorage, module: FakeModule
) -> None:
    module.fail("C_GetTokenInfo", ReturnValue.GENERAL_ERROR, ReturnValue.GENERAL_ERROR)
    with raises(ELEMENT_LOST, match="GENERAL_ERROR"):
        use(element_of(storage, module))


def test_two_tokens_of_one_label_are_told_apart_by_their_serial(
    storage: DeviceStorage, module: FakeModule
) -> None:
    module.tokens.append(replace(module.tokens[0], slot_id=8, serial="0002"))
    with raises(TOKEN_AMBIGUOUS, match="2 tokens are pkcs11:token=dev"):
        use(element_of(storage, module))
    element = element_of(storage, module, uri="pkcs11:token=dev;serial=0002")
    assert element.run(lambda session: session.token.slot_id) == 8


@pytest.mark.parametrize(
    "part", ["manufacturer=Fake%20maker", "model=Fake%20model", "slot-id=7", "serial=0001"]
)
def test_a_token_is_found_by_any_of_its_names(
    storage: DeviceStorage, module: FakeModule, part: str
) -> None:
    module.tokens.append(TokenInfo(8, "x", "x", "x", "x", READY))
    element = element_of(storage, module, uri=f"pkcs11:{part}")
    assert element.run(lambda session: session.token.slot_id) == 7


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (TokenFlag.LOGIN_REQUIRED, "not initialised"),
        (TokenFlag.LOGIN_REQUIRED | TokenFlag.TOKEN_INITIALIZED, "no user PIN"),
    ],
)
def test_a_token_that_the_station_forgot(
    storage: DeviceStorage, module: FakeModule, flags: TokenFlag, problem: str
) -> None:
    module.tokens = [replace(module.tokens[0], flags=flags)]
    with raises(TOKEN_NOT_READY, match=problem):
        use(element_of(storage, module))


# --- the PIN ------------------------------------------------------------------------


def test_a_wrong_pin_is_tried_once(storage: DeviceStorage, module: FakeModule) -> None:
    element = element_of(storage, module, pin="4321")
    for _ in range(3):
        with raises(WRONG_PIN):
            use(element)
    assert module.calls["C_Login"] == 1


def test_a_wrong_pin_is_not_tried_after_a_restart_either(
    tmp_path: Path, module: FakeModule
) -> None:
    state = make_device(tmp_path)
    for _ in range(3):
        with open_device_storage(state) as storage, raises(WRONG_PIN):
            use(element_of(storage, module, pin="4321"))
    assert module.calls["C_Login"] == 1


def test_storage_that_is_open_for_reading_hides_neither_a_wrong_pin_nor_a_right_one(
    tmp_path: Path, module: FakeModule
) -> None:
    state = make_device(tmp_path)
    with open_device_storage(state) as storage, raises(WRONG_PIN):
        use(element_of(storage, module, pin="4321"))
    with open_device_storage(state, read_only=True) as storage:
        element = element_of(storage, module, pin="1111")
        for _ in range(2):
            with raises(WRONG_PIN):
                use(element)
        use(element_of(storage, module, pin="1234"))
    assert module.calls["C_Login"] == 3


def test_several_wrong_pins_are_all_remembered(storage: DeviceStorage, module: FakeModule) -> None:
    for pin in ("4321", "1111", "4321", "1111"):
        with raises(WRONG_PIN):
            use(element_of(storage, module, pin=pin))
    assert module.calls["C_Login"] == 2


def test_the_right_pin_is_tried_after_a_wrong_one_and_ends_the_matter(
    storage: DeviceStorage, module: FakeModule
) -> None:
    with raises(WRONG_PIN):
        use(element_of(storage, module, pin="4321"))
    use(element_of(storage, module, pin="1234"))
    assert Uid.REFUSED_PINS not in storage.its.uids()


def test_another_token_may_take_the_pin_that_one_refused(
    storage: DeviceStorage, module: FakeModule
) -> None:
    with raises(WRONG_PIN):
        use(element_of(storage, module, pin="4321"))
    module.tokens = [replace(module.tokens[0], serial="0002")]
    module.pin = "4321"
    use(element_of(storage, module, pin="4321"))


def test_the_memory_of_wrong_pins_does_not_grow(storage: DeviceStorage, module: FakeModule) -> None:
    for number in range(20):
        with raises(WRONG_PIN):
            use(element_of(storage, module, pin=f"wrong-{number}"))
    assert storage.its.get_info(Uid.REFUSED_PINS).size == 16 * 32


def test_what_is_remembered_is_neither_the_pin_nor_its_digest(
    storage: DeviceStorage, module: FakeModule
) -> None:
    with raises(WRONG_PIN):
        use(element_of(storage, module, pin="4321"))
    kept = storage.its.get(Uid.REFUSED_PINS)
    guesses = (b"4321", b"dev (serial 0001)\x004321", b"0001\x004321")
    assert b"4321" not in kept
    assert all(hashlib.sha256(guess).digest() not in kept for guess in guesses)


def test_the_last_try_is_left_to_a_person(storage: DeviceStorage, module: FakeModule) -> None:
    flags = READY | TokenFlag.USER_PIN_COUNT_LOW | TokenFlag.USER_PIN_FINAL_TRY
    module.tokens = [replace(module.tokens[0], flags=flags)]
    with raises(PIN_LAST_TRY):
        use(element_of(storage, module))
    assert module.calls["C_Login"] == 0


def test_a_locked_token_is_not_tried(storage: DeviceStorage, module: FakeModule) -> None:
    module.tokens = [replace(module.tokens[0], flags=READY | TokenFlag.USER_PIN_LOCKED)]
    with raises(PIN_LOCKED):
        use(element_of(storage, module))
    assert module.calls["C_Login"] == 0


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (ReturnValue.PIN_INCORRECT, WRONG_PIN),
        (ReturnValue.PIN_LEN_RANGE, WRONG_PIN),
        (ReturnValue.PIN_LOCKED, PIN_LOCKED),
        (ReturnValue.PIN_EXPIRED, TOKEN_NOT_READY),
        (ReturnValue.USER_PIN_NOT_INITIALIZED, TOKEN_NOT_READY),
        (ReturnValue.FUNCTION_FAILED, CRYPTOKI),
    ],
)
def test_each_refusal_of_a_login_has_its_error(
    storage: DeviceStorage, module: FakeModule, code: ReturnValue, expected: Row
) -> None:
    module.fail("C_Login", code)
    with raises(expected):
        use(element_of(storage, module))
    assert not module.sessions, "the session of a failed login is given back"


def test_a_missing_pin_is_said_before_the_login(storage: DeviceStorage, module: FakeModule) -> None:
    with raises(PIN_UNAVAILABLE):
        use(element_of(storage, module, pin=None))
    assert module.calls["C_Login"] == 0


def test_no_text_shows_the_pin(
    storage: DeviceStorage, module: FakeModule, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    module.pin = "right-secret"
    with raises(WRONG_PIN) as raised:
        use(element_of(storage, module, pin="wrong-secret"))
    module.fail("C_FindObjects", ReturnValue.SESSION_HANDLE_INVALID)
    element = element_of(storage, module, pin="right-secret")
    use(element)
    shown = f"{raised.value!r} {raised.value.next_step} {element!r} {vars(element)} {caplog.text}"
    assert "secret" not in shown


# --- loss and recovery --------------------------------------------------------------


@pytest.mark.parametrize("code", LOST)
def test_a_lost_session_is_replaced(
    storage: DeviceStorage, module: FakeModule, code: ReturnValue
) -> None:
    element = element_of(storage, module)
    use(element)
    module.fail("C_FindObjects", code)

    assert use(element) == []
    assert module.calls["C_OpenSession"] == module.calls["C_Login"] == 2


def test_a_session_that_was_logged_out_is_replaced(
    storage: DeviceStorage, module: FakeModule
) -> None:
    """Its private keys would not be refused, but unseen."""
    element = element_of(storage, module)
    use(element)
    module.is_user = False
    use(element)
    assert module.is_user


def test_a_finalised_module_is_initialised_again(
    storage: DeviceStorage, module: FakeModule
) -> None:
    element = element_of(storage, module)
    use(element)
    module.lose_sessions()
    module.is_initialized = False
    assert use(element) == []


def test_a_token_in_another_slot_is_found_again(storage: DeviceStorage, module: FakeModule) -> None:
    element = element_of(storage, module)
    use(element)
    module.lose_sessions()
    module.tokens = [replace(module.tokens[0], slot_id=99)]
    use(element)
    assert element.run(lambda session: session.token.slot_id) == 99


def test_an_element_that_stays_away_is_tried_later(
    storage: DeviceStorage, module: FakeModule
) -> None:
    element = element_of(storage, module)
    use(element)
    module.fail("C_FindObjects", ReturnValue.DEVICE_REMOVED, ReturnValue.DEVICE_REMOVED)
    with raises(ELEMENT_LOST, match="DEVICE_REMOVED"):
        use(element)
    assert use(element) == [], "it came back"


def test_a_token_that_was_pulled_is_missed_by_name(
    storage: DeviceStorage, module: FakeModule
) -> None:
    element = element_of(storage, module)
    use(element)
    module.lose_sessions()
    tokens, module.tokens = module.tokens, []
    with raises(TOKEN_MISSING):
        use(element)
    module.tokens = tokens
    assert use(element) == []


def test_a_closed_element_has_no_session_and_can_be_used_again(
    storage: DeviceStorage, module: FakeModule
) -> None:
    element = element_of(storage, module)
    use(element)
    element.close()
    assert not module.sessions
    assert use(element) == []


def test_another_failure_is_not_repeated(storage: DeviceStorage, module: FakeModule) -> None:
    element = element_of(storage, module)
    use(element)
    module.fail("C_FindObjects", ReturnValue.FUNCTION_FAILED)
    with pytest.raises(CryptokiError, match="C_FindObjects: CKR_FUNCTION_FAILED"):
        use(element)
    assert module.calls["C_OpenSession"] == 1


def test_nobody_logs_out(storage: DeviceStorage, module: FakeModule) -> None:
    element = element_of(storage, module)
    use(element)
    module.fail("C_FindObjects", ReturnValue.OBJECT_HANDLE_INVALID)
    use(element)
    assert not {"C_Logout", "C_Finalize"} & set(module.calls)


# --- profiles -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("maker", "profile"),
    [
        ("SoftHSM", SOFTHSM),
        ("tpm2-software.github.io", TPM),
        ("Microchip Technology Inc", CRYPTOAUTHLIB),
        ("Yubico (www.yubico.com)", YKCS11),
        ("PKCS#11 Kit", GENERIC),
        ("", GENERIC),
    ],
)
def test_a_module_is_known_by_its_maker(
    storage: DeviceStorage, module: FakeModule, maker: str, profile: object
) -> None:
    module.maker = maker
    assert element_of(storage, module).profile is profile is profile_of(maker)


def test_profiles_that_were_never_tried_say_so() -> None:
    assert not CRYPTOAUTHLIB.tried_on
    assert not YKCS11.tried_on
