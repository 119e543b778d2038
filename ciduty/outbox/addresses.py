"""What one plain mail address is, and how it goes over the wire. Looks nothing up and sends nothing."""

import re

#: RFC 5321, 4.5.3.1: an address that is longer fits into no command.
LONGEST = 254
LONGEST_LOCAL_PART = 64

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL_PART = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
#: Host names inside a house do hold underscores.
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


class NotAnAddress(ValueError):
    """It is not one plain address. `str()` says why, as the end of a sentence, without repeating it."""


def on_the_wire(address: object) -> str:
    """Return an address as SMTP takes it, its domain in ASCII. Raises NotAnAddress for all but one plain address."""
    if not isinstance(address, str) or not address:
        raise NotAnAddress("it is empty")
    if _CONTROL.search(address):
        raise NotAnAddress("it holds a line break or another control character")
    if any(letter.isspace() for letter in address):
        raise NotAnAddress("it holds white space")
    if "," in address or ";" in address:
        raise NotAnAddress("it holds a comma or a semicolon, and a mail goes to one address only")
    if "<" in address or ">" in address:
        raise NotAnAddress("it holds angle brackets; only the bare address is wanted")
    if address.count("@") != 1:
        raise NotAnAddress("it needs exactly one @")
    if len(address) > LONGEST:
        raise NotAnAddress(f"it is longer than {LONGEST} characters")
    local_part, _, domain = address.partition("@")
    wire = f"{_local_part(local_part)}@{_domain(domain)}"
    if len(wire) > LONGEST:
        raise NotAnAddress(f"it is longer than {LONGEST} characters")
    return wire


def _local_part(text: str) -> str:
    if not text:
        raise NotAnAddress("nothing stands before the @")
    if len(text) > LONGEST_LOCAL_PART:
        raise NotAnAddress(f"more than {LONGEST_LOCAL_PART} characters stand before the @")
    if not text.isascii():  # only servers with SMTPUTF8 take it, and the lists' servers do not all
        raise NotAnAddress("before the @ only ASCII letters can be used")
    if not _LOCAL_PART.fullmatch(text):
        raise NotAnAddress("it holds a character that no plain address holds")
    return text


def _domain(text: str) -> str:
    if not text:
        raise NotAnAddress("nothing stands after the @")
    if not text.isascii():
        text = _in_ascii(text)
    if not _DOMAIN.fullmatch(text):
        raise NotAnAddress("what stands after the @ is no host name")
    return text


def _in_ascii(domain: str) -> str:
    try:
        ascii_domain = domain.encode("idna")
        # Python's codec is of 2003 and turns some letters into others: "ß" into "ss" is another domain.
        if ascii_domain.decode("idna") == domain.lower():
            return ascii_domain.decode("ascii")
    except UnicodeError:
        pass
    raise NotAnAddress("what stands after the @ cannot be written in ASCII; write it as xn--...")
