"""How worker pools and platforms are named in texts. Pure; linear in the text's length. What is told as data: not here.

A pool is `gecko-t/win11-64-2009` today, was `gecko-t-win10-64-cu` before, and people write `t-linux-2404-wayland`.
"""

import re
from collections.abc import Iterable

from changelog.rules import Platform

#: More pools than this in one text are a list of something else.
MOST = 200

_NAME_ENDS = r"(?![\w/*{}%]|\.\w|-[*{%])"
# Compiled with the first text, 60 ms: most programs of ciduty start, do one thing and end.
_POOL = (
    r"(?<![\w/.%@-])(?>"
    # gecko-t/win11-64-2009, comm-3/decision-gcp, nss-1/b-win2022-alpha
    r"[a-z][a-z0-9]{1,20}(?:-[a-z0-9]{1,20}){0,4}-[t1-5]/[a-z][a-z0-9]{0,30}(?:-[a-z0-9]{1,30}){0,8}"
    # releng-hardware/gecko-t-osx-1400-r8, scriptworker-k8s/gecko-3-signing
    r"|(?:releng-hardware|scriptworker-k8s|scriptworker-prov-v1|proj-autophone|terraform-packet|aws-provisioner-v1|gce)"
    r"/[a-z][a-z0-9]{0,30}(?:-[a-z0-9]{1,30}){1,8}"
    # gecko-t-win10-64-cu, gecko-1-b-win2012-beta
    r"|(?:gecko|comm|nss|mobile|mozilla|mozillavpn|applicationservices|glean|taskgraph)-[1-3t](?:-[a-z0-9]{1,30}){1,8}"
    # t-linux-2404-wayland, b-linux-xlarge-gcp, b-win2022
    r"|[tb]-(?:linux|win|windows|osx|macos|mac|yosemite|mojave|bitbar|lambda|ap|w)[a-z0-9]{0,12}(?:-[a-z0-9]{1,30}){0,8}"
    # win11-64-2009, win10-64-2004-gpu
    r"|win(?:7|10|11)-(?:a?(?:32|64)|aarch64)(?:-[a-z0-9]{1,30}){1,6}"
    rf"){_NAME_ENDS}"
)
# These are never pools: repositories, trees and tasks that look like one.
_NO_POOL = re.compile(r"[tb]-(?:win|mac|ap|w|linux)$|.*-(?:yml|yaml|json|py|pull|issues)$", re.IGNORECASE)
# Without one of these letters no pool stands in a text: a look for them is a tenth of the search.
_HINTS = (
    "-t/ -1/ -2/ -3/ -4/ -5/ -t- -1- -2- -3- t-linux b-linux t-win b-win t-osx b-osx t-mac b-mac t-w1 t-w8 t-yosemite "
    "t-mojave t-bitbar t-lambda t-ap- win7- win10- win11- hardware/ k8s/ prov-v1/ autophone/ packet/ oner-v1/ gce/"
).split()

# "deploy: gecko-t-win7-32-cu gecko-t-win10-64-cu", on a line of its own; the oldest histories have it after two blanks.
_DEPLOY = re.compile(r"(?:^|\n|[ \t]{2})deploy:([ \t,]{1,4}[^\n]{1,4000})", re.IGNORECASE)
_DEPLOYED = re.compile(r"[a-z][a-z0-9]{0,40}(?:[-/][a-z0-9]{1,40}){1,10}", re.IGNORECASE)


def named(text: str) -> tuple[str, ...]:
    """Return the worker pools that a text names in words, in its order; `taskcluster/requirements.txt` is none."""
    folded = text.lower()
    if not any(hint in folded for hint in _HINTS):
        return ()
    found: dict[str, None] = {}
    for pool in re.finditer(_POOL, text, re.IGNORECASE):
        if not _NO_POOL.match(pool[0]):
            found[pool[0]] = None
            if len(found) == MOST:
                break
    return tuple(found)


def deployed(text: str) -> tuple[str, ...]:
    """Return the pools of `deploy:` lines, by which OpenCloudConfig says where a change goes."""
    if "deploy:" not in text.lower():
        return ()
    found: dict[str, None] = {}
    for line in _DEPLOY.finditer(text):
        for name in line[1].replace(",", " ").split():
            if not _DEPLOYED.fullmatch(name):
                break
            found[name] = None
    return tuple(found)[:MOST]


# --- platforms -------------------------------------------------------------------------------------------------------

_OF_NAMES = {
    Platform.LINUX: re.compile(r"(?:^|[-_/ ])(?:linux|ubuntu|debian|centos|docker)", re.IGNORECASE),
    Platform.WINDOWS: re.compile(
        r"(?:^|[-_/ ])(?:win(?:dows)?(?:[0-9-]|$)|w(?:7|10|11|864|1064|732)\w?)", re.IGNORECASE
    ),
    Platform.MACOS: re.compile(
        r"(?:^|[-_/ ])(?:osx|macos|mac(?:mini|v?[0-9])?(?:[-_]|$)|yosemite|mojave|catalina)", re.I
    ),
    Platform.ANDROID: re.compile(
        r"(?:^|[-_/ ])(?:android|bitbar|lambda|pixel|ap-|(?:perf|unit|batt|test)-(?:a5[15]|g5|p[256]|s7|s21|s24)\b)",
        re.I,
    ),
}
_WORD = re.compile(
    r"(?<![\w/.-])(?:(?P<linux>linux(?:32|64)?|ubuntu|wayland)"
    r"|(?P<windows>windows|win(?:32|64|7|8|10|11|20(?:08|12|16|19|22)))"
    r"|(?P<macos>mac ?os(?: ?x)?|os ?x|macosx(?:64)?|mac[ -]?minis?|macs?)"
    r"|(?P<android>android|geckoview|fenix|bitbar))(?![\w/])",
    re.IGNORECASE,
)


def platforms_of(names: Iterable[str]) -> tuple[Platform, ...]:
    """Return the platforms that names of pools or machine classes tell of: `gecko-t/win10-64` is Windows."""
    together = "\n".join(f" {name}" for name in names)
    return tuple(platform for platform, said in _OF_NAMES.items() if together and said.search(together))


def platforms_in_words(line: str) -> tuple[Platform, ...]:
    """Return the platforms that the words of one line name; of files' and branches' names nothing is made."""
    return tuple(dict.fromkeys(Platform(word.lastgroup) for word in _WORD.finditer(line)))
