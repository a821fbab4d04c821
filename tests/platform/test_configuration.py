"""The table of variables: what is refused, in which words, and where else it is written down."""

import re
from pathlib import Path
from typing import Any

import pytest

from medimaging.configuration import VARIABLES, Configuration, read
from medimaging.configuration.kinds import FALSE_WORDS, TRUE_WORDS, Number
from medimaging.configuration.variables import Reader
from tests.product import ROOT

NOWHERE = Path("/nowhere/.env")
SETTINGS = (ROOT / "medimaging" / "settings.py").read_text()
DATABASE = "postgres://medimaging_app:{}@db.hospital.example:5432/medimaging"
HOW_TO_WRITE_PASSWORDS = "a password in it has to be percent-encoded"


def reading(**environment: str) -> Configuration:
    return read(environment, NOWHERE)[0]


def told(**environment: str) -> list[str]:
    return [fault.message for fault in reading(**environment).faults]


REFUSED = [
    ("BEHIND_TLS", "yess", "true or false"),
    ("DEBUG", "*", "true or false"),
    ("STATIC_COLLECTED", "treu", "true or false"),
    ("TASK_SECONDS", "abc", "a whole number from 1 to 86400"),
    ("TASK_SECONDS", "-5", "a whole number from 1 to 86400"),
    ("TASK_SECONDS", "0", "a whole number from 1"),
    ("TASK_SECONDS", "9" * 5000, "a whole number from 1"),
    ("TASK_SECONDS", "3_0", "a whole number from 1"),
    ("TASK_SECONDS", "٣٠", "a whole number from 1"),
    ("WEB_CONCURRENCY", "two", "a whole number from 1 to 256"),
    ("WEB_THREADS", "1.5", "a whole number"),
    ("CLASSIFICATION_LEASE_SECONDS", "1", "a whole number from 5"),
    ("INTAKE_MAX_FILE_MIB", "1g", "a whole number"),
    ("INTAKE_MIN_FREE_PERCENT", "200", "from 0 to 90"),
    ("DICOM_PORT", "70000", "from 0 to 65535"),
    ("LOG_LEVEL", "chatty", "one of DEBUG, INFO, WARNING, ERROR, CRITICAL"),
    ("LOG_FORMAT", "xml", "one of line, json"),
    ("INFERENCE_DEVICE", "cuda", "one of auto, cpu, gpu"),
    ("IMAGES_S3_ADDRESSING", "dns", "one of auto, path, virtual"),
    ("TIME_ZONE", "Europe/Berln", "a time zone such as UTC"),
    ("TIME_ZONE", "../etc/passwd", "a time zone such as UTC"),
    ("ALLOWED_HOSTS", "https://imaging.hospital.example", "without https://"),
    ("WEB_BIND", "8000", "an address with its port"),
    ("MAIL_FROM", "nobody", "an address"),
    ("MAIL_FROM", "a@b.example\nBcc: all@b.example", "an address"),
    ("DICOM_AE_TITLE", "MEDICAL_IMAGING_X", "1 to 16 letters"),
    ("DEMO_ACCOUNTS", "technician", "name:role"),
    ("PORT", "eighty", "a whole number"),
]
REFUSED_ADDRESSES = [
    ("DATABASE_URL", "nonsense", "postgres://"),
    ("DATABASE_URL", "mysql://u:p@h/db", "postgres://"),
    ("DATABASE_URL", DATABASE.format("pw")[:-11], "the name of the database"),
    ("DATABASE_URL", "postgres://u:p@h:port/db", "a port from 1 to 65535"),
    ("DATABASE_URL", "postgres://u:p@h:99999/db", "a port from 1 to 65535"),
    ("DATABASE_URL", "postgres://u:p@::1/db", "a port from 1 to 65535"),
    ("DATABASE_URL", " postgres://u:p@h/d b", "spaces"),
    ("DATABASE_OWNER_URL", "postgres//u:p@h/db", "postgres://"),
    ("REDIS_URL", "garbage", "redis:// or rediss:// or unix://"),
    ("REDIS_URL", "http://h", "redis://"),
    ("REDIS_URL", "redis://", "name a host"),
    ("REDIS_URL", "redis://h:6379/zero", "the number of a database"),
    ("REDIS_URL", "unix://?db=0", "name the socket"),
    ("EMAIL_URL", "mail.hospital.example", "smtp://"),
    ("EMAIL_URL", "smtp://", "name a host"),
    ("SITE_URL", "imaging.hospital.example", "https://"),
    ("CSRF_TRUSTED_ORIGINS", "https://a.example/path", "without a path"),
    ("IMAGES_S3_ENDPOINT", "minio:9000", "https://"),
]


