"""A mail is composed once, the same bytes for the same words; what could harm others on its way is never composed."""

import email
import re
from datetime import UTC, datetime, timedelta, timezone
from email.header import decode_header, make_header
from email.policy import default
from email.utils import parseaddr

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ciduty import environment
from ciduty.outbox import addresses, composing
from ciduty.outbox.composing import Unsendable, compose, return_path, row_of_return_path, shown, wrapped

AT = datetime(2026, 3, 3, 9, tzinfo=UTC)
MESSAGE_ID = "<0123456789abcdef@example.com>"


def composed(**changes):
    words = {"to": "list@example.com", "subject": "Trees closed", "text": "Hello.", "in_reply_to": "", "at": AT}
    return compose(**words | {"message_id": MESSAGE_ID} | changes)


def read(**changes):
    return email.message_from_bytes(composed(**changes).message, policy=default)


def refused(**changes):
    """Return the one line that says why this cannot be sent."""
    with pytest.raises(Unsendable) as problem:
        composed(**changes)
    line = str(problem.value)
    assert line.isprintable()
    assert len(line) < 400
    return line


# --- what is composed -------------------------------------------------------------------------------------------------


def test_the_headers_are_these_and_each_stands_there_once(settings):
    settings.MAIL_FROM, settings.CIDUTY_TEAM = "ciduty@example.com", "CiDuty"
    mail = read()
    assert mail.items() == [
        ("From", "CiDuty <ciduty@example.com>"),
        ("To", "list@example.com"),
        ("Subject", "Trees closed"),
        ("Date", "Tue, 03 Mar 2026 09:00:00 +0000"),
        ("Message-ID", MESSAGE_ID),
        ("Auto-Submitted", "auto-generated"),
        ("MIME-Version", "1.0"),
        ("Content-Type", 'text/plain; charset="utf-8"'),
        ("Content-Transfer-Encoding", "7bit"),
    ]


def test_the_same_words_give_the_same_bytes():
    assert composed() == composed()
    assert composed() != composed(message_id="<other@example.com>")


def test_the_date_is_written_in_utc_whatever_zone_the_moment_is_in():
    in_bucharest = AT.astimezone(timezone(timedelta(hours=2)))
    assert composed(at=in_bucharest) == composed()


def test_an_answer_joins_what_it_answers_even_with_a_long_message_id():
    long = f"<{'a' * 150}@example.com>"
    mail = email.message_from_bytes(composed(in_reply_to=long).message)
    assert (mail["In-Reply-To"], mail["References"]) == (long, long)  # as they stand there, nothing decoded


def test_a_mail_of_ascii_goes_as_it_is_and_any_other_as_quoted_printable():
    plain, other = composed(text="Trees are closed."), composed(text="Bäume sind zu …")
    assert b"\r\n\r\nTrees are closed.\r\n" in plain.message
    assert b"Content-Transfer-Encoding: quoted-printable\r\n" in other.message
    assert other.message.isascii()
    assert read(text="Bäume sind zu …").get_content() == "Bäume sind zu …\r\n"


def test_no_line_is_longer_than_mail_may_have_whatever_the_words():
    for text in ("https://example.com/" + "a" * 3000, "ä" * 3000, "word " * 3000):
        lines = composed(text=text, subject="ö" * 200).message.split(b"\r\n")
        assert max(map(len, lines)) < 998
        assert not any(b"\r" in line or b"\n" in line for line in lines)


def test_a_team_may_have_any_name(settings):
    for name in ('Team "One", Two', "Îngrijitorii de noapte și zi, cu un nume foarte, foarte lung", "a\r\nBcc: x@y"):
        settings.CIDUTY_TEAM = name
        phrase, address = parseaddr(email.message_from_bytes(composed().message)["From"])
        assert address == settings.MAIL_FROM
        assert str(make_header(decode_header(phrase))) == " ".join(name.split())


def test_a_domain_in_other_letters_is_written_as_it_goes_over_the_wire():
    assert read(to="list@bücher.example")["To"] == "list@xn--bcher-kva.example"


def test_blanks_and_direction_marks_in_a_subject_are_cleaned():
    assert composed(subject="  Trees \t closed  ").subject == "Trees closed"
    assert composed(subject="Trees \u202edesolc").subject == "Trees [U+202E]desolc"


@pytest.mark.parametrize("subject", ["=?utf-8?q?x?=", "Re: =?", "a " * 90 + "b", "ä" * 200, "🦀 " * 60])
def test_an_unusual_subject_arrives_as_it_was_written(subject):
    assert read(subject=subject)["Subject"] == subject.strip()


