"""Settings come from the environment, all at once or not at all."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from urllib.parse import unquote

import platformdirs
import pytest

from proctor.core.address import read_address
from proctor.core.secret import Secret
from proctor.settings import Settings, SettingsError, declared, table

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"


def refused(**environ: str) -> dict[str, str]:
    """The problems by variable."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({"PROCTOR_HOME": "/srv/proctor", **environ})
    return {p.variable: str(p) for p in caught.value.problems}


def read(**environ: str) -> Settings:
    return Settings.from_environment({"PROCTOR_HOME": "/srv/proctor", **environ})


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    settings = Settings.from_environment({})
    home = platformdirs.user_state_path("proctor")
    assert settings.home == home
    assert settings.database_url.reveal() == f"sqlite:///{home}/proctor.db"
    assert settings.broker_url.reveal() == f"filesystem://{home}/broker"
    assert settings.config == Path("proctor.yaml").absolute()
    assert settings.hub_endpoint == "https://huggingface.co"
    assert settings.hub_token is None
    assert settings.hub_home is None
    assert settings.webhook_secrets == ()
    assert settings.public_url == ""
    assert (settings.port, settings.max_body) == (8000, 1_048_576)
    assert (settings.lease, settings.heartbeat, settings.hub_timeout) == (60, 5, 30)


def test_what_is_set_is_read() -> None:
    settings = read(
        PROCTOR_CONFIG="/etc/proctor.yaml",
        PROCTOR_BROKER_URL="redis://:pw@cache:6379/0",
        PROCTOR_WEBHOOK_SECRETS="old one, new",
        PROCTOR_PUBLIC_URL="https://proctor.example/",
        HF_ENDPOINT="http://127.0.0.1:9000/",
        HF_TOKEN="hf_abcdefgh1234",
        HF_HOME="/cache",
        PORT="0",
        PROCTOR_LEASE="20",
        PROCTOR_LOG_LEVEL="debug",
    )
    assert settings.config == Path("/etc/proctor.yaml")
    assert settings.broker_url.reveal() == "redis://:pw@cache:6379/0"
    assert [s.reveal() for s in settings.webhook_secrets] == ["old one", "new"]
    assert settings.public_url == "https://proctor.example"
    assert settings.hub_endpoint == "http://127.0.0.1:9000"
    assert settings.hub_token == Secret("hf_abcdefgh1234")
    assert settings.hub_home == Path("/cache")
    assert (settings.port, settings.lease, settings.log_level) == (0, 20, "DEBUG")


@pytest.mark.parametrize(
    ("written", "used"),
    [
        ("sqlite:///data/p.db", "sqlite:///data/p.db"),
        ("postgresql+psycopg://u:p@db/x", "postgresql+psycopg://u:p@db/x"),
        ("postgresql://u:p@db/x", "postgresql+psycopg://u:p@db/x"),
        ("postgres://u:p@db/x", "postgresql+psycopg://u:p@db/x"),
    ],
)
def test_database_urls_get_the_driver_that_is_installed(written: str, used: str) -> None:
    assert read(PROCTOR_DATABASE_URL=written).database_url.reveal() == used


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        (
            "PROCTOR_DATABASE_URL",
            "mysql://u:geheim@db/x",
            "the ledger lives in SQLite or PostgreSQL",
        ),
        ("PROCTOR_DATABASE_URL", "sqlite://", "in memory"),
        ("PROCTOR_DATABASE_URL", "sqlite:///:memory:", "in memory"),
        ("PROCTOR_DATABASE_URL", "geheim", "not a database URL"),
        ("PROCTOR_DATABASE_URL", "postgresql://u:geheim@h:port/x", "not a database URL"),
        ("PROCTOR_BROKER_URL", "redis://:geheim/x@h:6379", "cannot be read as a URL"),
        ("PROCTOR_BROKER_URL", "redis://:12/geheim@h:6379", "cannot be read as a URL"),
        ("PROCTOR_BROKER_URL", "redis://:geheim[@h:6379", "cannot be read as a URL"),
        ("PROCTOR_BROKER_URL", "amqp://u:geheim@mq", "'amqp' is not a broker"),
        ("PROCTOR_BROKER_URL", "filesystem://relative", "names no folder"),
        ("PROCTOR_WEBHOOK_SECRETS", "geheim,", "secret 2 of 2 is empty"),
        ("PROCTOR_WEBHOOK_SECRETS", "geheim,schlüssel", "HTTP header, which holds ASCII only"),
        ("PROCTOR_PUBLIC_URL", "proctor.example", "http://"),
        ("PROCTOR_PUBLIC_URL", "https://u:geheim@proctor.example", "has a password"),
        ("HF_ENDPOINT", "ftp://hub", "http://"),
        ("PORT", "65536", "out of range"),
        ("PORT", "http", "not a whole number"),
        ("PROCTOR_MAX_BODY", "1", "out of range"),
        ("PROCTOR_LEASE", "1m", "without a unit"),
        ("PROCTOR_LEASE", "nan", "number of seconds"),
        ("PROCTOR_LOG_LEVEL", "loud", "DEBUG, INFO"),
        ("PROCTOR_HEARTBEAT", "31", "more than half of PROCTOR_LEASE"),
        ("PROCTOR_WEBHOOK_SECRET", "geheim", "Did you mean PROCTOR_WEBHOOK_SECRETS?"),
    ],
)
def test_a_bad_value_is_refused_with_a_remedy(variable: str, value: str, told: str) -> None:
    problems = refused(**{variable: value})
    assert list(problems) == [variable]
    assert told in problems[variable]
    assert "geheim" not in problems[variable]


