"""Settings, read from the environment in a process of their own, and the system checks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from medimaging import checks

ROOT = Path(__file__).resolve().parents[2]
CLEARED = ("BEHIND_TLS", "DATABASE_URL", "DEBUG", "REDIS_URL", "SECRET_KEY", "TRUSTED_PROXIES")


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess:
    kept = {name: value for name, value in os.environ.items() if name not in CLEARED}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=kept | {"DJANGO_SETTINGS_MODULE": "medimaging.settings"} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def settings_under(names: tuple[str, ...], **environment: str) -> dict:
    code = (
        "import json; from django.conf import settings\n"
        f"print(json.dumps({{name: getattr(settings, name) for name in {names!r}}}, default=str))"
    )
    done = run_python(code, **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_settings_point_at_the_embedded_services_when_none_are_named() -> None:
    found = settings_under(
        ("DATABASES", "REDIS_URL", "CELERY_BROKER_URL"), MEDIMAGING_DATA_DIR="/srv/x"
    )

    assert found["DATABASES"]["default"]["OPTIONS"]["host"] == "/srv/x/run/postgres"
    assert found["REDIS_URL"] == "unix:///srv/x/run/redis.sock?db=0"
    assert found["CELERY_BROKER_URL"] == "redis+socket:///srv/x/run/redis.sock?virtual_host=0"


def test_settings_secure_cookies_and_transport_when_behind_tls() -> None:
    names = (
        *("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_SSL_REDIRECT"),
        "SECURE_HSTS_SECONDS",
    )
    found = settings_under(names, BEHIND_TLS="true")

    assert found == dict.fromkeys(names[:3], True) | {"SECURE_HSTS_SECONDS": 31_536_000}


def test_forwarded_proto_is_believed_only_when_a_proxy_is_ours() -> None:
    name = ("SECURE_PROXY_SSL_HEADER",)

    assert settings_under(name) == {"SECURE_PROXY_SSL_HEADER": None}
    assert settings_under(name, TRUSTED_PROXIES="1")["SECURE_PROXY_SSL_HEADER"]


def test_urls_load_no_inference_engine() -> None:
    code = (
        "import sys, medimaging.wsgi, medimaging.urls\n"
        "heavy = {'keras', 'openvino', 'tensorflow', 'torch'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = run_python(code, SECRET_KEY="k" * 50)

    assert done.returncode == 0, done.stderr


def test_time_limits_stop_a_task_before_the_broker_hands_it_out_again(settings) -> None:
    visibility = settings.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"]

    assert settings.CELERY_TASK_SOFT_TIME_LIMIT < settings.CELERY_TASK_TIME_LIMIT < visibility


def test_check_data_dir_finds_fault_when_it_cannot_be_written(settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "not" / "made" / "yet"
    assert checks.check_data_dir(None) == []

    (tmp_path / "file").write_text("")
    settings.DATA_DIR = tmp_path / "file" / "below"
    assert [found.id for found in checks.check_data_dir(None)] == ["medimaging.E001"]


@pytest.mark.parametrize(
    ("key", "ids"),
    [("k" * 32, []), (None, ["medimaging.E002"]), ("k" * 31, ["medimaging.E007"])],
)
def test_check_secret_key_finds_fault_when_it_is_the_one_in_the_source_or_short(
    key: str | None, ids: list[str], settings
) -> None:
    settings.SECRET_KEY = key or settings.INSECURE_SECRET_KEY

    assert [found.id for found in checks.check_secret_key(None)] == ids


@pytest.mark.parametrize("is_behind_tls", [True, False])
def test_check_transport_warns_unless_behind_tls(is_behind_tls: bool, settings) -> None:
    settings.BEHIND_TLS = is_behind_tls

    assert (checks.check_transport(None) == []) is is_behind_tls


def test_what_root_collects_can_be_read_by_the_account_that_serves_it(tmp_path):
    """As in an image: another account runs it, and sees neither owner's nor group's rights."""
    code = (
        "import django; django.setup()\n"
        "from django.core.files.base import ContentFile\n"
        "from django.contrib.staticfiles.storage import staticfiles_storage as storage\n"
        "storage.save('css/site.css', ContentFile(b'a {}'))\n"
    )
    done = run_python(code, STATIC_COLLECTED="true", STATIC_ROOT=str(tmp_path / "static"))

    assert done.returncode == 0, done.stderr
    for path in (tmp_path / "static", tmp_path / "static/css", tmp_path / "static/css/site.css"):
        assert path.stat().st_mode & 0o004, path
