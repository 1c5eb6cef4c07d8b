"""Dollar signs in options and templates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slapgrid.recipe.quoting import WrongReference, quote, render, unquote

texts = st.text(alphabet="a${}: \n%", max_size=30)


@given(texts)
def test_what_is_quoted_means_the_same_again(text):
    """Unquoting undoes quoting, for any mixture of signs."""
    assert unquote(quote(text)) == text


@given(texts)
def test_nothing_that_is_quoted_is_ever_looked_up(text):
    """A template made of quoted text is that text."""

    def look_up(section, option):
        raise AssertionError((section, option))

    assert render(quote(text), look_up) == text


def test_a_reference_is_looked_up_once():
    """What is substituted is not searched for references again."""
    found = {("a", "b-c.d"): "${a:b-c.d} $$", ("", "e"): "!"}

    def look_up(section, option):
        return found[section, option]

    rendered = render("1 ${a:b-c.d} 2 $${a:b} 3 ${:e} 4 $HOME", look_up)
    assert rendered == "1 ${a:b-c.d} $$ 2 ${a:b} 3 ! 4 $HOME"


@pytest.mark.parametrize("wrong", ["${HOME}", "${a:b:c}", "${unfinished", "${a:}"])
def test_a_wrong_reference_is_named_with_its_line(wrong):
    """Whoever wrote the template is told where to look."""
    with pytest.raises(WrongReference, match=r"^line 2: "):
        render(f"first\nsecond {wrong}\n", lambda *_: "")
