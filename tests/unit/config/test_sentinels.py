"""An address of sentinels: what it must say, how it is handed on, and that its passwords do not print."""

import pytest

from config.server_urls import mask_url
from config.settings import Settings
from purser.errors import ConfigurationError

THREE = "sentinel://:pw@a:1;sentinel://b:2;sentinel://c:3/4"
WHOLE = {"PURSER_BROKER_URL": THREE, "PURSER_SENTINEL_MASTER": "our master"}


def test_user_password_and_database_stand_on_every_address_that_is_handed_on() -> None:
    settings = Settings.load({"broker", "ledger"}, environ=WHOLE)

    assert settings.broker == "sentinel://:pw@a:1/4;sentinel://:pw@b:2/4;sentinel://:pw@c:3/4"
    assert settings.ledger == f"{settings.broker}?master=our%20master"


def test_one_redis_behind_sentinels_is_one_whatever_the_order_of_its_sentinels() -> None:
    other = {**WHOLE, "PURSER_LEDGER_URL": "sentinel://c:3;sentinel://a:1;sentinel://b:2/4"}

    assert Settings.load(environ=WHOLE).one_redis
    assert Settings.load(environ=other).one_redis
    assert not Settings.load(environ={**other, "PURSER_LEDGER_URL": "sentinel://a:1;sentinel://b:2/4"}).one_redis
    assert not Settings.load(environ={**other, "PURSER_LEDGER_URL": f"{THREE[:-1]}5"}).one_redis


@pytest.mark.parametrize("name", ["PURSER_BROKER_URL", "PURSER_LEDGER_URL"])
def test_sentinels_without_a_master_stop_the_start(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"PURSER_SENTINEL_MASTER is missing: {name} names sentinels"):
        Settings.load(environ={"PURSER_BROKER_URL": "redis://localhost", name: "sentinel://a:1"})


def test_no_password_of_an_address_of_sentinels_prints() -> None:
    url = "sentinel://:first@a:1;sentinel://me:second@b:2/0"
    settings = Settings.load(environ={**WHOLE, "PURSER_BROKER_URL": url})

    assert mask_url(url) == "sentinel://:***@a:1;sentinel://me:***@b:2/0"
    assert "first" not in repr(settings)
    assert "second" not in repr(settings)
    assert {"first", "second"} <= set(settings.secrets)


def test_a_child_process_is_told_the_same() -> None:
    settings = Settings.load(environ=WHOLE)

    assert Settings.load(environ=settings.to_environ()) == settings
