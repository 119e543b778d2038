"""How a log line looks: a constant sentence plus fields, never a key.

Which lines are written is each module's matter.
"""

import re

import structlog
from django.conf import settings

#: The link in a mail to one person: Django logs the path of every page that it refuses.
_TOKEN = re.compile(r"((?:sign-off|digests(?:/|%2F)(?:confirm|leave))(?:/|%2F))[^/\s\"'?&%<>]+", re.IGNORECASE)
#: The key of a program, wherever somebody pasted it; whole or cut.
_KEY = re.compile(r"cdy_[A-Za-z0-9_-]{8,}")

_SHARED = [
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def _without_keys(logger, method_name, event_dict):
    """Blank every secret of the settings, the token of a mail's link and a program's key, wherever it stands."""
    secrets = [settings.BUGZILLA_API_KEY, settings.SECRET_KEY]
    for field, value in event_dict.items():
        if isinstance(value, str):
            for secret in filter(None, secrets):
                if secret in value:
                    event_dict[field] = value = value.replace(secret, "(key)")
            event_dict[field] = without_tokens(value)
    return event_dict


def without_tokens(text: str) -> str:
    """Return a text with the token of each mail's link taken out, and each program's key (safety.md C4, C5)."""
    return _KEY.sub("cdy_(key)", _TOKEN.sub(r"\1(token)", text))


def formatter():
    """Return the formatter for both structlog's lines and those of the libraries."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _without_keys,
            structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0, pad_level=False),
        ],
    )


structlog.configure(
    processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)