def test_all_problems_are_told_at_once() -> None:
    problems = refused(PORT="x", HF_ENDPOINT="x", PROCTOR_LEASE="x", PROCTOR_WEBHOOK_SECRETS=",")
    assert set(problems) == {"PORT", "HF_ENDPOINT", "PROCTOR_LEASE", "PROCTOR_WEBHOOK_SECRETS"}


def test_unrelated_variables_of_others_are_left_alone() -> None:
    assert read(PROCTOR_TEAM_MASCOT="owl").port == 8000


SECRETS = [s.variable for s in declared().values() if s.secret]
EXAMPLES = {
    "PROCTOR_DATABASE_URL": "postgresql+psycopg://u:geheim@db/x",
    "PROCTOR_BROKER_URL": "redis://:geheim@cache:6379/0",
    "PROCTOR_WEBHOOK_SECRETS": "geheim-1,geheim-2",
    "HF_TOKEN": "hf_geheim1234",
}


@pytest.mark.parametrize("variable", SECRETS)
def test_every_secret_is_also_read_from_a_file(variable: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(EXAMPLES[variable] + "\n")
    assert read(**{f"{variable}_FILE": str(file)}) == read(**{variable: EXAMPLES[variable]})


@pytest.mark.parametrize("variable", SECRETS)
def test_a_secret_given_twice_or_unreadable_is_refused(variable: str, tmp_path: Path) -> None:
    both = {variable: EXAMPLES[variable], f"{variable}_FILE": str(tmp_path / "none")}
    assert "both set" in refused(**both)[variable]
    assert "cannot be read" in refused(**{f"{variable}_FILE": str(tmp_path / "none")})[variable]
    (tmp_path / "empty").write_text("\n")
    assert "is empty" in refused(**{f"{variable}_FILE": str(tmp_path / "empty")})[variable]
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert "not UTF-8" in refused(**{f"{variable}_FILE": str(tmp_path / "binary")})[variable]


def test_settings_never_show_their_secrets() -> None:
    settings = read(**EXAMPLES)
    assert "geheim" not in repr(settings)
    assert "geheim" not in f"{settings}"
    assert {s.reveal() for s in settings.secrets()} == {
        "geheim",
        "geheim-1",
        "geheim-2",
        "hf_geheim1234",
    }
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(settings)


def test_every_setting_is_documented() -> None:
    assert table() in DOCUMENTATION.read_text("utf-8")
    documented = set(re.findall(r"`((?:PROCTOR|HF)_[A-Z_]+|PORT)`", table()))
    known = {s.variable for s in declared().values()}
    assert documented == known | {f"{v}_FILE" for v in SECRETS}


@pytest.mark.parametrize(
    "password", ["s3cr/et", "s3cr?et", "s3cr#et", "s3c%2Fet", "s3cr[et", "a+b"]
)
def test_a_password_is_known_as_it_is_written_and_as_it_is_meant(password: str) -> None:
    settings = read(PROCTOR_DATABASE_URL=f"postgresql://u:{password}@db/x")
    held = {secret.reveal() for secret in settings.secrets()}
    assert {password, unquote(password)} <= held


def test_a_folder_of_any_name_holds_the_database(tmp_path: Path) -> None:
    home = tmp_path / "100 %20 sure? #1"
    address = read_address(read(PROCTOR_HOME=str(home)).database_url.reveal())
    assert address.database == str(home / "proctor.db")
