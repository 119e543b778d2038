"""Every setting of ciduty, read from the environment: runs with nothing set, stops with one line on a wrong value.

Rules (24 hours, one working day) are not settings; addresses, names, keys and working hours are.
`.env.example` lists all.
"""

import os
import secrets
import tempfile
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from ciduty import environment
from ciduty.working_time import Calendar

BASE_DIR = Path(__file__).resolve().parent.parent

_env_file = Path(os.environ.get("CIDUTY_ENV_FILE", BASE_DIR / ".env"))  # tests name an empty one
if _env_file.is_file():
    environ.Env.read_env(_env_file)  # the process's own environment wins over the file

# Where the embedded database, the embedded broker and the generated key stand.
STATE_DIR = Path(environment.text("CIDUTY_STATE_DIR", str(BASE_DIR / "var")))


def _state_folder(name: str = "") -> Path:
    folder = STATE_DIR / name
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not os.access(folder, os.W_OK):
            raise PermissionError
    except OSError:
        environment.stop("CIDUTY_STATE_DIR", str(STATE_DIR), "a folder that this account may write to")
    return folder


def _generated_key() -> str:
    """Return this installation's own key, made at the first start and kept beside the embedded database."""
    path = _state_folder() / "secret_key"
    if not path.exists():
        handle, draft = tempfile.mkstemp(dir=path.parent)  # readable by this account only
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(60))
        try:
            os.link(draft, path)  # whole or not at all: several processes may start at once
        except FileExistsError:
            pass
        os.unlink(draft)
    return path.read_text().strip()


DEMO = environment.switch("CIDUTY_DEMO", False)
DEBUG = environment.switch("DEBUG", False)
PORT = environment.whole_number("PORT", 8000, 1, 65535)
SITE_URL = environment.address("SITE_URL", f"http://localhost:{PORT}")
SECRET_KEY = environment.text("SECRET_KEY") or _generated_key()
if len(SECRET_KEY) < 32:
    environment.stop("SECRET_KEY", "(not shown)", "at least 32 random characters")

_site = urlsplit(SITE_URL)
_https = _site.scheme == "https"
_local_hosts = () if _https else ("localhost", "127.0.0.1", "[::1]")
ALLOWED_HOSTS = [*environment.names("ALLOWED_HOSTS", (), ","), _site.hostname, *_local_hosts]
CSRF_TRUSTED_ORIGINS = [f"{_site.scheme}://{_site.netloc}"]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "csp",
    "rest_framework",
    "drf_spectacular",
    "ciduty",
    "ciduty.people",
    "ciduty.record",
    "ciduty.bugzilla",
    "ciduty.outbox",
    "ciduty.systems",
    "ciduty.trees",
    "ciduty.desk",
    "ciduty.demo",
    "loaners",
    "downtimes",
    "changelog",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "changelog.public.conditional.ConditionalMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "ciduty.access.AccessMiddleware",
]

ROOT_URLCONF = "ciduty.urls"
WSGI_APPLICATION = "ciduty.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": False,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "ciduty.desk.context.page_frame",
            ],
            "builtins": ["ciduty.templatetags.ciduty"],
            "loaders": [
                (
                    "django.template.loaders.cached.Loader",
                    ["django.template.loaders.filesystem.Loader"],
                )
            ],
        },
    }
]

REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}  # views say the rest themselves
# Choices stand where they are used, and say what they are: made-up names and a second list help nobody.
SPECTACULAR_SETTINGS = {"POSTPROCESSING_HOOKS": [], "ENUM_GENERATE_CHOICE_DESCRIPTION": False}

# --- data -----------------------------------------------------------------------------------------------------------

DATABASE_URL = environment.text("DATABASE_URL")


def _database() -> dict:
    if not DATABASE_URL:
        return _sqlite(_state_folder() / "ciduty.sqlite3")
    scheme = DATABASE_URL.partition(":")[0]
    if scheme not in {"postgres", "postgresql", "sqlite"}:
        environment.stop("DATABASE_URL", f"{scheme}:...", "postgres://user:password@host:port/name")
    try:
        database = environ.Env.db_url_config(DATABASE_URL)
    except (ValueError, ImproperlyConfigured):
        environment.stop("DATABASE_URL", f"{scheme}:...", "postgres://user:password@host:port/name")
    if scheme == "sqlite":
        return _sqlite(database["NAME"])
    database["CONN_MAX_AGE"] = 60
    # Compiling a query takes 50 ms and more, which no page's query is worth.
    database.setdefault("OPTIONS", {}).setdefault("options", "-c jit=off")
    database["CONN_HEALTH_CHECKS"] = True  # without it the first request after a database restart fails
    return database