def test_two_mails_never_have_one_message_id(settings):
    settings.MAIL_FROM = "ciduty@example.com"
    first, second = composing.new_message_id(), composing.new_message_id()
    assert first != second
    assert re.fullmatch(r"<[0-9a-f]{32}@example\.com>", first)
    assert len(composed(message_id=first).message) > 0


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hostile", ["\r\nBcc: x@example.com", "\n", "\r", "\0", "\x1b[31m", "\x85", "\x7f"])
@pytest.mark.parametrize("name", ["to", "subject", "in_reply_to"])
def test_a_control_character_in_a_header_is_refused(name, hostile):
    value = {"to": "list@example.com", "subject": "Trees", "in_reply_to": MESSAGE_ID}[name]
    for spoiled in (value + hostile, hostile + value, value[:3] + hostile + value[3:]):
        assert re.search("control character|line break|a NUL", refused(**{name: spoiled}))


@pytest.mark.parametrize("name", ["to", "subject", "text", "in_reply_to"])
def test_half_a_character_is_refused_wherever_it_stands(name):
    assert refused(**{name: "a\ud800b"})


def test_a_nul_in_the_text_is_refused():
    assert "a NUL" in refused(text="a\0b")


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("", "empty"),
        (None, "empty"),
        ("list@example.com,other@example.com", "comma"),
        ("list@example.com;other@example.com", "semicolon"),
        ("list @example.com", "white space"),
        ("list\u00a0@example.com", "white space"),
        ("list", "exactly one @"),
        ("list@other@example.com", "exactly one @"),
        ("list@", "after the @"),
        ("@example.com", "before the @"),
        ("List <list@example.com>", "white space"),
        ("<list@example.com>", "angle brackets"),
        ("list@example..com", "no host name"),
        ("list@-example.com", "no host name"),
        ("list@[127.0.0.1]", "no host name"),
        ('"list"@example.com', "character"),
        ("list.@example.com", "character"),
        ("a" * 65 + "@example.com", "64 characters"),
        ("list@" + "a." * 130 + "com", "254 characters"),
        ("liste\u00e9@example.com", "ASCII letters"),
        ("list@stra\u00dfe.example", "xn--"),
        ("list@example\uff0ecom", "xn--"),
        ("list\u202e@example.com", "ASCII letters"),
    ],
)
def test_what_is_not_one_plain_address_is_refused_with_its_reason(address, why):
    assert why in refused(to=address)


@pytest.mark.parametrize("address", ["a" * 64 + "@example.com", "o'neil+x@a-b.example", "list@localhost"])
def test_an_unusual_address_is_an_address(address):
    assert read(to=address)["To"] == address


def test_an_address_of_254_characters_is_taken_and_one_more_is_refused():
    longest = "list@a" + ".b" * 120 + ".example"
    assert len(longest) == 254
    assert addresses.on_the_wire(longest) == longest
    assert "254 characters" in refused(to=longest.replace("list", "lists"))


def test_a_subject_of_200_characters_is_taken_and_one_more_is_parked_not_cut():
    assert composed(subject="x" * 200).subject == "x" * 200
    assert "201 characters" in refused(subject="x" * 201)
    assert "3,000 characters" in refused(subject="x" * 3000)


@pytest.mark.parametrize("nothing", ["", "  ", "\t", "\u2028", None])
def test_a_mail_without_subject_or_text_is_refused(nothing):
    assert refused(subject=nothing)
    assert refused(text=nothing)


@pytest.mark.parametrize("answered", ["mail", "<a b>", "<>", "<a>\x00", f"<{'a' * 199}>", "<ä@example.com>"])
def test_what_is_no_message_id_cannot_be_answered(answered):
    assert "Message-ID that is answered" in refused(in_reply_to=answered)


def test_a_mail_that_would_read_back_differently_is_not_sent(monkeypatch):
    monkeypatch.setattr(composing, "_words", lambda text, header: f"{text}\r\nBcc: x@example.com")
    assert "does not read back" in refused()
    monkeypatch.setattr(composing, "_words", lambda text, header: f"{text}?")
    assert "does not read back" in refused()


def test_a_refusal_never_repeats_what_is_hostile():
    assert "\u202e" not in refused(to="a,\u202eb@example.com")
    assert "\ufffd" in refused(to="a\0b@example.com")


# --- any words at all -------------------------------------------------------------------------------------------------

any_words = hypothesis_settings(deadline=None, derandomize=True)
ANYTHING = st.text(st.characters(), max_size=250)  # lone surrogates and NUL too
HARMLESS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=60)


@any_words
@given(subject=ANYTHING, text=ANYTHING)
@example(subject="=?utf-8?q?x?=", text="=?utf-8?q?x?=")
@example(subject="a" * 90 + " " + "b" * 90, text=".")
@example(subject="\u00e4 =?x " * 20, text="From here\n.\n..\n-- \nCiDuty")
@example(subject="\U0001f980" * 100, text="\U0001f980" * 100)
def test_any_words_are_refused_or_read_back_as_they_were(subject, text):
    try:
        result = composed(subject=subject, text=text)
    except Unsendable:
        return
    mail = email.message_from_bytes(result.message)
    assert mail.keys() == ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", *mail.keys()[6:]]
    assert len(mail.keys()) == 9
    # Not by the reader that composing.py itself checks with: the older one reads as many mail programs do.
    unfolded = "".join(mail["Subject"].splitlines())
    assert str(make_header(decode_header(unfolded))) == result.subject
    assert result.message.count(b"\n") == result.message.count(b"\r") == result.message.count(b"\r\n")


