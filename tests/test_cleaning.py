"""Hostile text is cleaned on the way in and never stops a cycle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciduty.bugzilla.cleaning import clean_line, clean_text

HOSTILE = st.text(st.characters(codec=None, exclude_categories=()), max_size=300)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("plain", "plain"),
        ("tab\tand\nnewline", "tab\tand\nnewline"),
        ("windows\r\nold mac\rline\u2028paragraph\u2029", "windows\nold mac\nline\nparagraph\n"),
        ("nul\x00 bell\x07 escape\x1b", "nul\ufffd bell\ufffd escape\ufffd"),
        ("lone \ud83e surrogate", "lone \ufffd surrogate"),
        ("no character \ufffe \U0001ffff", "no character \ufffd \ufffd"),
        ("turned \u202etxt.exe", "turned [U+202E]txt.exe"),
        ("o\u0308", "\xf6"),
        ("\u518d\u73fe\u30c6\u30b9\u30c8 \U0001f98a", "\u518d\u73fe\u30c6\u30b9\u30c8 \U0001f98a"),
    ],
)
def test_what_cannot_be_stored_is_replaced_and_the_rest_kept(text, clean):
    assert clean_text(text, 100) == clean


def test_a_200_kb_line_is_cut_and_says_so():
    cut = clean_line("x" * 200_000, 1000)
    assert len(cut) == 1000
    assert cut.endswith("[cut]")


def test_a_text_of_exactly_the_limit_is_not_cut():
    assert clean_text("x" * 50, 50) == "x" * 50


def test_a_line_has_no_line_ends():
    assert clean_line(" a\r\n b\u2028c\t\td ", 100) == "a b c d"


@given(HOSTILE)
def test_anything_can_be_encoded_and_holds_no_controls(text):
    cleaned = clean_text(text, 2000)
    cleaned.encode("utf-8")
    assert not any((ord(char) < 32 and char not in "\t\n") or 0x7F <= ord(char) < 0xA0 for char in cleaned)


@given(HOSTILE)
def test_cleaning_twice_changes_nothing(text):
    once = clean_text(text, 2000)
    assert clean_text(once, 2000) == once
