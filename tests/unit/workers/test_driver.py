"""A RabbitMQ connection is made without an import: a process forked amid one would never send anything."""

import pytest
from kombu import connection

from config.settings import Settings
from workers.app import create_app


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("amqp://me:pw@127.0.0.1:5672//", "pyamqp"),
        ("amqps://me:pw@127.0.0.1:5671//", "amqps"),
        ("redis://127.0.0.1:6379/0", None),
    ],
)
def test_no_other_driver_is_looked_for(url: str, driver: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    def imports() -> None:
        pytest.fail("this connection imports something each time")

    monkeypatch.setattr(connection, "supports_librabbitmq", imports)
    environ = {"PURSER_BROKER_URL": url, "PURSER_LEDGER_URL": "redis://127.0.0.1:6379/1"}
    app = create_app(Settings.load(environ=environ))
    made = app.connection_for_write()
    assert driver is None or made.transport_cls == driver
    assert made.hostname == "127.0.0.1"