def _sqlite(name) -> dict:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(name),
        "TEST": {"NAME": str(STATE_DIR / "test.sqlite3")},  # in memory, threads would share one connection's locks
        # Two writers flat out never met "database is locked" with these; with Django's defaults they did.
        # Deleted words are overwritten, not only unlinked.
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA secure_delete=ON;",
        },
    }


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- broker: a doorbell only; rows are the truth (DECISIONS.md) -------------------------------------------------------

REDIS_URL = environment.text("REDIS_URL")
if REDIS_URL and REDIS_URL.partition(":")[0] not in {"redis", "rediss", "unix"}:
    environment.stop("REDIS_URL", REDIS_URL.partition(":")[0] + ":...", "redis://host:port/number")

if REDIS_URL:
    CELERY_BROKER_URL = REDIS_URL
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "socket_timeout": 3,
        "socket_connect_timeout": 3,
        "visibility_timeout": 3600,
        "health_check_interval": 30,
        "unacked_restore_interval": 2,
        "unacked_restore_throttle": 1,
    }
else:
    _queue = _state_folder("broker")
    CELERY_BROKER_URL = "filesystem://"
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(_queue),
        "data_folder_out": str(_queue),
        "control_folder": str(_state_folder("broker-control")),
        "polling_interval": 0.2,
    }
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_TIMEOUT = 3
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = False  # rows retry, not messages: a poison task would restart without end
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_CREATE_MISSING_QUEUES = False
CELERY_TASK_DEFAULT_QUEUE = "sync"
CELERY_TASK_QUEUES = {"urgent": {}, "sync": {}, "mail": {}}
CELERY_TASK_PUBLISH_RETRY = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_MAX_TASKS_PER_CHILD = 200
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TIMEZONE = "UTC"

# --- people and sessions ---------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "people.Person"
LOGIN_URL = "sign_in"
LOGIN_REDIRECT_URL = "front_door"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
SESSION_COOKIE_AGE = int(timedelta(hours=12).total_seconds())
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _https
SESSION_COOKIE_NAME = "__Host-session" if _https else f"ciduty-session-{_site.port or 80}"
CSRF_COOKIE_NAME = "__Host-csrf" if _https else f"ciduty-csrf-{_site.port or 80}"
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "ciduty.desk.views.csrf_failed"

SECURE_SSL_REDIRECT = _https and environment.switch("SECURE_SSL_REDIRECT", True)
SECURE_REDIRECT_EXEMPT = [r"^(livez|readyz|healthz)$"]  # a probe inside the house speaks plain HTTP
SECURE_HSTS_SECONDS = int(timedelta(days=365).total_seconds()) if _https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _https
# Not "no-referrer": browsers then send "Origin: null" with every form, and the CSRF check refuses them all.
SECURE_REFERRER_POLICY = "same-origin"
# The proxy must set both headers itself: X-Forwarded-Proto, and X-Forwarded-For with the caller's address last.
BEHIND_PROXY = environment.switch("BEHIND_PROXY", False)
if BEHIND_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:"],  # Pico draws its select arrows and check marks from data: addresses
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
        "form-action": ["'self'"],
    }
}

# --- language, time, files --------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"  # stored and compared in UTC; pages show UTC and the desk's zone
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True  # served straight from the tree: no collectstatic step to forget
WHITENOISE_MAX_AGE = 60 if DEBUG else 3600

# --- Bugzilla -------------------------------------------------------------------------------------------------------

