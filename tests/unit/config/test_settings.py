"""Settings are checked as a whole before anything starts, and their secrets do not print."""

import copy
import pickle
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from config.server_urls import mask_url
from config.settings import BotRole, Need, SecretUrl, Settings
from purser.errors import ConfigurationError

EXAMPLE = Path(__file__).resolve().parents[3] / ".env.example"
COMPLETE = {
    "PURSER_BROKER_URL": "redis://:brokerpass@localhost:6379/0",
    "PURSER_ODOO_URL": "https://odoo.example.com/",
    "PURSER_ODOO_DB": "example",
    "PURSER_ODOO_LOGIN": "purser-bot",
    "PURSER_ODOO_API_KEY": "key-of-the-bot",
    "PURSER_SENTRY_DSN": "https://public-part@sentry.example.com/1",
    "PURSER_FLOWER_PASSWORD": "flowerpass",
    "PURSER_GATEWAY_SECRETS": "/crm whsec_c2lnbmluZy1rZXktb2YtdGhlLWNybS0wMQ==",
}
SIGNING = "whsec_c2lnbmluZy1rZXktb2YtdGhlLWNybS0wMQ=="
EVERYTHING: tuple[Need, ...] = ("broker", "ledger", "odoo", "flower", "gateway")
SECRETS = ("brokerpass", "key-of-the-bot", "public-part", "flowerpass", SIGNING)


def load(*need: Need, **changed: str) -> Settings:
    return Settings.load(need, environ={**COMPLETE, **changed})


def mistakes(*need: Need, environ: dict[str, str]) -> list[str]:
    """Return the lines of the ConfigurationError that loading `environ` ends with, the first of which counts them."""
    with pytest.raises(ConfigurationError) as caught:
        Settings.load(need, environ=environ)
    first, *lines = str(caught.value).splitlines()
    assert first.startswith(f"the settings have {len(lines)} problem")
    return [line.removeprefix("- ") for line in lines]


# ---------------------------------------------------------------------------------- load --


def test_a_complete_environment_loads() -> None:
    settings = load(*EVERYTHING)
    assert settings.broker == "redis://:brokerpass@localhost:6379/0"
    assert settings.odoo_url == "https://odoo.example.com"
    assert (settings.lease, settings.heartbeat) == (15.0, 3.0)
    assert settings.one_redis


def test_a_command_needs_only_the_settings_it_uses() -> None:
    assert Settings.load(environ={}).broker_url is None
    odoo_alone = {name: value for name, value in COMPLETE.items() if "ODOO" in name}
    assert Settings.load({"odoo"}, environ=odoo_alone).odoo(BotRole.AUDIT).login == "purser-bot"


def test_every_problem_is_listed_at_once_and_says_what_to_do() -> None:
    lines = mistakes(
        "broker",
        "ledger",
        "odoo",
        environ={"PURSER_ODOO_DBB": "example", "PURSER_LOG_LEVEL": "loud", "PURSER_CHUNK_SIZE": "101"},
    )
    assert lines[0] == "PURSER_ODOO_DBB is unknown. Did you mean `PURSER_ODOO_DB`?"
    assert [line.split(" is missing: ")[0] for line in lines[1:-2]] == [
        "PURSER_BROKER_URL",
        "PURSER_LEDGER_URL",
        "PURSER_ODOO_URL",
        "PURSER_ODOO_DB",
        "PURSER_ODOO_LOGIN",
        "PURSER_ODOO_API_KEY",
    ]
    assert lines[-2] == "PURSER_CHUNK_SIZE=101 is wrong: input should be less than or equal to 100"
    assert lines[-1].startswith("PURSER_LOG_LEVEL=loud is wrong: input should be 'debug'")


def test_an_unknown_setting_without_a_likeness_is_answered_with_where_to_look() -> None:
    assert mistakes(environ={"PURSER_XYZZY": "1"}) == ["PURSER_XYZZY is unknown. .env.example lists every setting."]


def test_variables_of_others_and_of_the_tests_are_no_settings() -> None:
    Settings.load(environ={"PURSER_TEST_ODOO_URL": "x", "PATH": "y", "ODOO_URL": "z"})


