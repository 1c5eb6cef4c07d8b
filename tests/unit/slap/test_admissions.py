"""What a token says."""

from __future__ import annotations

import pytest

from slap.admissions import TOKEN_LENGTH_MAX, Token, read_token, render_token
from slap.errors import Forbidden

SECRET, DIGEST = "a1" * 32, "b2" * 32


@pytest.mark.parametrize(
    ("text", "token"),
    [
        (f"{SECRET}-{DIGEST}", Token(SECRET, DIGEST)),
        (SECRET, Token(SECRET)),
        ("whatever", Token("whatever")),
        (f"{SECRET}-{DIGEST.upper()}", Token(f"{SECRET}-{DIGEST.upper()}")),
        (f"{SECRET}-{DIGEST}\n", Token(f"{SECRET}-{DIGEST}\n")),
    ],
)
def test_a_token_says_a_secret_and_which_root(text: str, token: Token) -> None:
    assert read_token(text) == token
    assert render_token(token) == text


@pytest.mark.parametrize("text", ["", "x" * (TOKEN_LENGTH_MAX + 1)])
def test_what_cannot_be_a_token_is_refused(text: str) -> None:
    with pytest.raises(Forbidden, match="needs a token"):
        read_token(text)


def test_no_text_shows_a_secret_by_chance() -> None:
    assert SECRET not in repr(Token(SECRET, DIGEST))
