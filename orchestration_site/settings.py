"""Django's settings. Their values come from environment variables and from the file `.env`.

`.env.example` explains each variable, with its default and its unit. To add a setting:

1. Read it here with `env`, in the section to which it belongs. If its value has a notation of its own, the function
   that reads it belongs in `setting_values.py`.
2. Name it in `.env.example`, with the same default and a sentence that explains it. A test compares the two.
3. If a value of it can be wrong, check it in `checks/start.py`. What matters only in production belongs in
   `checks/deploy.py`.
4. `llm` reads no settings. What the engine needs is handed to it by `process.engine_config`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestration_site.environment import Environment
from orchestration_site.http.browsers import cors
from orchestration_site.logs import logging_config
from orchestration_site.setting_values import (
    read_patterns,
    read_prices,
    read_provider_choice,
    read_providers,
    read_routes,
)

BASE_DIR = Path(__file__).resolve().parent.parent

env = Environment()
# Tests do not read `.env`, because they must not use a developer's keys.
if env.str("ENVIRONMENT", "") != "test":
    env.read_env(BASE_DIR / ".env")

# development, production or test.
ENVIRONMENT = env.str("ENVIRONMENT", "development")
PRODUCTION = ENVIRONMENT == "production"
DEBUG = env.bool("DEBUG", ENVIRONMENT == "development")
# Production has no default for this and for ALLOWED_HOSTS, and does not start without them.
SECRET_KEY = env.str("SECRET_KEY", "" if PRODUCTION else "insecure-and-only-for-development-0123456789abcdefghij")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[] if PRODUCTION else ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

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
SILENCED_SYSTEM_CHECKS = ["security.W001", "security.W002", *env.list("SILENCED_CHECKS", default=[])]

HTTPS = env.bool("HTTPS", PRODUCTION)
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
# Probes call the service by plain HTTP.
SECURE_REDIRECT_EXEMPT = [r"^health$", r"^health/ready$", r"^metrics$"]
# For how long a browser that has used HTTPS refuses plain HTTP. A browser can't be told to forget this, so the default
# is only an hour.
SECURE_HSTS_SECONDS = env.int("HSTS_SECONDS", 3600) if HTTPS else 0

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

DATABASES: dict[str, dict[str, Any]] = {"default": env.db_url("DATABASE_URL", f"sqlite:///{BASE_DIR / 'db.sqlite3'}")}
ON_SQLITE = DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3"
if ON_SQLITE:
    # Without IMMEDIATE, two transactions that both read before they write fail with "database is locked". WAL lets
    # others read while one writes.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 5,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA mmap_size=134217728;",
    }
    DATABASES["default"].setdefault("TEST", {})["NAME"] = env.str("TEST_DATABASE", str(BASE_DIR / "test.sqlite3"))
elif DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql":
    # A restart of the database server closes the connections in the pool, so each is checked before it is used.
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    # The pool is psycopg's. Django's own way to keep connections (CONN_MAX_AGE) binds each connection to a thread, and
    # under ASGI that thread ends after the request.
    DATABASES["default"]["OPTIONS"] = {
        "connect_timeout": 3,
        # If the server's host or the network fails, nobody closes the connection. These options let us notice that
        # after seconds. Otherwise it would take a quarter of an hour.
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 5_000,
        # While the database is away, the pool tries again every few seconds. By default its pauses grow to minutes.
        "pool": {"min_size": 1, "max_size": env.int("DATABASE_POOL", 10), "timeout": 5, "reconnect_timeout": 5},
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
MAX_BODY_BYTES = env.int("MAX_BODY_BYTES", 20 * 1024 * 1024)
# Django's own limit, for requests that its parsers read.
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES
RECEIVE_TIMEOUT = env.float("RECEIVE_TIMEOUT", 30.0)

# --- Who may call ----------------------------------------------------------------------------------------------------

API_KEYS_REQUIRED = env.bool("API_KEYS_REQUIRED", PRODUCTION)
# A text like 60/min, which access.limit_rules reads. It is checked at start.
RATE_LIMIT = env.str("RATE_LIMIT", "")
TRUSTED_PROXIES = env.list("TRUSTED_PROXIES", default=[])
CORS_ALLOWED_ORIGINS = env.list("CORS_ALLOWED_ORIGINS", default=[])
if CORS_ALLOW_ALL_ORIGINS := "*" in CORS_ALLOWED_ORIGINS:
    CORS_ALLOWED_ORIGINS = []
CORS_URLS_REGEX = cors.URLS
CORS_ALLOW_METHODS = cors.METHODS
CORS_ALLOW_HEADERS = cors.REQUEST_HEADERS
CORS_EXPOSE_HEADERS = cors.RESPONSE_HEADERS
CORS_PREFLIGHT_MAX_AGE = cors.PREFLIGHT_SECONDS

# --- Models, the engine, and the process (times are in seconds) -------------------------------------------------------

OPENAI_API_KEY = env.str("OPENAI_API_KEY", "")
# The key of an administrator, with which `manage.py reconcile` reads OpenAI's costs. Calls never use it.
OPENAI_ADMIN_KEY = env.str("OPENAI_ADMIN_KEY", "")
# Without a key, the bundled simulator answers in development.
SIMULATED = not OPENAI_API_KEY and ENVIRONMENT == "development"
PROVIDERS = read_providers(env, simulated=SIMULATED)
ROUTES = read_routes(env.str("ROUTES", ""))
PRICES = read_prices(env.str("PRICES", ""))

DEFAULT_MODEL = env.str("DEFAULT_MODEL", "gpt-4o")
DEFAULT_TEMPERATURE = env.float("DEFAULT_TEMPERATURE", 0.7)
# `FALLBACK_MODELS=,` means no fallback. Our default must end with a model that OpenAI has not announced to remove. It
# will remove gpt-4o and gpt-4o-mini on 2027-01-14.
FALLBACK_MODELS = env.list("FALLBACK_MODELS", default=["gpt-4o-mini", "gpt-6-luna"])
DEFAULT_MESSAGE = env.str("DEFAULT_MESSAGE", "Sorry, no model could answer right now. Please try again in a moment.")

REQUEST_TIMEOUT = env.float("REQUEST_TIMEOUT", 300.0)
# None (0 in the environment) means that an attempt may take what is left of the call's time.
ATTEMPT_TIMEOUT = env.float("ATTEMPT_TIMEOUT", 0.0) or None
CONNECT_TIMEOUT = env.float("CONNECT_TIMEOUT", 5.0)
FIRST_TOKEN_TIMEOUT = env.float("FIRST_TOKEN_TIMEOUT", 120.0)
STREAM_IDLE_TIMEOUT = env.float("STREAM_IDLE_TIMEOUT", 60.0)
READ_ON_SECONDS = env.float("READ_ON_SECONDS", 60.0)
READ_ON_CALLS = env.int("READ_ON_CALLS", 100)
FETCH_AS_STREAMS = read_provider_choice("FETCH_AS_STREAMS", env.str("FETCH_AS_STREAMS", "false"), PROVIDERS)
MAX_RETRIES = env.int("MAX_RETRIES", 2)
HEDGE_AFTER = env.float("HEDGE_AFTER", 0.0)
HEDGE_BUDGET = env.float("HEDGE_BUDGET", 0.1)
BREAKER_FAILURES = env.int("BREAKER_FAILURES", 5)
BREAKER_COOLDOWN = env.float("BREAKER_COOLDOWN", 30.0)
WEB_CONCURRENCY = env.int("WEB_CONCURRENCY", 1)
SHUTDOWN_GRACE = env.float("SHUTDOWN_GRACE", 25.0)

# --- Answers that are given again ------------------------------------------------------------------------------------

REDIS_URL = env.str("REDIS_URL", "")
CACHE_TTL = env.float("CACHE_TTL", 0.0)
CACHE_MAX_BYTES = env.int("CACHE_MAX_BYTES", 64 * 1024 * 1024)
STORED_COMPLETIONS = env.str("STORED_COMPLETIONS", "asked")

# --- History and logs ------------------------------------------------------------------------------------------------

SPOOL_DIR = Path(env.str("SPOOL_DIR", str(BASE_DIR / "spool")))
STORE_CONTENT = env.bool("STORE_CONTENT", True)
REDACT_PATTERNS = read_patterns(env.str("REDACT_PATTERNS", ""))
LOG_LEVEL = env.str("LOG_LEVEL", "INFO")
LOG_DIR = Path(env.str("LOG_DIR", str(BASE_DIR / "logs")))
LOG_RETENTION_DAYS = env.int("LOG_RETENTION_DAYS", 30)
OTEL_EXPORTER_OTLP_ENDPOINT = env.str("OTEL_EXPORTER_OTLP_ENDPOINT", "")
LOGGING = logging_config(level=LOG_LEVEL, log_dir=LOG_DIR, retention_days=LOG_RETENTION_DAYS)