@pytest.mark.parametrize(("name", "text", "allowed"), REFUSED + REFUSED_ADDRESSES)
def test_value_that_cannot_be_meant_is_refused_with_what_is_allowed(
    name: str, text: str, allowed: str
) -> None:
    (message,) = [one for one in told(**{name: text}) if one.startswith(f"{name} ")]

    assert allowed in message
    assert message.endswith(".")
    assert len(message) < 400
    assert message.isprintable()


@pytest.mark.parametrize(("name", "text"), [row[:2] for row in REFUSED[:9]])
def test_refusal_quotes_what_was_written_where_it_is_no_secret(name: str, text: str) -> None:
    (message,) = told(**{name: text})

    assert message.startswith(f'{name} is "{text[:60]}')


@pytest.mark.parametrize("letter", "#/?%")
@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("DATABASE_URL", DATABASE),
        ("REDIS_URL", "redis://:{}@redis.hospital.example:6379/0"),
        ("EMAIL_URL", "smtp+tls://user:{}@mail.hospital.example:587"),
    ],
)
def test_password_that_cuts_its_address_is_refused_and_never_shown(
    name: str, address: str, letter: str
) -> None:
    for password in (f"Gehe1m{letter}Wort", f"{letter}Gehe1mWort", f"7{letter}Gehe1mWort"):
        (message,) = told(**{name: address.format(password)})

        assert message.startswith(f"{name} can't be used: ")
        assert HOW_TO_WRITE_PASSWORDS in message
        assert "Gehe1m" not in message
        assert "Wort" not in message


@pytest.mark.parametrize("name", [v.name for v in VARIABLES.values() if v.is_secret])
def test_refusal_of_a_secret_never_shows_a_part_of_it(name: str) -> None:
    for text in ("Gehe1mesWort", "x://Gehe1m:Gehe1m@Gehe1m/Gehe1m/Gehe1m", "\0Gehe1m"):
        assert "Gehe1m" not in " ".join(told(**{name: text}))


def test_number_with_decimals_is_kept_within_its_bounds() -> None:
    kind = Number(0.1, 60)

    assert (kind.parse("0.25"), kind.parse("60")) == (0.25, 60.0)
    for text in ("0.05", "61", "nan", "inf", "1e1", "-1", "1.", "٣"):
        with pytest.raises(ValueError, match="a number from 0.1 to 60"):
            kind.parse(text)


def test_address_in_a_setting_without_secrets_is_not_shown_either() -> None:
    (message,) = told(SITE_URL="https://admin:Gehe1m@imaging.example:port")

    assert "Gehe1m" not in message


ACCEPTED = [
    ("LOG_LEVEL", "info", "INFO"),
    ("LOG_FORMAT", "JSON", "json"),
    ("INFERENCE_DEVICE", "GPU", "gpu"),
    ("TASK_SECONDS", " 90 ", 90),
    ("ALLOWED_HOSTS", "a.example, .b.example,[::1],*", ["a.example", ".b.example", "[::1]", "*"]),
    ("WEB_BIND", "0.0.0.0:8000,[::1]:8000", ["0.0.0.0:8000", "[::1]:8000"]),
    ("DATABASE_URL", "postgres://app@/db?host=/run/a@b", "postgres://app@/db?host=/run/a@b"),
    ("DATABASE_URL", DATABASE.format("a%23b%2Fc%40d"), DATABASE.format("a%23b%2Fc%40d")),
    ("DATABASE_URL", DATABASE.format("a@b"), DATABASE.format("a@b")),
    ("REDIS_URL", "unix:///run/redis.sock?db=0", "unix:///run/redis.sock?db=0"),
    ("REDIS_URL", "rediss://:p@[::1]:6380/2", "rediss://:p@[::1]:6380/2"),
    ("SECRET_KEY", "$money", "$money"),
    ("SECRET_KEY_FALLBACKS", "a, b", ["a", " b"]),
    ("SECRET_KEY", "", None),
    ("TASK_SECONDS", "", 300),
    ("IMAGES_S3_CA_FILE", "ca.pem", Path("ca.pem").absolute()),
    *(("BEHIND_TLS", word.upper(), True) for word in TRUE_WORDS),
    *(("BEHIND_TLS", word, False) for word in FALSE_WORDS),
]