def test_an_empty_variable_counts_as_not_set() -> None:
    assert load(PURSER_SENTRY_DSN="", PURSER_LOG_LEVEL="").log_level == "info"
    assert mistakes("odoo", environ={**COMPLETE, "PURSER_ODOO_DB": ""}) == [
        "PURSER_ODOO_DB is missing: the name of the Odoo database"
    ]


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load().chunk_size = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("PURSER_BROKER_URL", "sqs://x", "must begin with one of redis://"),
        ("PURSER_LEDGER_URL", "amqp://x", "must begin with one of redis://"),
        ("PURSER_ODOO_URL", "odoo.example.com", "write the whole address"),
        ("PURSER_ODOO_URL", "https://me:pw@odoo.example.com", "write the address alone"),
        ("PURSER_ODOO_TIMEOUT", "nan", "finite number"),
        ("PURSER_ODOO_API", "xmlrpc", "input should be 'auto', 'json2' or 'odoorpc'"),
        ("PURSER_FLOWER_USER", "a:b", "should match"),
    ],
)
def test_a_wrong_value_is_named_with_its_reason(name: str, value: str, reason: str) -> None:
    [line] = mistakes(environ={**COMPLETE, name: value})
    assert line.startswith(name)
    assert reason in line


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"PURSER_TASK_SOFT_TIME_LIMIT": "301"}, "PURSER_TASK_SOFT_TIME_LIMIT (301 s) must be shorter"),
        ({"PURSER_LEASE": "5"}, "PURSER_LEASE (5 s) must be at least three times PURSER_HEARTBEAT (3 s)"),
        ({"PURSER_ODOO_TIMEOUT": "240"}, "PURSER_ODOO_TIMEOUT (240 s) must be shorter"),
    ],
)
def test_time_limits_that_do_not_nest_are_refused(changed: dict[str, str], reason: str) -> None:
    [line] = mistakes(environ={**COMPLETE, **changed})
    assert line.startswith(reason)


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("PURSER_ODOO_DB=from_file\nPURSER_CHUNK_SIZE=7\nPURSER_CHUNK=7\nOTHER=1\n")
    with pytest.raises(ConfigurationError, match="PURSER_CHUNK is unknown"):
        Settings.load(environ=COMPLETE, env_file=file)
    file.write_text("PURSER_ODOO_DB=from_file\nPURSER_CHUNK_SIZE=7\n")
    settings = Settings.load(environ=COMPLETE, env_file=file)
    assert (settings.odoo_db, settings.chunk_size) == ("example", 7)


def test_a_missing_env_file_is_no_mistake(tmp_path: Path) -> None:
    assert Settings.load(environ=COMPLETE, env_file=tmp_path / ".env") == load()


def test_the_environment_of_the_process_counts_where_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.names():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PURSER_ODOO_DB", "from_process")
    assert Settings.load().odoo_db == "from_process"


def test_a_child_process_can_load_the_same_settings() -> None:
    settings = load(PURSER_ODOO_AUDIT_LOGIN="audit", PURSER_ODOO_AUDIT_API_KEY="k", PURSER_POLICIES="p.yaml")
    assert Settings.load(EVERYTHING, environ=settings.to_environ()) == settings


# ------------------------------------------------------------------------------- secrets --


@pytest.mark.parametrize("name", Settings.file_names())
def test_each_secret_may_stand_in_a_file(name: str, tmp_path: Path) -> None:
    variable = name.removesuffix("_FILE")
    written = f"/crm {SIGNING}" if variable == "PURSER_GATEWAY_SECRETS" else "redis://:from-file@localhost/1"
    written = f"n8n {SIGNING}" if variable == "PURSER_OUTBOUND_SECRETS" else written
    secret = tmp_path / "secret"
    secret.write_text(f"{written}\n")
    environ = {**COMPLETE, name: str(secret)}
    environ.pop(variable, None)
    if variable.endswith("_API_KEY"):
        environ[variable.replace("_API_KEY", "_LOGIN")] = "bot"
    loaded = Settings.load(environ=environ).to_environ()
    assert loaded[variable] == written


