"""What a deployment can set, and what it is told when it sets it wrongly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from chassis.settings import BrokenSetting, Settings, describe, load, load_or_exit

SECRET = "0123456789abcdef-the-deployments-secret"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.upper().startswith("VOLTSTREAM_")]:
        monkeypatch.delenv(name)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOLTSTREAM_KAFKA", "one:9092,two:9093")
    monkeypatch.setenv("VOLTSTREAM_PARTITIONS", "24")
    monkeypatch.setenv("VOLTSTREAM_SECRET", SECRET)
    settings = load()
    assert (settings.kafka, settings.partitions) == ("one:9092,two:9093", 24)
    assert settings.secret.get_secret_value() == SECRET


WRONG = {
    "VOLTSTREAM_KAFKA": "nowhere",
    "VOLTSTREAM_KAFKA_SECURITY": "MAYBE",
    "VOLTSTREAM_TOPIC_PREFIX": "volt stream/",
    "VOLTSTREAM_PARTITIONS": "0",
    "VOLTSTREAM_REPLICATION": "three",
    "VOLTSTREAM_SECRET": "hunter2hunter2",
    "VOLTSTREAM_LOG": "xml",
    "VOLTSTREAM_HEALTH_PORT": "65536",
    "VOLTSTREAM_PUBLIC_OCPP_URL": "https://wrong.example",
    "VOLTSTREAM_ADMIN_DIGEST": "the-key-itself-not-its-digest",
    "VOLTSTREAM_UNDECIDED_AFTER_S": "-8.25",
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_refused_by_its_name_and_is_not_repeated(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, WRONG[name])
    with pytest.raises(BrokenSetting, match=f"^{name}: ") as refused:
        load()
    if len(WRONG[name]) > 5:
        assert WRONG[name] not in str(refused.value)


def test_all_wrong_values_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in WRONG.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BrokenSetting) as refused:
        load()
    assert {line.partition(":")[0] for line in str(refused.value).splitlines()} == set(WRONG)


@pytest.mark.parametrize("name", ["VOLTSTREAM_KAFAK", "voltstream_kafka", "VOLTSTREAM_"])
def test_a_name_that_is_no_setting_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "x")
    with pytest.raises(BrokenSetting, match=f"{name}: there is no such setting"):
        load()


def test_a_broken_setting_ends_the_process_with_78(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VOLTSTREAM_PARTITIONS", "many")
    with pytest.raises(SystemExit) as ended:
        load_or_exit()
    assert ended.value.code == 78
    assert "VOLTSTREAM_PARTITIONS" in capsys.readouterr().err


@given(st.text(min_size=1, max_size=31))
def test_an_error_about_a_secret_never_shows_it(secret: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(secret=SecretStr(f"\N{KEY}{secret}"[:31]))
    assert "\N{KEY}" not in str(refused.value)
    assert "\N{KEY}" not in repr(refused.value)


@pytest.mark.parametrize(
    "name",
    ["secret", "sql", "clickhouse", "kafka_password", "clickhouse_password", "stripe_key", "stripe_webhook_secrets"],
)
def test_what_is_secret_is_not_shown_with_the_rest(name: str) -> None:
    settings = Settings.model_validate({name: SECRET})
    assert SECRET not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


def test_the_description_names_every_setting_and_its_default() -> None:
    text = " ".join(describe().split())
    for name, field in Settings.model_fields.items():
        assert f"VOLTSTREAM_{name.upper()} " in text
        assert field.description
        assert " ".join(field.description.split()) in text
