from typing import get_args

import pytest

from services.gateway.errors import ErrorCode, understood


@pytest.mark.covers("T-55")
@pytest.mark.parametrize("code", get_args(ErrorCode))
def test_every_code_is_understood_in_any_letters(code: str) -> None:
    assert {understood(code), understood(code.upper()), understood(f" {code.lower()} ")} == {code}


@pytest.mark.covers("T-55", "Q-33")
@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("FormatViolation", "FormationViolation"),
        ("OccurrenceConstraintViolation", "OccurenceConstraintViolation"),
        ("Not Implemented", "NotImplemented"),
        ("RpcFrameworkError", "FormationViolation"),
        ("MessageTypeNotSupported", "NotSupported"),
        ("TooHot", "TooHot"),
        ("", ""),
    ],
)
def test_other_spellings_are_understood_and_other_words_are_kept(said: str, meant: str) -> None:
    assert understood(said) == meant