BUGZILLA_URL = environment.address("BUGZILLA_URL")
BUGZILLA_API_KEY = environment.text("BUGZILLA_API_KEY")
BUGZILLA_KEY_IN = environment.choice("BUGZILLA_KEY_IN", ("header", "query"))
BUGZILLA_LOGIN = environment.text("BUGZILLA_LOGIN")
# bugzilla.mozilla.org asks for a poll every five minutes at most; the demo polls its own sandbox.
BUGZILLA_POLL_SECONDS = environment.whole_number("BUGZILLA_POLL_SECONDS", 10 if DEMO else 300, 1, 86400)
CIDUTY_COMPONENTS = environment.components("CIDUTY_COMPONENTS", "Infrastructure & Operations::CIDuty")
CIDUTY_LOANER_COMPONENTS = environment.components(
    "CIDUTY_LOANER_COMPONENTS",
    "Infrastructure & Operations::CIDuty: Loan Requests;Release Engineering::Loan Requests",
)
CIDUTY_TREECLOSURE_FLAG = environment.text("CIDUTY_TREECLOSURE_FLAG", "needs-treeclosure")
CIDUTY_STAFF_GROUPS = frozenset(environment.names("CIDUTY_STAFF_GROUPS"))
CIDUTY_BUGZILLA_STAFF = frozenset(login.lower() for login in environment.names("CIDUTY_BUGZILLA_STAFF"))

# --- the desk -------------------------------------------------------------------------------------------------------

CIDUTY_TEAM = environment.text("CIDUTY_TEAM", "CiDuty")
CIDUTY_CHANNEL = environment.text("CIDUTY_CHANNEL", "#ci")
try:
    CIDUTY_CALENDAR = Calendar.parse(
        environment.text("CIDUTY_WORK_TZ", "Europe/Bucharest"),
        environment.text("CIDUTY_WORK_HOURS", "09:00-17:00"),
        environment.text("CIDUTY_HOLIDAYS", "RO"),
    )
except ValueError as error:
    raise SystemExit(f"ciduty cannot start: CIDUTY_WORK_TZ, CIDUTY_WORK_HOURS or CIDUTY_HOLIDAYS: {error}") from None

# No source says how long a loan lasts: two weeks, unless a team decides otherwise (DECISIONS.md).
CIDUTY_LOAN_DAYS = environment.whole_number("CIDUTY_LOAN_DAYS", 14, 1, 92)

# The two links of the notice's boilerplate "When can I push?" (seed 001); what they name has moved since.
CIDUTY_SELF_SERVE_URL = environment.address("CIDUTY_SELF_SERVE_URL", "https://build.mozilla.org/buildapi/self-serve")
CIDUTY_END_TO_END_URL = environment.address(
    "CIDUTY_END_TO_END_URL", "https://build.mozilla.org/buildapi/reports/endtoend"
)

# --- trees ----------------------------------------------------------------------------------------------------------

# The tree status service of either generation; with none, trees are what duty says by hand.
TREESTATUS_URL = environment.address("TREESTATUS_URL")
# Lando has no writing API: there, people follow a link and we look whether it was done (design.md, decision 8).
TREESTATUS_WRITES = environment.choice("TREESTATUS_WRITES", ("none", "patch"))
TREESTATUS_TOKEN = environment.secret("TREESTATUS_TOKEN")
environment.tree_status(TREESTATUS_URL, TREESTATUS_WRITES, TREESTATUS_TOKEN)

# --- the change log -------------------------------------------------------------------------------------------------

# Each source is asked this often; what nothing is new of costs one question.
CIDUTY_COLLECT_SECONDS = environment.whole_number("CIDUTY_COLLECT_SECONDS", 60 if DEMO else 300, 5, 86400)
# Where sources with an address of github.com are read, and the only place that the token is sent to.
GITHUB_API_URL = environment.address("GITHUB_API_URL", "https://api.github.com")
GITHUB_TOKEN = environment.secret("GITHUB_TOKEN")
# A source is an address that a lead types: without this none of them leads into a private network, or to a folder here.
CIDUTY_SOURCES_INSIDE = environment.switch("CIDUTY_SOURCES_INSIDE", False)

# --- mail (the outbox reads it) -------------------------------------------------------------------------------------

EMAIL_URL = environment.mail_url("EMAIL_URL")
MAIL_FROM = environment.sender("MAIL_FROM", f"ciduty@{_site.hostname if ':' not in _site.hostname else 'localhost'}")

# --- the log --------------------------------------------------------------------------------------------------------

LOG_LEVEL = environment.choice("LOG_LEVEL", ("INFO", "DEBUG", "WARNING", "ERROR"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "ciduty.logs.formatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.template": {"level": "INFO"},  # its debug lines print a page's whole context: a bug's words too
        "django.server": {"handlers": [], "propagate": False},
        "urllib3": {"level": "WARNING"},  # its debug lines print whole addresses, and a key may stand in one
        "bugzilla": {"level": "WARNING"},
        "celery": {"level": "WARNING" if LOG_LEVEL == "INFO" else LOG_LEVEL},
    },
}