@pytest.mark.parametrize(("name", "text", "value"), ACCEPTED)
def test_value_is_read_as_it_is_meant(name: str, text: str, value: Any) -> None:
    found = reading(**{name: text})

    assert not [fault for fault in found.faults if fault.variable == name]
    assert found.values[name] == value


def test_everything_that_is_wrong_is_told_at_once() -> None:
    found = reading(TASK_SECONDS="abc", BEHIND_TLS="yess", DICOM_TLS_KEY="/k.pem")

    assert [fault.variable for fault in found.faults] == [
        "BEHIND_TLS",
        "TASK_SECONDS",
        "DICOM_TLS_KEY",
    ]


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        (
            {"CLASSIFICATION_LEASE_SECONDS": "10", "TASK_SWEEP_SECONDS": "10"},
            "more than TASK_SWEEP_SECONDS, which is 10",
        ),
        (
            {"SESSION_IDLE_MINUTES": "90", "SESSION_MAX_HOURS": "1"},
            "can't be more than SESSION_MAX_HOURS",
        ),
        ({"DICOM_TLS_CLIENT_CA": "/ca.pem"}, "DICOM_TLS_CERTIFICATE isn't"),
        ({"IMAGES_S3_ENDPOINT": "https://s3.example"}, "IMAGES_S3_BUCKET isn't"),
        (
            {"IMAGES_S3_BUCKET": "b", "IMAGES_S3_ACCESS_KEY": "a"},
            "IMAGES_S3_SECRET_KEY isn't",
        ),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(
    environment: dict[str, str], words: str
) -> None:
    (fault,) = reading(**environment).faults

    assert fault.code == "settings_conflict"
    assert words in fault.message


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("INTAKE_MAX_FILE_MB", "INTAKE_MAX_FILE_MIB"),
        ("WEB_CONCURENCY", "WEB_CONCURRENCY"),
        ("SECRETKEY", "SECRET_KEY"),
        ("ALLOWED_HOST", "ALLOWED_HOSTS"),
        ("DATABASE_ULR", "DATABASE_URL"),
        ("behind_tls", "BEHIND_TLS"),
        ("MEDIMAGING_HOME", ""),
    ],
)
def test_misspelt_name_is_told_with_the_one_that_may_be_meant(name: str, meant: str) -> None:
    found = reading(**{name: "Gehe1m"})

    (fault,) = found.unknown
    assert fault.variable == name
    assert (f"{meant} may be meant" in fault.message) is bool(meant)
    assert "Gehe1m" not in fault.message
    assert found.faults == []


def test_names_of_others_are_nobodys_business() -> None:
    names = (
        *("PATH", "HOME", "LANG", "HOSTNAME", "HTTP_PROXY", "https_proxy", "AWS_REGION", "TERM"),
        *("PYTHONPATH", "DJANGO_SETTINGS_MODULE", "DICOM_SERVICE_HOST", "WEB_SERVICE_PORT"),
        *("DICOM_PORT_11112_TCP_ADDR", "POSTGRES_HOST_AUTH_METHOD", "REDIS_PORT", "LOGNAME"),
        *("SESSION_MANAGER", "XDG_SESSION_ID", "CELERY_BROKER", "TF_CPP_MIN_LOG_LEVEL", "EMAIL"),
    )

    assert reading(**dict.fromkeys(names, "x")).unknown == []


