"""Every setting of the product, driven by the environment (`medimaging/configuration/`)."""

import os
from datetime import timedelta

from environ import Env

from medimaging import addresses, api_document, configuration, image_store, logs
from medimaging.configuration import BASE_DIR

# Names, kinds, bounds and defaults of all of them: `medimaging/configuration/`.
env = configuration.load()

# Where things are

DATA_DIR = env.path("MEDIMAGING_DATA_DIR", BASE_DIR / "var")
# What ships: a file for each task.
TASK_FILES_DIR = BASE_DIR / "ml" / "tasks"
BUNDLE_DIR = env.path("BUNDLE_DIR", BASE_DIR / "ml" / "bundles")
# Where the bundles that are or may be in use are kept, whatever a release takes away.
BUNDLE_STORE_DIR = env.path("BUNDLE_STORE_DIR", DATA_DIR / "bundles")
# Public keys, or folders of them, that sign bundles here beside the product's own.
BUNDLE_TRUSTED_KEYS = env.listed("BUNDLE_TRUSTED_KEYS")
SAMPLES_DIR = BASE_DIR / "samples"

# Deployment

DEBUG = env.flag("DEBUG")
# Known to everyone who reads this file: `check --deploy` refuses it, the quickstart replaces it.
INSECURE_SECRET_KEY = "insecure-key-for-commands-that-sign-nothing"  # noqa: S105 - refused where it matters
SECRET_KEY = env.text("SECRET_KEY") or INSECURE_SECRET_KEY
SECRET_KEY_FALLBACKS = env.listed("SECRET_KEY_FALLBACKS")
# What digests are keyed with that have to stay the same: a process that signs no sessions has it.
DIGEST_KEY = env.text("DIGEST_KEY") or SECRET_KEY
# What seals patients' values in the audit trail: the first seals, each opens.
AUDIT_SEAL_KEYS = env.listed("AUDIT_SEAL_KEYS")
ALLOWED_HOSTS = env.listed("ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = env.listed("CSRF_TRUSTED_ORIGINS")
# True where people reach the product over https, as they must outside one's own machine.
BEHIND_TLS = env.flag("BEHIND_TLS")
# How many reverse proxies append to X-Forwarded-For; 0 ignores the header.
TRUSTED_PROXIES = env.whole("TRUSTED_PROXIES")

INSTALLED_APPS = [
    "medimaging",
    "accounts",
    "records",
    "classifier",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "medimaging.middleware.RequestContextMiddleware",
    "medimaging.middleware.ContentSecurityPolicyMiddleware",
    "medimaging.middleware.ContentEncodingMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "medimaging.outages.OutageMiddleware",
    "medimaging.middleware.IdleSessionMiddleware",
    "medimaging.middleware.SlashMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "medimaging.middleware.OpenSessionMiddleware",
    "medimaging.middleware.AuditSessionMiddleware",
    "medimaging.middleware.RefusalMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "medimaging.middleware.NoStoreMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "medimaging.middleware.EntityTagMiddleware",
    "medimaging.parameters.ParametersMiddleware",
    "medimaging.told_reads.ToldReadsMiddleware",
]

ROOT_URLCONF = "medimaging.urls"
WSGI_APPLICATION = "medimaging.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "accounts.views.notices.account_matters",
                "records.views.navigation.waiting_matters",
                "medimaging.release.tell_release",
            ],
        },
    },
]

# Language and time

LANGUAGE_CODE = "en-gb"
TIME_ZONE = env.text("TIME_ZONE")
USE_I18N = True
USE_TZ = True

# Truth: PostgreSQL. Doorbell: Redis.

DATABASE_URL = env.text("DATABASE_URL") or addresses.database_url(DATA_DIR)
# Who owns the tables: `migrate` alone needs it, and where it isn't named they are the app's own.
DATABASE_OWNER_URL = env.text("DATABASE_OWNER_URL")
if not (DATABASE_OWNER_URL or env.text("DATABASE_URL")):
    DATABASE_OWNER_URL = addresses.database_url(DATA_DIR, role=addresses.OWNER)
REDIS_URL = env.text("REDIS_URL") or addresses.redis_url(DATA_DIR)

DATABASES = {"default": Env.db_url_config(DATABASE_URL)}
DATABASES["default"].update(
    CONN_MAX_AGE=env.whole("CONN_MAX_AGE"),
    CONN_HEALTH_CHECKS=True,
)
if DATABASE_OWNER_URL:
    DATABASES["owner"] = Env.db_url_config(DATABASE_OWNER_URL)