@any_words
@given(subject=HARMLESS, text=HARMLESS)
def test_harmless_words_are_never_refused(subject, text):
    subject, text = "A " + subject[:20], "A " + text
    body = email.message_from_bytes(composed(subject=subject, text=text).message, policy=default).get_content()
    assert body.startswith("A")


@any_words
@given(st.one_of(ANYTHING, st.integers(), st.none(), st.binary()), st.sampled_from([20, 200, 320]))
def test_anything_can_be_shown(anything, most):
    line = shown(anything, most)
    assert len(line) <= most
    assert not re.search("[\x00-\x1f\ud800-\udfff]", line)


# --- breaking lines ---------------------------------------------------------------------------------------------------


def test_a_paragraph_is_broken_at_white_space_and_short_lines_are_not_joined():
    assert (
        wrapped("one\ntwo\n\n" + "word " * 20 + "end") == "one\ntwo\n\n" + "word " * 13 + "word\n" + "word " * 6 + "end"
    )


def test_a_line_of_72_columns_stays_and_one_of_73_is_broken():
    line = "x" * 70 + " "
    assert wrapped(line + "y") == line + "y"
    assert wrapped(line + "yy") == line.rstrip() + "\nyy"


def test_a_long_address_is_never_broken():
    address = "https://example.com/" + "a-b/" * 30
    assert wrapped(f"See {address} for more") == f"See\n{address}\nfor more"
    assert wrapped(address) == address


@pytest.mark.parametrize(
    ("begins", "hanging"),
    [("> ", "> "), ("> > ", "> > "), (">", ">"), ("  ", "  "), ("- ", "  "), ("* ", "  "), ("12. ", "    ")]
    + [("  - ", "    "), ("\t", "\t")],
)
def test_quotes_lists_and_indented_lines_keep_their_shape(begins, hanging):
    first, *others = wrapped(begins + "word " * 40 + "end").split("\n")
    assert first.startswith(begins + "word")
    assert len(others) >= 2
    assert all(line.startswith(hanging + "word") or line == hanging + "end" for line in others)
    assert all(len(line) <= 72 for line in others)


def test_the_signature_keeps_its_blank():
    assert composed(text="Hello.  \n-- \nCiDuty\n\n").message.endswith(b"\r\n\r\nHello.\r\n-- \r\nCiDuty\r\n")
    assert read(text="Hällo.\n-- \nCiDuty").get_content() == "Hällo.\r\n-- \r\nCiDuty\r\n"


@any_words
@given(st.text(st.sampled_from("ab >-*1.\t\n"), max_size=400))
def test_breaking_lines_loses_no_letter_and_breaks_what_can_be_broken(text):
    def letters(anything):
        return re.sub(r"[^ab]", "", anything)

    result = wrapped(text)
    assert letters(result) == letters(text)
    assert result.count("\n") >= text.count("\n")


# --- the return path --------------------------------------------------------------------------------------------------


def test_a_return_path_leads_back_to_its_mail_whatever_case_and_brackets(settings):
    settings.MAIL_FROM = "CiDuty@Example.com"
    address = return_path(1234)
    assert re.fullmatch(r"CiDuty\+b-1234-[0-9a-f]{16}@Example\.com", address)
    for spelling in (address, address.upper(), address.lower(), f"<{address}>", f" {address} "):
        assert row_of_return_path(spelling) == 1234


def test_a_forged_return_path_leads_nowhere():
    address = return_path(1234)
    forged = address.replace("-1234-", "-1235-")
    last_digit = address.index("@") - 1
    off_by_one = address[:last_digit] + ("0" if address[last_digit] != "0" else "1") + address[last_digit + 1 :]
    for other in (forged, off_by_one, "ciduty@localhost", "", None, 5, "+b-1-", address.replace("1234", "01234")):
        assert row_of_return_path(other) is None
    assert row_of_return_path(f"ciduty+b-{10**25}-0123456789abcdef@localhost") is None


def test_a_return_path_of_an_older_key_leads_back_while_that_key_is_named(settings):
    address = return_path(7)
    old, settings.SECRET_KEY = settings.SECRET_KEY, "another key, as long as it has to be"
    assert return_path(7) != address
    assert row_of_return_path(address) is None
    settings.SECRET_KEY_FALLBACKS = [old]
    assert row_of_return_path(address) == 7


def test_the_longest_sender_still_makes_a_return_path_that_fits(settings):
    settings.MAIL_FROM = "a" * environment.LONGEST_SENDER + "@" + "b." * 74 + "de"
    address = return_path(10**13)  # more mails than will ever be
    assert address.index("@") <= addresses.LONGEST_LOCAL_PART
    assert addresses.on_the_wire(address) == address
    assert len(composing.new_message_id()) <= 200
