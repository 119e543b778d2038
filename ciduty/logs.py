"""How a log line looks: a constant sentence plus fields, never a key.

Which lines are written is each module's matter.
"""

import re

import structlog
from django.conf import settings

#: The link in a mail to one person: Django logs the path of every page that it refuses.
_TOKEN = re.compile(r"(sign-off(?:/|%2F))[^/\s\"'?&%]+", re.IGNORECASE)

_SHARED = [
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def _without_keys(logger, method_name, event_dict):
    """Blank every secret of the settings, and the token of a sign-off page, wherever it stands in a line."""
    secrets = [settings.BUGZILLA_API_KEY, settings.SECRET_KEY]
    for field, value in event_dict.items():
        if isinstance(value, str):
            for secret in filter(None, secrets):
                if secret in value:
                    event_dict[field] = value = value.replace(secret, "(key)")
            event_dict[field] = without_tokens(value)
    return event_dict


def without_tokens(text: str) -> str:
    """Return a text with the token of each sign-off page taken out of its address (safety.md C4)."""
    return _TOKEN.sub(r"\1(token)", text)


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