for database in DATABASES.values():
    # Nobody waits for a server that says nothing (`accounts/postgresql/`).
    database["ENGINE"] = "accounts.postgresql"
    # A link that is gone without a word is noticed by the kernel too.
    for name, value in {
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 15_000,
    }.items():
        database.setdefault("OPTIONS", {}).setdefault(name, value)
# Who may read the audit trail by SQL and nothing else, if there is such a role.
DATABASE_AUDITOR_URL = env.text("DATABASE_AUDITOR_URL")
if not (DATABASE_AUDITOR_URL or env.text("DATABASE_URL")):
    DATABASE_AUDITOR_URL = addresses.database_url(DATA_DIR, role=addresses.AUDITOR)

# Files

# True where collectstatic has run: hashed names, compressed, cached for ever.
STATIC_COLLECTED = env.flag("STATIC_COLLECTED")
STORAGES = {
    "default": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": DATA_DIR / "files"},
    },
    # Private: no URL leads here, views hand the bytes out after checking who asks.
    "images": image_store.store_settings(env, directory=DATA_DIR / "images"),
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if STATIC_COLLECTED
        else "django.contrib.staticfiles.storage.StaticFilesStorage",
        # Collected by root in an image, read by another account; nothing in them is private.
        "OPTIONS": {"file_permissions_mode": 0o644, "directory_permissions_mode": 0o755},
    },
}
STATIC_URL = "static/"
STATIC_ROOT = env.path("STATIC_ROOT", DATA_DIR / "static") if STATIC_COLLECTED else None
WHITENOISE_USE_FINDERS = not STATIC_COLLECTED
WHITENOISE_AUTOREFRESH = DEBUG
FILE_UPLOAD_PERMISSIONS = 0o600
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o700
# Images stream to disk; a form's own fields stay far below this.
FILE_UPLOAD_HANDLERS = ["records.files.upload_handler.SpoolUploadHandler"]
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FILES = 5000

# People and sessions

AUTH_USER_MODEL = "accounts.User"
LOGIN_URL = "accounts:sign-in"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "accounts:sign-in"
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("username", "full_name", "email")},
    },
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
# How long a set-password link works.
PASSWORD_RESET_TIMEOUT = 24 * 60 * 60
# Shown on the sign-in page of a quickstart that has made them: user name and role, no password.
DEMO_ACCOUNTS = env.listed("DEMO_ACCOUNTS")
SESSION_COOKIE_AGE = env.whole("SESSION_IDLE_MINUTES") * 60
SESSION_SAVE_EVERY_REQUEST = True
# However busy it is, a session ends so long after its sign-in.
SESSION_MAX_HOURS = env.whole("SESSION_MAX_HOURS")
# Pages ask for these by themselves, so they say nothing about who is at the keyboard.
POLLED_VIEWS = ("classifier:queue-pill", "classifier:status", "status-parts")
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "medimaging.problems.form_refused"
# A browser takes a cookie of such a name only from this host, by TLS, for all of its paths.
COOKIE_PREFIX = "__Host-" if BEHIND_TLS else ""
# By this a browser is known in which somebody has signed in before; it opens nothing.
DEVICE_COOKIE_NAME = f"{COOKIE_PREFIX}device"
DEVICE_COOKIE_AGE = 365 * 24 * 60 * 60
# The browser's half of a secret that is shown once (`accounts/once.py`).
ONCE_COOKIE_NAME = f"{COOKIE_PREFIX}once"

# Mail, where the hospital has a server for it

MAIL_ENABLED = bool(env.text("EMAIL_URL"))
if MAIL_ENABLED:
    vars().update(Env.email_url_config(env.text("EMAIL_URL")))
# The address that mail leads to; without it links lead to the first name that we answer to.
SITE_URL = env.text("SITE_URL").rstrip("/") or addresses.site_url(ALLOWED_HOSTS, is_tls=BEHIND_TLS)
IS_SITE_URL_SET = bool(env.text("SITE_URL"))
DEFAULT_FROM_EMAIL = env.text("MAIL_FROM")
EMAIL_TIMEOUT = 10

# Transport and browser

SESSION_COOKIE_NAME = f"{COOKIE_PREFIX}sessionid"
CSRF_COOKIE_NAME = f"{COOKIE_PREFIX}csrftoken"
# What a page says once is kept with the session: no third cookie carries it.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
SESSION_COOKIE_SECURE = BEHIND_TLS
CSRF_COOKIE_SECURE = BEHIND_TLS
SECURE_SSL_REDIRECT = BEHIND_TLS
# The container's own health check asks over plain http.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^statusz$"]
SECURE_HSTS_SECONDS = env.whole("HSTS_SECONDS") if BEHIND_TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = BEHIND_TLS
SECURE_HSTS_PRELOAD = BEHIND_TLS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# What one client can hold of the web server (`medimaging/web_worker/`)

