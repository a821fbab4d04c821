"""The table of variables, first part: where things are, who may come in, and the web server."""

import re

from medimaging.configuration.kinds import (
    HOST,
    Account,
    Bind,
    Choice,
    DatabaseUrl,
    Flag,
    Listed,
    MailUrl,
    Place,
    RedisUrl,
    Text,
    TimeZone,
    Trimmed,
    WebUrl,
    Whole,
)
from medimaging.configuration.variables import Reader, Variable

DAY = 24 * 3600
YEAR = 366 * DAY
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
HOSTS = Listed(Trimmed(Text(HOST, "host names without https:// and without a path")))
SECRETS = Listed(Text())
ADDRESS = re.compile(r"[^\r\n]*[^\s@]+@[^\s@]+")

SECURITY = (
    Variable("SECRET_KEY", Text(), "", "Signs sessions and links.", is_secret=True),
    Variable(
        *("SECRET_KEY_FALLBACKS", SECRETS, ""),
        "Old keys that still open sessions and links.",
        is_secret=True,
    ),
    Variable(
        *("DIGEST_KEY", Text(), ""),
        "What names that must not be written down are hashed with.",
        is_secret=True,
    ),
    Variable(
        *("AUDIT_SEAL_KEYS", SECRETS, ""),
        "What seals patients' values in the audit trail: the first seals, each opens.",
        is_secret=True,
    ),
    Variable(
        *("DEIDENTIFICATION_KEY", Text(), ""),
        "What the pseudonyms of exports are derived from.",
        is_secret=True,
    ),
    Variable(
        *("ALLOWED_HOSTS", HOSTS, "localhost,127.0.0.1,[::1]"),
        "The names under which people reach the product.",
    ),
    Variable(
        *("CSRF_TRUSTED_ORIGINS", Listed(Trimmed(WebUrl(is_origin=True))), ""),
        "Other origins that forms may be sent from.",
    ),
    Variable("BEHIND_TLS", Flag(), "false", "People reach the product over https."),
    Variable(
        *("HSTS_SECONDS", Whole(0, 10 * YEAR), "31536000"),
        "How long browsers remember to come over https alone.",
    ),
    Variable(
        *("TRUSTED_PROXIES", Whole(0, 10), "0"),
        "How many of our own reverse proxies a request passes.",
    ),
    Variable(
        *("SESSION_IDLE_MINUTES", Whole(1, 24 * 60), "30"),
        "After so long without activity a session ends.",
    ),
    Variable(
        *("SESSION_MAX_HOURS", Whole(1, 31 * 24), "12"),
        "So long after its sign-in a session ends.",
    ),
    Variable(
        *("DEMO_ACCOUNTS", Listed(Account()), ""),
        "What the sign-in page of a quickstart names.",
        reader=Reader.INTERNAL,
    ),
)

PLACES = (
    Variable(
        *("DATABASE_URL", DatabaseUrl(), ""),
        "PostgreSQL, as the application's role.",
        example="postgres://medimaging_app:password@host:5432/medimaging",
        is_secret=True,
    ),
    Variable(
        *("DATABASE_OWNER_URL", DatabaseUrl(), ""),
        "PostgreSQL, as the owner of the tables, who migrates.",
        example="postgres://medimaging_owner:password@host:5432/medimaging",
        is_secret=True,
    ),
    Variable(
        *("DATABASE_AUDITOR_URL", DatabaseUrl(), ""),
        "PostgreSQL, as the role that only reads the audit trail.",
        example="postgres://medimaging_auditor:password@host:5432/medimaging",
        is_secret=True,
    ),
    Variable(
        *("DATABASE_ADMIN_URL", DatabaseUrl(), ""),
        "PostgreSQL, as the superuser who makes the roles.",
        example="postgres://postgres:password@host:5432/medimaging",
        is_secret=True,
    ),
    Variable(
        *("CONN_MAX_AGE", Whole(0, DAY), "60"),
        "How many seconds a connection to the database is kept.",
    ),
    Variable(
        *("REDIS_URL", RedisUrl(), ""),
        "Redis: the doorbell of the workers, and shared counters.",
        example="redis://:password@host:6379/0",
        is_secret=True,
    ),
    Variable("MEDIMAGING_DATA_DIR", Place(), "", "Images, keys and logs.", example="var"),
    Variable("BUNDLE_DIR", Place(), "", "Trained models.", example="ml/bundles"),
    Variable(
        *("BUNDLE_STORE_DIR", Place(), ""),
        "Where models that are or may be in use are kept.",
        example="var/bundles",
    ),
    Variable(
        *("BUNDLE_TRUSTED_KEYS", Listed(Trimmed(Place())), ""),
        "Public keys, or folders of them, that sign models here.",
    ),
    Variable("STATIC_ROOT", Place(), "", "Where collectstatic puts files.", example="var/static"),
    Variable("STATIC_COLLECTED", Flag(), "false", "collectstatic has run."),
    Variable(
        *("BEAT_SCHEDULE_FILE", Place(), ""),
        "Where beat keeps its last runs.",
        example="var/beat-schedule",
    ),
    Variable(
        *("EMAIL_URL", MailUrl(), ""),
        "The mail server.",
        example="smtp+tls://user:password@mail.hospital.example:587",
        is_secret=True,
    ),
    Variable(
        *("SITE_URL", WebUrl(), ""),
        "The product's own address, to which links in mail lead.",
        example="https://imaging.hospital.example",
    ),
    Variable(
        *("MAIL_FROM", Text(ADDRESS, "an address"), "medimaging@localhost"),
        "Who mail is from.",
    ),
)

BEHAVIOUR = (
    Variable("DEBUG", Flag(), "false", "Django's debug pages, for development alone."),
    Variable("TIME_ZONE", TimeZone(), "UTC", "Of what pages show."),
    Variable("LOG_FORMAT", Choice(("line", "json")), "line", "For people or for machines."),
    Variable("LOG_LEVEL", Choice(LOG_LEVELS), "INFO", "The least that is logged."),
    Variable("METRICS_PORT", Whole(0, 65535), "0", "Where figures are told; 0 for nowhere."),
    Variable("METRICS_HOST", Text(), "127.0.0.1", "The address that they are told at."),
)

WEB = (
    Variable(
        *("WEB_BIND", Listed(Trimmed(Bind())), "127.0.0.1:8000"),
        "Where the web server listens.",
    ),
    Variable("WEB_CONCURRENCY", Whole(1, 256), "2", "Web processes."),
    Variable("WEB_THREADS", Whole(1, 256), "4", "Threads of each for pages and calls."),
    Variable(
        *("WEB_FILE_THREADS", Whole(1, 1024), "12"),
        "Files on their way at once in each process.",
    ),
    Variable("WEB_FILES_PER_CLIENT", Whole(1, 1024), "8", "Those of one client among them."),
    Variable("WEB_CONNECTIONS", Whole(1, 65536), "512", "Connections to each process."),
    Variable(
        *("WEB_CONNECTIONS_PER_CLIENT", Whole(1, 65536), "100"),
        "Those of one client among them.",
    ),
    Variable(
        *("WEB_BODY_KIB", Whole(64, 1024**2), "1024"),
        "The largest body where no files are taken.",
    ),
    Variable(
        *("HOST", Text(re.compile(r"\S+"), "an address"), "127.0.0.1"),
        "Where the quickstart's web server listens.",
        reader=Reader.INTERNAL,
    ),
    Variable(
        *("PORT", Whole(1, 65535), "8000"),
        "Where the quickstart's web server listens.",
        reader=Reader.INTERNAL,
    ),
)
