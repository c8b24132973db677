"""Django's settings. Their values come from environment variables and from the file `.env`.

`.env.example` explains each variable, with its default and its unit. To add a setting:

1. Read it here with `env`, in the section to which it belongs: with its kind, its default, and the range in which a
   value makes sense. If its value has a notation of its own, the function that reads it belongs in `setting_values/`.
2. Name it in `.env.example`, with the same default and a sentence that explains it. A test compares the two.
3. If it is wrong only beside other settings, or only in production, check it in `checks/start.py`. A risk that
   production may take belongs in `checks/deploy.py`.
4. `llm` reads no settings. What the engine needs is handed to it by `process.engine_config`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from access.limit_rules import parse_rate
from orchestration_site.http.browsers import cors
from orchestration_site.http.proxies import read_networks
from orchestration_site.logs import logging_config
from orchestration_site.setting_values import Environment, checked_by, network
from orchestration_site.setting_values.addresses import (
    read_address,
    read_hosts,
    read_origins,
    read_redis_url,
    read_root_path,
)
from orchestration_site.setting_values.database_url import read_database_url
from orchestration_site.setting_values.env_file import load_env_file
from orchestration_site.setting_values.notations import (
    OPENAI_URL,
    check_routes,
    is_openai,
    read_patterns,
    read_prices,
    read_provider_choice,
    read_providers,
    read_routes,
    with_way_there,
)
from orchestration_site.setting_values.spelling import misspelt

BASE_DIR = Path(__file__).resolve().parent.parent
# The longest timeout: no call takes a day.
DAY = 86_400
# The longest time for which anything is kept or remembered.
YEAR = 365 * DAY

env = Environment()
# Tests do not read `.env`, because they must not use a developer's keys.
ENV_FILE = {} if env.str("ENVIRONMENT", "") == "test" else load_env_file(BASE_DIR / ".env", env.ENVIRON)

ENVIRONMENT = env.choice("ENVIRONMENT", "development", ["development", "production", "test"])
PRODUCTION = ENVIRONMENT == "production"
DEBUG = env.bool("DEBUG", ENVIRONMENT == "development")
# Production has no default for this and for ALLOWED_HOSTS, and does not start without them.
SECRET_KEY = env.str("SECRET_KEY", "" if PRODUCTION else "insecure-and-only-for-development-0123456789abcdefghij")
ALLOWED_HOSTS = env.list(
    "ALLOWED_HOSTS", default=[] if PRODUCTION else ["localhost", "127.0.0.1", "[::1]"], parse=read_hosts
)
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[], parse=read_origins)
# The path below which a proxy shows the service, like /llm. The proxy takes it away before it passes a request on.
ROOT_PATH = env.parsed("ROOT_PATH", read_root_path)
FORCE_SCRIPT_NAME = ROOT_PATH or None

# --- Django ---------------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    # This must come before staticfiles: both have a command `runserver`, and Django takes the first.
    "orchestration_site.apps.SiteConfig",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "corsheaders",
    "rest_framework",
    "adrf",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "access.apps.AccessConfig",
    "chat.apps.ChatConfig",
    "stats.apps.StatsConfig",
]

# The middleware of every answer except static files and uvicorn's own errors (for these see `http/request_id.py` and
# `http/protocol/slow_clients.py`). `DoorDispatcher` runs it on the event loop, so these classes must be async.
API_MIDDLEWARE = [
    "orchestration_site.http.browsers.security.Security",
    "orchestration_site.http.browsers.security.Cors",
]
MIDDLEWARE = [
    *API_MIDDLEWARE,
    # Only the admin needs these.
    "django.contrib.sessions.middleware.SessionMiddleware",
    "orchestration_site.http.browsers.security.HostCheck",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]

# W001 and W002 warn that Django's SecurityMiddleware and XFrameOptionsMiddleware are not used. `Security` in
# `http/browsers/security.py` does the work of both.
SILENCED_SYSTEM_CHECKS = [
    "security.W001",
    "security.W002",
    *env.list("SILENCED_CHECKS", default=[], item="an id like site.W012", pattern=r"\w+\.[CEWID]\d{3}"),
]

HTTPS = env.bool("HTTPS", PRODUCTION)
HSTS_SECONDS = int(env.duration("HSTS_SECONDS", 3600, at_most=10 * YEAR))
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
# Probes call the service by plain HTTP.
SECURE_REDIRECT_EXEMPT = [r"^health$", r"^health/ready$", r"^metrics$"]
# For how long a browser that has used HTTPS refuses plain HTTP. A browser can't be told to forget this, so the default
# is only an hour.
SECURE_HSTS_SECONDS = HSTS_SECONDS if HTTPS else 0

ROOT_URLCONF = "orchestration_site.urls"
ASGI_APPLICATION = "orchestration_site.asgi.application"
# This is only for the admin. The addresses of the API have no trailing slash and are matched exactly.
APPEND_SLASH = True

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASES: dict[str, dict[str, Any]] = {
    "default": env.parsed(
        "DATABASE_URL", lambda written: read_database_url(written, base=BASE_DIR), default="sqlite:///db.sqlite3"
    )
}
DATABASE_POOL = env.int("DATABASE_POOL", 10, at_least=1, at_most=1_000)
ON_SQLITE = DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3"
if ON_SQLITE:
    # Without IMMEDIATE, two transactions that both read before they write fail with "database is locked". WAL lets
    # others read while one writes.
    DATABASES["default"]["OPTIONS"] |= {
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA mmap_size=134217728;",
    }
    DATABASES["default"]["TEST"] = {"NAME": env.str("TEST_DATABASE", str(BASE_DIR / "test.sqlite3"))}
else:
    # A restart of the database server closes the connections in the pool, so each is checked before it is used.
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    # The pool is psycopg's. Django's own way to keep connections (CONN_MAX_AGE) binds each connection to a thread, and
    # under ASGI that thread ends after the request. While the database is away, the pool tries again every few seconds.
    # By default its pauses grow to minutes.
    DATABASES["default"]["OPTIONS"]["pool"] = {
        "min_size": 1,
        "max_size": DATABASE_POOL,
        "timeout": 5,
        "reconnect_timeout": 5,
    }

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- The API ---------------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "chat.doors.negotiation.Negotiation",
    "DEFAULT_PARSER_CLASSES": ["chat.doors.parsers.StrictJSONParser"],
    "DEFAULT_AUTHENTICATION_CLASSES": ["access.keys.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["access.keys.authentication.ApiKeyPermission"],
    "EXCEPTION_HANDLER": "chat.doors.exception_handler.handle",
    "DEFAULT_SCHEMA_CLASS": "orchestration_site.pages.schema.Description",
    "UNAUTHENTICATED_USER": None,
    "COERCE_DECIMAL_TO_STRING": False,
    "URL_FORMAT_OVERRIDE": None,
}
# The description of the API, which drf-spectacular writes.
SPECTACULAR_SETTINGS = {
    "TITLE": "LLM orchestration",
    "DESCRIPTION": (
        "One door in front of OpenAI models: races, fallbacks, streams, and every call on record.\n\n"
        "Azure's addresses (`/openai/deployments/{model}/chat/completions` and so on, `/openai/v1/…`) lead to the same "
        "operations as those under `/v1`."
    ),
    "VERSION": "0.1.0",
    "SERVERS": [{"url": ROOT_PATH}] if ROOT_PATH else [],
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "CallStatus": "chat.models.CallRecord.Status",
        "AttemptStatus": "chat.models.Attempt.Status",
        "Door": "chat.models.CallRecord.Door",
    },
}
MAX_BODY_BYTES = env.int("MAX_BODY_BYTES", 20 * 1024 * 1024, at_least=1, at_most=1024**3)
# Django's own limit, for requests that its parsers read.
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES
RECEIVE_TIMEOUT = env.duration("RECEIVE_TIMEOUT", 30.0, at_least=0.001, at_most=DAY)

# --- Who may call ----------------------------------------------------------------------------------------------------

API_KEYS_REQUIRED = env.bool("API_KEYS_REQUIRED", PRODUCTION)
# A text like 60/min, which access.limit_rules reads again.
RATE_LIMIT = env.parsed("RATE_LIMIT", checked_by(parse_rate))
TRUSTED_PROXIES = env.list("TRUSTED_PROXIES", default=[], parse=checked_by(read_networks))
CORS_ALLOWED_ORIGINS = env.list(
    "CORS_ALLOWED_ORIGINS", default=[], parse=lambda written: read_origins(written, or_else=("*", "null"))
)
if CORS_ALLOW_ALL_ORIGINS := "*" in CORS_ALLOWED_ORIGINS:
    CORS_ALLOWED_ORIGINS = []
CORS_URLS_REGEX = cors.URLS
CORS_ALLOW_METHODS = cors.METHODS
CORS_ALLOW_HEADERS = cors.REQUEST_HEADERS
CORS_EXPOSE_HEADERS = cors.RESPONSE_HEADERS
CORS_PREFLIGHT_MAX_AGE = cors.PREFLIGHT_SECONDS

# --- Models, the engine, and the process (durations are in seconds) ---------------------------------------------------

network.read_proxies(env.ENVIRON)
network.check_certificates(env.ENVIRON)
OPENAI_API_KEY = env.str("OPENAI_API_KEY", "")
# The key of an administrator, with which `manage.py reconcile` reads OpenAI's costs. Calls never use it.
OPENAI_ADMIN_KEY = env.str("OPENAI_ADMIN_KEY", "")
OPENAI_BASE_URL = env.parsed("OPENAI_BASE_URL", read_address, default=OPENAI_URL)
# Without a key, the bundled simulator answers in development, unless there is another server in OpenAI's place.
SIMULATED = not OPENAI_API_KEY and is_openai(OPENAI_BASE_URL) and ENVIRONMENT == "development"
PROVIDERS = with_way_there(read_providers(env, simulated=SIMULATED), env.ENVIRON)
ROUTES = read_routes(env.str("ROUTES", ""))
PRICES = read_prices(env.str("PRICES", ""))

DEFAULT_MODEL = env.str("DEFAULT_MODEL", "gpt-4o")
DEFAULT_TEMPERATURE = env.float("DEFAULT_TEMPERATURE", 0.7, at_least=0, at_most=2)
# `FALLBACK_MODELS=,` means no fallback. Our default must end with a model that OpenAI has not announced to remove. It
# will remove gpt-4o and gpt-4o-mini on 2027-01-14.
FALLBACK_MODELS = env.list("FALLBACK_MODELS", default=["gpt-4o-mini", "gpt-6-luna"], item="a model or a route")
check_routes(routes=ROUTES, default_model=DEFAULT_MODEL, fallback_models=FALLBACK_MODELS, providers=PROVIDERS)
DEFAULT_MESSAGE = env.str("DEFAULT_MESSAGE", "Sorry, no model could answer right now. Please try again in a moment.")

REQUEST_TIMEOUT = env.duration("REQUEST_TIMEOUT", 300.0, at_least=0.001, at_most=DAY)
# None (0 in the environment) means that an attempt may take what is left of the call's time.
ATTEMPT_TIMEOUT = env.duration("ATTEMPT_TIMEOUT", 0.0, at_most=DAY) or None
CONNECT_TIMEOUT = env.duration("CONNECT_TIMEOUT", 5.0, at_least=0.001, at_most=DAY)
FIRST_TOKEN_TIMEOUT = env.duration("FIRST_TOKEN_TIMEOUT", 120.0, at_least=0.001, at_most=DAY)
STREAM_IDLE_TIMEOUT = env.duration("STREAM_IDLE_TIMEOUT", 60.0, at_least=0.001, at_most=DAY)
# No model works on one answer for an hour.
READ_ON_SECONDS = env.duration("READ_ON_SECONDS", 60.0, at_most=3_600)
READ_ON_CALLS = env.int("READ_ON_CALLS", 100, at_least=0, at_most=100_000)
FETCH_AS_STREAMS = read_provider_choice("FETCH_AS_STREAMS", env.str("FETCH_AS_STREAMS", "false"), PROVIDERS)
MAX_RETRIES = env.int("MAX_RETRIES", 2, at_least=0, at_most=20)
HEDGE_AFTER = env.duration("HEDGE_AFTER", 0.0, at_most=DAY)
HEDGE_BUDGET = env.float("HEDGE_BUDGET", 0.1, at_least=0, at_most=1)
BREAKER_FAILURES = env.int("BREAKER_FAILURES", 5, at_least=1, at_most=1_000_000)
BREAKER_COOLDOWN = env.duration("BREAKER_COOLDOWN", 30.0, at_most=DAY)
WEB_CONCURRENCY = env.int("WEB_CONCURRENCY", 1, at_least=1, at_most=1_000)
SHUTDOWN_GRACE = env.duration("SHUTDOWN_GRACE", 25.0, at_most=DAY)

# --- Answers that are given again ------------------------------------------------------------------------------------

REDIS_URL = env.parsed("REDIS_URL", read_redis_url)
CACHE_TTL = env.duration("CACHE_TTL", 0.0, at_most=YEAR)
CACHE_MAX_BYTES = env.int("CACHE_MAX_BYTES", 64 * 1024 * 1024, at_least=0, at_most=1024**4)
STORED_COMPLETIONS = env.choice("STORED_COMPLETIONS", "asked", ["asked", "all"])

# --- History and logs ------------------------------------------------------------------------------------------------

SPOOL_DIR = env.folder("SPOOL_DIR", "spool", base=BASE_DIR)
STORE_CONTENT = env.bool("STORE_CONTENT", True)
REDACT_PATTERNS = read_patterns(env.str("REDACT_PATTERNS", ""))
LOG_LEVEL = env.choice("LOG_LEVEL", "INFO", ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"])
LOG_DIR = env.folder("LOG_DIR", "logs", base=BASE_DIR)
LOG_RETENTION_DAYS = env.days("LOG_RETENTION_DAYS", 30, at_most=36_500)
OTEL_EXPORTER_OTLP_ENDPOINT = env.parsed("OTEL_EXPORTER_OTLP_ENDPOINT", read_address)
LOGGING = logging_config(level=LOG_LEVEL, log_dir=LOG_DIR, retention_days=LOG_RETENTION_DAYS)

# What `.env` sets that is nearly the name of a setting, and the name that was probably meant. W004 tells of it.
MISSPELT = misspelt(ENV_FILE, {*env.asked, *network.VARIABLES})