def test_environment_wins_over_the_file_and_unknown_names_in_the_file_are_told(
    tmp_path: Path,
) -> None:
    file = tmp_path / ".env"
    file.write_text(
        "# a comment\n\nTASK_SECONDS=20\nLOG_LEVEL='debug'\nexport DEBUG=no\nAWS_REGION=x\n"
        "NOBODY_KNOWS=1\nCOMPOSE_PROJECT_NAME=x\nSECRET_KEY=ab#cd\nPOSTGRES_PASSWORD=x\n"
    )

    found, in_file = read({"TASK_SECONDS": "30"}, file)

    assert found.faults == []
    assert (found.values["TASK_SECONDS"], found.values["LOG_LEVEL"]) == (30, "DEBUG")
    assert found.values["SECRET_KEY"] == "ab#cd"
    assert [fault.variable for fault in found.unknown] == ["NOBODY_KNOWS"]
    assert "in .env" in found.unknown[0].message
    assert in_file["AWS_REGION"] == "x"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"SECRET_KEY = Gehe1m\n", "Line 1 of"),
        (b"A=1\n  SECRET_KEY=Gehe1m\n", "Line 2 of"),
        (b"SECRET_KEY: Gehe1m\n", "NAME=value"),
        (b"SECRET_KEY=Gehe1m\xff\n", "UTF-8"),
    ],
)
def test_file_that_cannot_be_understood_is_refused_without_its_content(
    content: bytes, words: str, tmp_path: Path
) -> None:
    file = tmp_path / ".env"
    file.write_bytes(content)

    (fault,) = read({}, file)[0].faults

    assert words in fault.message
    assert "Gehe1m" not in fault.message


def test_file_that_cannot_be_opened_is_told_and_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()

    (fault,) = read({}, tmp_path / ".env")[0].faults

    assert fault.code == "env_file_invalid"


# The same table in the places where people read it.


def example_lines() -> dict[str, str]:
    text = (ROOT / ".env.example").read_text()
    return dict(re.findall(r"^#?([A-Z][A-Z0-9_]+)=(.*)$", text, re.MULTILINE))


def test_example_names_every_variable_with_its_default() -> None:
    shown = {v.name: v.shown for v in VARIABLES.values() if v.reader is not Reader.INTERNAL}

    assert example_lines() == shown


def test_every_default_and_example_is_a_value_that_is_taken() -> None:
    for variable in VARIABLES.values():
        for text in filter(None, (variable.default, variable.example)):
            assert variable.kind.parse(text) is not None
    assert reading().faults == []


def test_every_variable_of_the_product_is_read_somewhere() -> None:
    sources = [
        path.read_text()
        for path in (ROOT / "medimaging").rglob("*.py")
        if "configuration" not in path.parts
    ]
    asked = set(re.findall(r'(?:env|load\(\))\.\w+\(\s*"([A-Z0-9_]+)"', "\n".join(sources)))
    read_by_us = {v.name for v in VARIABLES.values() if v.reader is not Reader.COMPOSE}

    assert asked == read_by_us


def test_operators_page_names_settings_that_there_are_with_their_defaults() -> None:
    page = (ROOT / "docs" / "operators.md").read_text()
    rows = re.findall(r"^\| (`[A-Z][^|]*`) \| ([^|]*) \| .* \|$", page, re.MULTILINE)
    named = [(re.findall(r"`([A-Z0-9_]+)`", names), values) for names, values in rows]
    checked = 0
    for names, values in named:
        if not any(name in VARIABLES for name in names):
            continue
        assert all(name in VARIABLES for name in names), names
        defaults = re.findall(r"`([^`]*)`", values)
        if len(defaults) == len(names):
            for name, default in zip(names, defaults, strict=True):
                variable = VARIABLES[name]
                if default not in VARIABLES:
                    checked += 1
                    assert default in (variable.default, variable.example), name
    assert checked > 40


def test_a_name_that_the_table_lacks_fails_at_once() -> None:
    with pytest.raises(KeyError):
        reading().text("NO_SUCH_SETTING")
    with pytest.raises(TypeError, match="TASK_SECONDS"):
        reading().flag("TASK_SECONDS")