def test_every_secret_has_a_file_form_and_nothing_else_has() -> None:
    assert {name for name in Settings.file_names() if "ODOO" not in name} == {
        "PURSER_BROKER_URL_FILE",
        "PURSER_LEDGER_URL_FILE",
        "PURSER_SENTRY_DSN_FILE",
        "PURSER_FLOWER_PASSWORD_FILE",
        "PURSER_GATEWAY_SECRETS_FILE",
        "PURSER_OUTBOUND_SECRETS_FILE",
    }
    assert mistakes(environ={"PURSER_ODOO_DB_FILE": "x"})[0].startswith("PURSER_ODOO_DB_FILE is unknown")


def test_a_secret_file_that_is_missing_empty_or_doubled_is_a_problem_said_once(tmp_path: Path) -> None:
    bare = {name: value for name, value in COMPLETE.items() if name != "PURSER_ODOO_API_KEY"}
    empty = tmp_path / "empty"
    empty.write_text(" \n")
    absent = tmp_path / "absent"
    name = "PURSER_ODOO_API_KEY_FILE"
    assert mistakes("odoo", environ={**bare, name: str(absent)}) == [
        f"{name}={absent} cannot be read: No such file or directory"
    ]
    assert mistakes("odoo", environ={**bare, name: str(empty)}) == [
        f"{name}={empty} is empty: put the secret into it"
    ]
    assert mistakes("odoo", environ={**COMPLETE, name: str(empty)}) == [
        f"PURSER_ODOO_API_KEY and {name} are both set: keep one"
    ]


def test_no_form_of_the_settings_prints_a_secret() -> None:
    settings = load(PURSER_LEDGER_URL="rediss://me:ledgerpass@host:1/2?ssl_cert_reqs=required")
    forms = (
        repr(settings),
        str(settings),
        f"{settings.broker_url} {settings.ledger_url!r}",
        str(settings.model_dump()),
        settings.model_dump_json(),
        repr(settings.odoo(BotRole.AUDIT)),
    )
    for form in forms:
        assert [secret for secret in (*SECRETS, "ledgerpass") if secret in form] == []
    assert "rediss://me:***@host:1/2?ssl_cert_reqs=required" in repr(settings)


def test_no_mistake_prints_a_secret() -> None:
    lines = mistakes(
        environ={
            "PURSER_BROKER_URL": "http://:brokerpass@localhost",
            "PURSER_LEDGER_URL": "http://:ledgerpass@localhost",
            "PURSER_ODOO_AUDIT_API_KEY": "key-of-the-bot",
        }
    )
    assert [secret for secret in ("brokerpass", "ledgerpass", "key-of-the-bot") if secret in " ".join(lines)] == []
    assert len(lines) == 2


def test_no_secret_has_a_default() -> None:
    assert Settings.load(environ={}).secrets == ()


def test_the_secrets_are_known_to_whoever_keeps_them_out_of_logs() -> None:
    settings = load(PURSER_LEDGER_URL="redis://:p%40ss@localhost/1")
    dsn = COMPLETE["PURSER_SENTRY_DSN"]
    assert set(settings.secrets) == {"brokerpass", "key-of-the-bot", "flowerpass", SIGNING, dsn, "p%40ss", "p@ss"}


