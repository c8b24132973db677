"""Django's settings, read from the environment and from `.env`. What each variable means stands in `.env.example`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestration_site.environment import Environment
from orchestration_site.http import cors
from orchestration_site.logs import logging_config
from orchestration_site.setting_values import read_patterns, read_prices, read_providers, read_routes

BASE_DIR = Path(__file__).resolve().parent.parent

env = Environment()
if env.str("ENVIRONMENT", "") != "test":  # a developer's keys have no place in tests
    env.read_env(BASE_DIR / ".env")

ENVIRONMENT = env.str("ENVIRONMENT", "development")
PRODUCTION = ENVIRONMENT == "production"
DEBUG = env.bool("DEBUG", ENVIRONMENT == "development")
SECRET_KEY = env.str("SECRET_KEY", "" if PRODUCTION else "insecure-and-only-for-development-0123456789abcdefghij")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[] if PRODUCTION else ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

# --- Django ---------------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "orchestration_site.apps.SiteConfig",  # before staticfiles: its runserver is the one that counts
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

# What every answer needs. Both are natively async.
API_MIDDLEWARE = ["orchestration_site.http.security.Security", "orchestration_site.http.security.Cors"]
MIDDLEWARE = [
    *API_MIDDLEWARE,
    # What the admin needs.
    "django.contrib.sessions.middleware.SessionMiddleware",
    "orchestration_site.http.security.HostCheck",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]

# They miss Django's SecurityMiddleware and XFrameOptionsMiddleware: orchestration_site.security.Security is both.
SILENCED_SYSTEM_CHECKS = ["security.W001", "security.W002", *env.list("SILENCED_CHECKS", default=[])]

HTTPS = env.bool("HTTPS", PRODUCTION)
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^health$", r"^health/ready$", r"^metrics$"]  # probes come by plain HTTP
# An hour by default: a browser that has seen it takes no plain HTTP for that long, whatever the settings say then.
SECURE_HSTS_SECONDS = env.int("HSTS_SECONDS", 3600) if HTTPS else 0

ROOT_URLCONF = "orchestration_site.urls"
ASGI_APPLICATION = "orchestration_site.asgi.application"
APPEND_SLASH = True
"""For the admin only; the API's addresses have no trailing slash and are matched exactly."""

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
    # Without IMMEDIATE, two writers that both began by reading end in "database is locked"; WAL lets readers go on.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 5,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA mmap_size=134217728;",
    }
    DATABASES["default"].setdefault("TEST", {})["NAME"] = env.str("TEST_DATABASE", str(BASE_DIR / "test.sqlite3"))
elif DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql":
    # A pooled connection may be one that a restart of the server has cut: it is looked at before it is used.
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    # Under ASGI a kept connection belongs to a thread that is gone after the request; the pool is psycopg's own.
    DATABASES["default"]["OPTIONS"] = {
        "connect_timeout": 3,
        # A server that is gone without a word (its host, the network) is away after seconds, not a quarter of an hour.
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 5_000,
        # A database that was away is looked for again every few seconds: the pool's own waits grow to minutes.
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
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer", "chat.doors.renderers.EventStreamRenderer"],
    "DEFAULT_PARSER_CLASSES": ["chat.doors.parsers.StrictJSONParser"],
    "DEFAULT_AUTHENTICATION_CLASSES": ["access.keys.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["access.keys.authentication.ApiKeyPermission"],
    "EXCEPTION_HANDLER": "chat.doors.exception_handler.handle",
    "DEFAULT_SCHEMA_CLASS": "orchestration_site.pages.schema.Description",
    "UNAUTHENTICATED_USER": None,
    "COERCE_DECIMAL_TO_STRING": False,
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "LLM orchestration",
    "DESCRIPTION": "One door in front of OpenAI models: races, fallbacks, streams, and every call on record.",
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
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES
RECEIVE_TIMEOUT = env.float("RECEIVE_TIMEOUT", 30.0)

# --- Who may call ----------------------------------------------------------------------------------------------------

API_KEYS_REQUIRED = env.bool("API_KEYS_REQUIRED", PRODUCTION)
RATE_LIMIT = env.str("RATE_LIMIT", "")  # read by access.limit_rules, checked at start
TRUSTED_PROXIES = env.list("TRUSTED_PROXIES", default=[])
CORS_ALLOWED_ORIGINS = env.list("CORS_ALLOWED_ORIGINS", default=[])
if CORS_ALLOW_ALL_ORIGINS := "*" in CORS_ALLOWED_ORIGINS:
    CORS_ALLOWED_ORIGINS = []
CORS_URLS_REGEX = cors.URLS
CORS_ALLOW_METHODS = cors.METHODS
CORS_ALLOW_HEADERS = cors.REQUEST_HEADERS
CORS_EXPOSE_HEADERS = cors.RESPONSE_HEADERS
CORS_PREFLIGHT_MAX_AGE = cors.PREFLIGHT_SECONDS

# --- Upstreams and the engine (seconds) ------------------------------------------------------------------------------

OPENAI_API_KEY = env.str("OPENAI_API_KEY", "")
SIMULATED = not OPENAI_API_KEY and ENVIRONMENT == "development"
PROVIDERS = read_providers(env, simulated=SIMULATED)
ROUTES = read_routes(env.str("ROUTES", ""))
PRICES = read_prices(env.str("PRICES", ""))

DEFAULT_MODEL = env.str("DEFAULT_MODEL", "gpt-4o")
DEFAULT_TEMPERATURE = env.float("DEFAULT_TEMPERATURE", 0.7)
# A comma alone is none. The last one must be a model with no announced end: gpt-4o and gpt-4o-mini go on 2027-01-14.
FALLBACK_MODELS = env.list("FALLBACK_MODELS", default=["gpt-4o-mini", "gpt-6-luna"])
DEFAULT_MESSAGE = env.str("DEFAULT_MESSAGE", "Sorry, no model could answer right now. Please try again in a moment.")

REQUEST_TIMEOUT = env.float("REQUEST_TIMEOUT", 300.0)
ATTEMPT_TIMEOUT = env.float("ATTEMPT_TIMEOUT", 0.0) or None
CONNECT_TIMEOUT = env.float("CONNECT_TIMEOUT", 5.0)
FIRST_TOKEN_TIMEOUT = env.float("FIRST_TOKEN_TIMEOUT", 120.0)
STREAM_IDLE_TIMEOUT = env.float("STREAM_IDLE_TIMEOUT", 60.0)
MAX_RETRIES = env.int("MAX_RETRIES", 2)
HEDGE_AFTER = env.float("HEDGE_AFTER", 0.0)
HEDGE_BUDGET = env.float("HEDGE_BUDGET", 0.1)
BREAKER_FAILURES = env.int("BREAKER_FAILURES", 5)
BREAKER_COOLDOWN = env.float("BREAKER_COOLDOWN", 30.0)
WEB_CONCURRENCY = env.int("WEB_CONCURRENCY", 1)
SHUTDOWN_GRACE = env.float("SHUTDOWN_GRACE", 25.0)

# --- Answers that are given again -----------------------------------------------------------------------------------

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