# The largest body where no files are taken.
WEB_BODY_BYTES = env.whole("WEB_BODY_KIB") * 1024
# Files on their way, in or out, at once in each process, and those of one client's among them.
# A client is an IPv4 address, or the /64 of an IPv6 one.
WEB_FILE_THREADS = env.whole("WEB_FILE_THREADS")
WEB_FILES_PER_CLIENT = env.whole("WEB_FILES_PER_CLIENT")
WEB_CONNECTIONS_PER_CLIENT = env.whole("WEB_CONNECTIONS_PER_CLIENT")

# API

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.api.authentication.TokenAuthentication",
        "accounts.api.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.access.HasVerb"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["accounts.api.strict.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "accounts.api.contract.ContractSchema",
    "DEFAULT_FILTER_BACKENDS": ["accounts.api.filtering.FormFilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "medimaging.paging.KeysetPagination",
    "EXCEPTION_HANDLER": "medimaging.problems.problem_handler",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = api_document.SETTINGS

# Work in the background

CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://").replace(
    "?db=", "?virtual_host="
)
CELERY_RESULT_BACKEND = None
# Nor does beat clean up results that nobody keeps.
CELERY_RESULT_EXPIRES = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TIMEZONE = "UTC"
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# Soft < hard < visibility: a task is stopped before the broker hands it to a second worker.
CELERY_TASK_SOFT_TIME_LIMIT = env.whole("TASK_SECONDS")
CELERY_TASK_TIME_LIMIT = CELERY_TASK_SOFT_TIME_LIMIT + 60
CELERY_TASK_DEFAULT_QUEUE = "housekeeping"
CELERY_TASK_CREATE_MISSING_QUEUES = True
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
# Ringing the bell fails at once when the broker is down: the row is saved, the sweeper rings
# again. A worker waits for the broker for ever.
CELERY_TASK_PUBLISH_RETRY = False
CELERY_BROKER_CONNECTION_TIMEOUT = 1
CELERY_BROKER_CONNECTION_RETRY = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": CELERY_TASK_TIME_LIMIT + 240,
    "socket_connect_timeout": 1,
    "socket_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 30,
    # Queues are emptied in the order in which the worker names them.
    "queue_order_strategy": "priority",
}
# How often each process says in Redis that it lives, and after how long it counts as silent.
HEARTBEAT_SECONDS = env.number("HEARTBEAT_SECONDS")
HEARTBEAT_SILENT_SECONDS = env.number("HEARTBEAT_SILENT_SECONDS")
# A worker or beat that hears nothing of the broker for so long ends, to be started anew.
DEAF_AFTER_SECONDS = env.number("DEAF_AFTER_SECONDS")
CELERY_BEAT_SCHEDULER = "medimaging.schedule:WatchedScheduler"
# So often, at least, beat's loop turns: it is watched by that.
CELERY_BEAT_MAX_LOOP_INTERVAL = 5
CELERY_BEAT_SCHEDULE_FILENAME = str(env.path("BEAT_SCHEDULE_FILE", DATA_DIR / "beat-schedule"))
# How often somebody looks for work whose worker or sender is gone.
SWEEP_SECONDS = env.whole("TASK_SWEEP_SECONDS")
# How often it is looked whether something has begun to be wrong, or is right again.
CONDITION_SECONDS = 30
HOUSEKEEPING = {
    "accounts.tasks.sweep_accounts": 60,
    "classifier.tasks.sweep_bundles": 3600,
    "classifier.tasks.sweep_classifications": SWEEP_SECONDS,
    "medimaging.tasks.note_conditions": CONDITION_SECONDS,
    "records.tasks.complete_idle_studies": SWEEP_SECONDS,
    "records.tasks.sweep_exports": 4 * SWEEP_SECONDS,
    "records.tasks.sweep_submissions": 4 * SWEEP_SECONDS,
    "records.tasks.scrub_storage": 60,
    # A 256th of the store each time, so all of it in less than a day.
    "records.tasks.sweep_storage": 300,
    "records.tasks.renew_epoch": 300,
    "records.tasks.apply_retention": 3600,
}
CELERY_BEAT_SCHEDULE = {
    task.rpartition(".")[2].replace("_", "-"): {
        "task": task,
        "schedule": seconds,
        # A round that still waits when the next is due is dropped.
        "options": {"queue": "housekeeping", "expires": seconds},
    }
    for task, seconds in HOUSEKEEPING.items()
}