def test_a_copy_keeps_its_secrets_and_still_does_not_print_them() -> None:
    for twin in (copy.deepcopy(load()), pickle.loads(pickle.dumps(load()))):  # noqa: S301 - our own bytes
        assert twin == load()
        assert "brokerpass" not in repr(twin)


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("redis://localhost/0", "redis://localhost/0"),
        ("redis://:pw@localhost/0", "redis://:***@localhost/0"),
        ("amqp://me:p@w@host:5672//", "amqp://me:***@host:5672//"),
        ("redis://[broken", "redis://***"),
        ("amqp://u:aaa@one:5699//;amqp://u:s3crt-B@two:5698//", "amqp://u:***@one:5699//;amqp://u:***@two:5698//"),
        ("amqp://u:s3cr#t@127.0.0.1:5699//", "amqp://***"),
        ("amqp://u:s3cr/t@127.0.0.1:5699//", "amqp://***"),
        ("redis://127.0.0.1:6399/0?password=s3crt", "redis://127.0.0.1:6399/0?password=***"),
        ("redis+socket:///s?virtual_host=1&password=s3crt", "redis+socket:///s?virtual_host=1&password=***"),
        ("redis://:s3cr#t@127.0.0.1:6399/0", "redis://***"),
        ("redis://:s3cr[t@127.0.0.1:6399/0", "redis://:***@127.0.0.1:6399/0"),
        ("guest", "***"),
        ("amqp://guest:guest@host//", "amqp://***@host//"),
        ("https://public-part@sentry.example.com/1", "https://***@sentry.example.com/1"),
        ("https://hooks.example.com/a?token=s3crt", "https://hooks.example.com/a?***"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, masked: str) -> None:
    assert mask_url(url) == masked


ESCAPED = "write #, /, ?, [, @ in a password as %23, %2F, %3F, %5B, %40"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("amqp://u:s3cr#t@127.0.0.1:5699//", ESCAPED),
        ("amqp://u:s3cr/t@127.0.0.1:5699//", ESCAPED),
        ("amqp://u:s3cr?t@127.0.0.1:5699//", ESCAPED),
        ("amqp://u:s3cr@t@127.0.0.1:5699//", ESCAPED),
        ("redis://:s3cr#t@127.0.0.1:6399/0", ESCAPED),
        ("redis://:s3cr[t@127.0.0.1:6399/0", ESCAPED),
        ("redis://localhost:99999/0", ESCAPED),
        ("amqp://u:aaaa@one//;amqp://u:s3cr#t@two//", ESCAPED),
        ("redis://127.0.0.1:6399/0?password=s3cr", "write user and password before the host"),
        ("redis://localhost/0?db=3", "write the number of the database as /3 behind the host"),
        ("redis://localhost?virtual_host=4", "write the number of the database as /3 behind the host"),
        ("redis+socket:///s?db=4", "write the number of the database as ?virtual_host=3"),
        ("amqps://u:p@host//?cacertfile=/ca.pem", "unknown here; known: ssl_ca_certs"),
        ("amqps://u:p@host//?ssl_cert_reqs=yes", "ssl_cert_reqs must be required, optional or none"),
        ("redis://localhost/x3", "the number of the database stands behind the host"),
        ("amqp://one//;redis://two/0", "the same scheme"),
    ],
)
def test_an_address_that_libraries_read_differently_stops_the_start_without_its_password(
    url: str, problem: str
) -> None:
    environ = {**COMPLETE, "PURSER_BROKER_URL": url, "PURSER_LEDGER_URL": "redis://localhost/1"}
    [line] = mistakes("broker", "ledger", environ=environ)
    assert line.startswith("PURSER_BROKER_URL is wrong: ")
    assert problem in line
    assert "s3cr" not in line
    del environ["PURSER_LEDGER_URL"]
    assert all(
        one.startswith(("PURSER_BROKER_URL is wrong", "PURSER_LEDGER_URL is missing"))
        for one in mistakes("broker", environ=environ)
    )


@pytest.mark.parametrize(
    "url",
    [
        *(
            "redis://h",
            "redis:///0",
            "redis://:p%23%2F@h:1/0",
            "redis://me:p:w!$&'*+,=~;x@h/0",
            "redis://[::1]:6379/2",
        ),
        *("amqp://u:p@one:1//;amqp://u:p@two:2//", "amqp://u:p@h/%2F", "amqp://u:p@h/my-vhost", "amqp://h"),
        "rediss://u:p@h:1/0?ssl_cert_reqs=required&ssl_ca_certs=/etc/ca.pem",
        "amqps://u:p@h//?ssl_ca_certs=/etc/ca.pem&ssl_certfile=/c.pem&ssl_keyfile=/k.pem&ssl_check_hostname=false",
        "redis+socket:///run/redis.sock?virtual_host=2&password=p",
    ],
)
def test_an_address_in_its_right_form_is_taken(url: str) -> None:
    loaded = Settings.load({"broker"}, environ={"PURSER_BROKER_URL": url, "PURSER_LEDGER_URL": "redis://h/1"})
    assert loaded.broker == url


def test_a_password_in_the_address_of_odoo_is_not_repeated() -> None:
    [line] = mistakes(environ={**COMPLETE, "PURSER_ODOO_URL": "https://me:s3cr@odoo.example.com"})
    assert line.startswith("PURSER_ODOO_URL=https://me:***@odoo.example.com is wrong")


FORMS = (
    "amqp://user:{}@127.0.0.1:5699//",
    "amqp://user:aaa@127.0.0.1:5699//;amqp://user:{}@127.0.0.1:5698//",
    "redis://:{}@127.0.0.1:6399/0",
    "redis://127.0.0.1:6399/0?password={}",
    "redis+socket:///run/none.sock?virtual_host=1&password={}",
    "sentinel://user:{}@127.0.0.1:26379;sentinel://127.0.0.2:26379/0",
    "https://{}@127.0.0.1/1",
    "postgresql+psycopg://user:{}@127.0.0.1/1",
    "user:{}@127.0.0.1",
    "//user:{}@127.0.0.1",
)
PASSWORD = st.text(st.characters(exclude_characters="*"), min_size=4, max_size=40) | st.text(
    "ab1;:/?#[]@%&= ", min_size=4, max_size=30
)


@given(st.sampled_from(FORMS), PASSWORD)
def test_no_part_of_a_password_is_shown(form: str, password: str) -> None:
    harmless = form.format("")
    for url in (form.format(password), form.format(quote(password, safe="", errors="surrogatepass"))):
        shown = mask_url(url)
        parts = {password[at : at + 4] for at in range(len(password) - 3)}
        assert [part for part in parts if part in shown and part not in harmless] == []


# ------------------------------------------------------------------- broker, ledger, bots --


def test_a_redis_broker_is_the_ledger_unless_another_is_named() -> None:
    assert load("ledger").ledger == load().broker
    assert load(PURSER_LEDGER_URL="redis://other/1").ledger == "redis://other/1"
    over_socket = load(PURSER_BROKER_URL="redis+socket:///run/redis.sock?virtual_host=2")
    assert over_socket.ledger == "unix:///run/redis.sock?db=2"


def test_a_rabbitmq_broker_needs_a_ledger_of_its_own() -> None:
    amqp = {**COMPLETE, "PURSER_BROKER_URL": "amqp://me:pw@host//"}
    [line] = mistakes("broker", "ledger", environ=amqp)
    assert line.startswith("PURSER_LEDGER_URL is missing")
    assert Settings.load({"broker"}, environ=amqp).ledger_url is None


def test_a_role_without_a_bot_of_its_own_uses_the_single_one_and_says_so() -> None:
    settings = load(PURSER_ODOO_BILLING_LOGIN="billing-bot", PURSER_ODOO_BILLING_API_KEY="billing-key")
    assert settings.shared_bots == (BotRole.AUDIT, BotRole.CHANGE)
    assert settings.odoo(BotRole.AUDIT).api_key == "key-of-the-bot"
    billing = settings.odoo(BotRole.BILLING)
    assert (billing.login, billing.api_key, billing.db) == ("billing-bot", "billing-key", "example")


def test_the_single_bot_may_be_left_out_where_each_role_has_its_own() -> None:
    environ = {"PURSER_ODOO_URL": "https://odoo.example.com", "PURSER_ODOO_DB": "example"}
    for role in BotRole:
        environ[f"PURSER_ODOO_{role.upper()}_LOGIN"] = role
        environ[f"PURSER_ODOO_{role.upper()}_API_KEY"] = f"key of {role}"
    settings = Settings.load({"odoo"}, environ=environ)
    assert settings.shared_bots == ()
    assert [settings.odoo(role).login for role in BotRole] == ["audit", "change", "billing"]
    del environ["PURSER_ODOO_AUDIT_LOGIN"], environ["PURSER_ODOO_AUDIT_API_KEY"]
    assert [line.split(" is ")[0] for line in mistakes("odoo", environ=environ)] == [
        "PURSER_ODOO_LOGIN",
        "PURSER_ODOO_API_KEY",
    ]