# Classification

INFERENCE_DEVICE = env.text("INFERENCE_DEVICE")
# Frames that go through the network at once; between batches the worker renews its lease.
INFERENCE_BATCH = env.whole("INFERENCE_BATCH")
CLASSIFICATION_LEASE_SECONDS = env.whole("CLASSIFICATION_LEASE_SECONDS")
CLASSIFICATION_MAX_ATTEMPTS = env.whole("CLASSIFICATION_MAX_ATTEMPTS")
# What couldn't be answered for a reason that may pass is tried again after so long.
CLASSIFICATION_RING_AGAIN_SECONDS = env.whole("CLASSIFICATION_RING_AGAIN_SECONDS")

# De-identification: what pseudonyms are derived from. Whoever has it can tell whether a
# pseudonym is that of a known patient; after a change, new exports don't fit earlier ones.

DEIDENTIFICATION_KEY = env.text("DEIDENTIFICATION_KEY")
# As many images as a worker gets done in the time that a task has.
EXPORT_MAX_IMAGES = env.whole("EXPORT_MAX_IMAGES")
EXPORT_KEPT_DAYS = env.whole("EXPORT_KEPT_DAYS")

# Log: to standard output, one event a line, ids instead of anything about a patient.

LOG_FORMAT = env.text("LOG_FORMAT")
LOG_LEVEL = env.text("LOG_LEVEL")
LOGGING = logs.log_settings(
    log_format=LOG_FORMAT,
    level=LOG_LEVEL,
    loggers={
        # Django's own set-up would mail errors with the request's content to ADMINS.
        "django": {"handlers": [], "propagate": True, "level": LOG_LEVEL},
        "django.server": {"handlers": [], "propagate": True},
        "celery.beat": {"level": "WARNING"},
        # That a task came in; that it ended is logged too, and enough.
        "celery.worker.strategy": {"level": "WARNING"},
        "pydicom": {"level": "ERROR"},
        # Libraries warn of values by naming them.
        "py.warnings": {"level": "ERROR"},
        # At their lowest level these write statements with their values, and headers with keys.
        "django.db.backends": {"level": "INFO"},
        "botocore": {"level": "INFO"},
        # It logs what strangers send, patients' names included; records.dimse says what happened.
        "pynetdicom": {"level": "CRITICAL"},
    },
)

# Figures for Prometheus, on a port of their own: never where people and senders get to.

METRICS_HOST = env.text("METRICS_HOST")
# 0 shows and counts nothing.
METRICS_PORT = env.whole("METRICS_PORT")

# Intake: what is accepted from outside. Everything is checked before anything is allocated.

INTAKE_MAX_FILE_BYTES = env.whole("INTAKE_MAX_FILE_MIB") * 1024 * 1024
# How long a connection may say nothing in the middle of a file, or read nothing of one.
INTAKE_SILENCE_SECONDS = env.whole("INTAKE_SILENCE_SECONDS")
INTAKE_MAX_FILES = env.whole("INTAKE_MAX_FILES")
# As many as the image library decodes: one frame, and all frames of an image together.
INTAKE_MAX_FRAME_PIXELS = 64_000_000
INTAKE_MAX_IMAGE_PIXELS = 512_000_000
INTAKE_ZIP_MAX_BYTES = env.whole("INTAKE_ZIP_MAX_MIB") * 1024 * 1024
INTAKE_ZIP_MAX_ENTRIES = env.whole("INTAKE_ZIP_MAX_ENTRIES")
INTAKE_ZIP_MAX_RATIO = env.whole("INTAKE_ZIP_MAX_RATIO")
INTAKE_ZIP_MAX_NESTING = env.whole("INTAKE_ZIP_MAX_NESTING")
# An archive of which more had to be refused is read no further.
INTAKE_ZIP_MAX_REFUSALS = env.whole("INTAKE_ZIP_MAX_REFUSALS")
# Processor time for unpacking a small archive; each 4 MiB that were sent buy another second.
INTAKE_ZIP_SECONDS = env.whole("INTAKE_ZIP_SECONDS")
# So many refused files of one request are written one by one, the others are counted in one row.
INTAKE_REFUSALS_TOLD = env.whole("INTAKE_REFUSALS_TOLD")
# Files lie here until they are checked and published; with a local store, on its file system.
INTAKE_SPOOL_DIR = env.path("INTAKE_SPOOL_DIR", DATA_DIR / "images" / "incoming")
# Below this much room, the larger of the two, nothing more is taken in.
INTAKE_MIN_FREE_BYTES = env.whole("INTAKE_MIN_FREE_MIB") * 1024 * 1024
INTAKE_MIN_FREE_PERCENT = env.whole("INTAKE_MIN_FREE_PERCENT")
# Of what is free above that, the most that the unfinished uploads of one person may still need,
# beside one file of any size.
INTAKE_PERSON_PERCENT = env.whole("INTAKE_PERSON_PERCENT")
# Kept free for each unfinished upload of others: what comes of it before anybody looks again.
INTAKE_UPLOAD_AHEAD_BYTES = 64 * 1024 * 1024
# How many uploads, and how many submissions, one person may leave unfinished at a time.
INTAKE_OPEN_UPLOADS = env.whole("INTAKE_OPEN_UPLOADS")
INTAKE_OPEN_SUBMISSIONS = env.whole("INTAKE_OPEN_SUBMISSIONS")
# Decoding in children: how many read at once in each server process, and what one file may take.
# Beyond it comes what a large file honestly needs (records/dicom/sandbox/calls.py).
DECODING_CHILDREN = env.whole("DECODING_CHILDREN", os.cpu_count() or 2)
DECODING_MEMORY_BYTES = env.whole("DECODING_MEMORY_MIB") * 1024 * 1024
DECODING_SECONDS = env.whole("DECODING_SECONDS")
# How long after its latest image a study that nobody declares to be whole is complete.
STUDY_IDLE_AFTER = timedelta(seconds=env.whole("STUDY_IDLE_AFTER_SECONDS"))
INTAKE_ABANDONED_AFTER = timedelta(seconds=env.whole("INTAKE_ABANDONED_AFTER_SECONDS"))