@pytest.mark.parametrize("half", ["LOGIN", "API_KEY"])
def test_half_a_bot_is_a_mistake(half: str) -> None:
    [line] = mistakes("odoo", environ={**COMPLETE, f"PURSER_ODOO_CHANGE_{half}": "x"})
    assert line == "set both PURSER_ODOO_CHANGE_LOGIN and PURSER_ODOO_CHANGE_API_KEY, or neither"


def test_using_what_was_not_needed_at_the_start_says_what_is_missing() -> None:
    nothing = Settings.load(environ={})
    with pytest.raises(ConfigurationError, match="PURSER_BROKER_URL is missing"):
        _ = nothing.broker
    with pytest.raises(ConfigurationError, match="PURSER_ODOO_LOGIN is missing"):
        nothing.odoo(BotRole.AUDIT)


def test_settings_built_in_code_do_not_look_at_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PURSER_ODOO_DB", "from_process")
    built = Settings(broker_url=SecretUrl("redis://localhost/3"), odoo_api_key=SecretStr("k"), odoo_login="l")
    assert built.odoo_db is None
    assert built.ledger == "redis://localhost/3"


# --------------------------------------------------------------------------- .env.example --


def example(*, with_defaults: bool) -> dict[str, str]:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    if with_defaults:
        lines = [line.removeprefix("# ") if line.startswith("# PURSER_") else line for line in lines]
    pairs = [line.partition("=")[::2] for line in lines if line.startswith("PURSER_")]
    assert len(pairs) == len({name for name, _ in pairs})
    return dict(pairs)


def test_the_example_names_every_setting_and_no_other() -> None:
    assert set(example(with_defaults=True)) == {*Settings.names(), *Settings.file_names()}


def test_the_example_loads_once_its_secrets_are_filled_in() -> None:
    given = example(with_defaults=False)
    assert [line.split(" is ")[0] for line in mistakes(*EVERYTHING, environ=given)] == [
        "PURSER_BROKER_URL",
        "PURSER_LEDGER_URL",
        "PURSER_ODOO_API_KEY",
        "PURSER_FLOWER_PASSWORD",
        "PURSER_GATEWAY_SECRETS",
    ]
    own = {"PURSER_BROKER_URL": "redis://localhost", "PURSER_ODOO_API_KEY": "k", "PURSER_FLOWER_PASSWORD": "p"}
    own["PURSER_GATEWAY_SECRETS"] = f"/crm {SIGNING}"
    filled = {**given, **own}
    assert Settings.load(EVERYTHING, environ=filled).odoo_url == "https://odoo.example.com"


def test_the_defaults_shown_in_the_example_are_the_real_ones() -> None:
    shown = Settings.load(environ=example(with_defaults=True))
    assert shown == Settings.load(environ=example(with_defaults=False))


def test_the_example_explains_every_setting() -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    for above, line in pairwise(lines):
        name = line.removeprefix("# ").split("=")[0]
        if name in Settings.names() and not name.endswith("_API_KEY"):
            assert above.startswith("# "), f"{name} has no comment above it"
            assert not above.startswith(("# PURSER_", "# ---")), f"{name} has no comment of its own"


@pytest.mark.parametrize(
    ("broker", "ledger", "one"),
    [
        ("redis://localhost/0", "redis://:secret@localhost:6379/0", True),
        ("redis://localhost/0", "redis://localhost/1", False),
        ("redis://localhost:6379", "redis://localhost:6380", False),
        ("redis://localhost", "rediss://localhost", False),
        ("redis+socket:///run/redis.sock?virtual_host=2", "unix:///run/redis.sock?db=2", True),
        ("amqp://localhost//", "redis://localhost/0", False),
    ],
)
def test_broker_and_ledger_are_one_redis_only_if_host_port_and_database_agree(
    broker: str, ledger: str, one: bool
) -> None:
    assert load(PURSER_BROKER_URL=broker, PURSER_LEDGER_URL=ledger).one_redis is one