# Keeping: stored files are read again and again, and what nobody points to goes.

# Within so many days every file is read once and compared with its hash.
STORAGE_SCRUB_EVERY = timedelta(days=env.whole("STORAGE_SCRUB_DAYS"))
# So much of each minute goes into that; the worker does nothing else meanwhile.
STORAGE_SCRUB_SECONDS = env.whole("STORAGE_SCRUB_SECONDS")
# A file that no row points to is removed so long after it was first seen.
STORAGE_ORPHAN_GRACE = timedelta(days=env.whole("STORAGE_ORPHAN_DAYS"))
# A deleted study can be restored for so long; then its files are destroyed.
RETENTION_DELETED = timedelta(days=env.whole("RETENTION_DELETED_DAYS"))
# Studies older than this are due to go; 0 keeps all for ever.
RETENTION_YEARS = env.whole("RETENTION_YEARS")
# True deletes what is due; else it is only counted, and a person decides.
RETENTION_AUTOMATIC = env.flag("RETENTION_AUTOMATIC")

# DICOM associations (`manage.py dicom_scp`)

DICOM_AE_TITLE = env.text("DICOM_AE_TITLE")
DICOM_HOST = env.text("DICOM_HOST")
# 0 where the quickstart shall not listen.
DICOM_PORT = env.whole("DICOM_PORT")
# A certificate turns TLS on; a CA makes callers show a certificate signed by it.
DICOM_TLS_CERTIFICATE = env.text("DICOM_TLS_CERTIFICATE")
DICOM_TLS_KEY = env.text("DICOM_TLS_KEY")
DICOM_TLS_CLIENT_CA = env.text("DICOM_TLS_CLIENT_CA")
# Who signs the certificates of destinations with TLS; else the system's authorities.
DICOM_TLS_DESTINATION_CA = env.text("DICOM_TLS_DESTINATION_CA")
DICOM_MAX_ASSOCIATIONS = env.whole("DICOM_MAX_ASSOCIATIONS")
# What callers are told to put into one protocol data unit.
DICOM_MAX_PDU_BYTES = env.whole("DICOM_MAX_PDU_KIB") * 1024
# Without a word for so long an association is aborted, and after so long in any case.
DICOM_IDLE_SECONDS = env.whole("DICOM_IDLE_SECONDS")
DICOM_ASSOCIATION_SECONDS = env.whole("DICOM_ASSOCIATION_SECONDS")
DICOM_ASSOCIATION_OBJECTS = env.whole("DICOM_ASSOCIATION_OBJECTS")
DICOM_MAX_MATCHES = env.whole("DICOM_MAX_MATCHES")
# How long associations may go on once the process is asked to stop.
DICOM_GRACE_SECONDS = env.whole("DICOM_GRACE_SECONDS")
# How often an association says that it lives, and after how long without that it doesn't.
DICOM_HEARTBEAT_SECONDS = 20
DICOM_ABANDONED_AFTER = timedelta(seconds=6 * DICOM_HEARTBEAT_SECONDS)
