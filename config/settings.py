"""Everything the environment decides is one frozen value, checked as a whole before anything starts."""

import enum
import json
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, get_args
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from pydantic import Field, Secret, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from config.security.event_sources import EventSource, read_senders
from config.security.networks import Network, read_networks
from config.security.signing_keys import read_keys, secrets_in
from config.server_urls import address_problem, mask_url, passwords_in
from events.cloudevent import MAX_BYTES
from purser.errors import ConfigurationError
from purser.naming import did_you_mean

T = TypeVar("T")

PREFIX = "PURSER_"
Need = Literal["broker", "ledger", "odoo", "address", "flower", "gateway"]
"""What a command is going to use; each has settings that must be there."""

_NEEDS: Mapping[Need, tuple[str, ...]] = {
    "broker": ("broker_url",),
    "ledger": ("ledger_url",),
    "odoo": ("odoo_url", "odoo_db", "odoo_login", "odoo_api_key"),
    "address": ("odoo_url", "odoo_db"),
    "flower": ("flower_user", "flower_password"),
    "gateway": ("gateway_secrets",),
}
_BROKERS = ("redis", "rediss", "redis+socket", "sentinel", "amqp", "amqps")
_LEDGERS = ("redis", "rediss", "unix", "sentinel")


class BotRole(enum.StrEnum):
    """The bots that act in Odoo, each with the rights its work needs and no more."""

    AUDIT = "audit"
    """Reads what controls look at."""
    CHANGE = "change"
    """Carries changes out."""
    BILLING = "billing"
    """Carries out what touches money."""


class SecretUrl(Secret[str]):
    """An address whose password does not print."""

    def _display(self) -> str:
        return mask_url(self.get_secret_value())


@dataclass(frozen=True, kw_only=True, slots=True)
class OdooAccess:
    """How one bot reaches Odoo."""

    url: str
    db: str
    login: str
    api_key: str = field(repr=False)
    api: Literal["auto", "json2", "odoorpc"]
    timeout: float


class Settings(BaseSettings):
    """What one deployment is told by its environment. Build it with `Settings.load`, once, at the top."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True)

    broker_url: SecretUrl | None = Field(None, description="where messages queue, such as redis://localhost:6379/0")
    ledger_url: SecretUrl | None = Field(None, description="the Redis of the ledger; a Redis broker serves as both")

    sentinel_master: str | None = Field(
        None, min_length=1, description="the master that the sentinels of a sentinel:// address watch"
    )

    odoo_url: str | None = Field(None, description="the address of Odoo, such as https://odoo.example.com")
    odoo_db: str | None = Field(None, description="the name of the Odoo database")
    odoo_login: str | None = Field(None, description="the login of the bot user in Odoo")
    odoo_api_key: SecretStr | None = Field(None, description="the API key of that user (Odoo: My Profile, Security)")
    odoo_audit_login: str | None = Field(None, description="a bot of its own for reading")
    odoo_audit_api_key: SecretStr | None = Field(None, description="the API key of the reading bot")
    odoo_change_login: str | None = Field(None, description="a bot of its own for changes")
    odoo_change_api_key: SecretStr | None = Field(None, description="the API key of the changing bot")
    odoo_billing_login: str | None = Field(None, description="a bot of its own for what touches money")
    odoo_billing_api_key: SecretStr | None = Field(None, description="the API key of the billing bot")
    odoo_admin_login: str | None = Field(
        None, description="an administrator, for `purser odoo setup` alone: give it to no worker"
    )
    odoo_admin_api_key: SecretStr | None = Field(None, description="the API key of that administrator")
    odoo_api: Literal["auto", "json2", "odoorpc"] = Field("auto", description="how to talk to Odoo")
    odoo_timeout: float = Field(60.0, gt=0, allow_inf_nan=False, description="seconds to wait for an answer of Odoo")

    gateway_url: str | None = Field(
        None, description="the address under which Odoo reaches the gateway, such as https://purser.example.com"
    )

    policies: Path | None = Field(None, description="the firm's policy file; without it the house view counts")

    lease: float = Field(
        15.0, ge=1, le=3600, allow_inf_nan=False, description="seconds until a dead worker's messages go to another"
    )
    heartbeat: float = Field(
        3.0, gt=0, allow_inf_nan=False, description="seconds between two renewals of a worker's lease"
    )
    rabbitmq_consumer_timeout: int = Field(
        1800, ge=60, description="seconds after which RabbitMQ takes a message back (its `consumer_timeout`)"
    )
    stalled_after: float = Field(
        600.0, ge=1, allow_inf_nan=False, description="seconds until an event without progress is sent again"
    )
    ghost_after: float = Field(
        60.0, ge=5, allow_inf_nan=False, description="seconds after which a worker that takes nothing starts anew"
    )
    task_time_limit: int = Field(300, ge=2, description="seconds after which a task is killed")
    task_soft_time_limit: int = Field(240, ge=1, description="seconds after which a task is asked to stop")
    chunk_size: int = Field(100, ge=1, le=100, description="changes that travel in one message")

    environment: str = Field("production", min_length=1, description="the name of this deployment, for Sentry")
    sentry_dsn: SecretStr | None = Field(None, description="where errors are reported; without it nowhere")
    log_format: Literal["auto", "json", "console"] = Field("auto", description="auto: JSON except on a terminal")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="the least that is logged")

    flower_user: str = Field("purser", min_length=1, pattern="^[^:]*$", description="the login of the Flower pages")
    flower_password: SecretStr | None = Field(None, description="the password of the Flower pages")
    people: Path | None = Field(
        None, description="the file of those who may enter Flower; without it the single login, which may all"
    )
    editable: str = Field(
        "purser.accept,purser.react", description="tasks whose dead letters may be edited, with commas between"
    )

    outbound_secrets: SecretStr | None = Field(
        None, description="the secrets that sign what subscriptions are sent, by name: n8n whsec_...; bi whsec_..."
    )
    gateway_host: str = Field("127.0.0.1", min_length=1, description="where the HTTP gateway listens")
    gateway_port: int = Field(8600, ge=0, le=65535, description="its port; 0 takes a free one")
    gateway_secrets: SecretStr | None = Field(
        None, description="who may send events, and the secrets each signs with: /crm whsec_...; /billing whsec_..."
    )
    gateway_proxies: str = Field(
        "",
        description="the proxies before the gateway and Flower whose X-Forwarded-For tells who sends: addresses or "
        "networks, with commas between",
    )
    gateway_body_limit: int = Field(MAX_BYTES, ge=1024, le=MAX_BYTES, description="bytes of a request with one event")
    gateway_batch_limit: int = Field(
        1024 * 1024, ge=1024, le=64 * 1024 * 1024, description="bytes of a request with a batch of events"
    )
    gateway_read_timeout: float = Field(
        10.0, gt=0, le=600, allow_inf_nan=False, description="seconds within which a request must be there as a whole"
    )
    gateway_rate: float = Field(
        100.0, gt=0, allow_inf_nan=False, description="events a second that a source may send for long"
    )

    # ------------------------------------------------------------------------------ build --

    @classmethod
    def load(
        cls,
        need: Collection[Need] = (),
        *,
        environ: Mapping[str, str] | None = None,
        env_file: Path | None = None,
    ) -> Self:
        """Build the settings; the environment wins over `env_file`. Raises ConfigurationError with all problems."""
        told = _told(cls, os.environ if environ is None else environ, env_file)
        problems = [*_unknown(cls, told)]
        read = {name: _value(cls, name, told, problems) for name in cls.model_fields}
        values = {name: value for name, value in read.items() if value is not None}
        problems += _missing(cls, values, need, problems)
        settings = None
        try:
            settings = cls.model_validate(values)
        except ValidationError as error:
            problems += _bad(cls, error, values)
        if problems or settings is None:
            count = f"{len(problems)} problem{'s' if len(problems) != 1 else ''}"
            raise ConfigurationError(
                "\n".join([f"the settings have {count}:", *(f"- {problem}" for problem in problems)])
            )
        return settings

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic passes it
        init_settings: PydanticBaseSettingsSource,
        *_: Any,
        **__: Any,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Build from what is given and nothing else: `load` reads the environment, a test does not."""
        return (init_settings,)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """List the variables that set something, without their `_FILE` forms."""
        return tuple(_variable(name) for name in cls.model_fields)

    @classmethod
    def file_names(cls) -> tuple[str, ...]:
        """List the variables that name a file holding a secret."""
        return tuple(f"{_variable(name)}_FILE" for name in cls.model_fields if _is_secret(cls, name))

    @model_validator(mode="before")
    @classmethod
    def _share_the_broker(cls, data: Any) -> Any:
        """A Redis broker is the ledger too, unless another one is named."""
        if not isinstance(data, dict) or data.get("ledger_url") is not None or data.get("broker_url") is None:
            return data
        broker = _revealed(data["broker_url"])
        if address_problem(broker, _BROKERS):
            return data  # said once, under the name of the setting that was set
        url = _as_ledger(broker)
        return {**data, "ledger_url": url} if url.partition("://")[0] in _LEDGERS else data

    @field_validator("broker_url", "ledger_url")
    @classmethod
    def _known_scheme(cls, url: SecretUrl | None, info: Any) -> SecretUrl | None:
        schemes = _BROKERS if info.field_name == "broker_url" else _LEDGERS
        if url is not None and (problem := address_problem(url.get_secret_value(), schemes)):
            raise ValueError(problem)
        return url

    @model_validator(mode="after")
    def _sentinels_know_the_master(self) -> Self:
        urls = {"PURSER_BROKER_URL": self.broker_url, "PURSER_LEDGER_URL": self.ledger_url}
        for name, url in urls.items():
            if url is not None and is_sentinel(url.get_secret_value()) and self.sentinel_master is None:
                raise ValueError(
                    f"PURSER_SENTINEL_MASTER is missing: {name} names sentinels, and these know their masters by name"
                )
        return self

    @field_validator("odoo_url", "gateway_url")
    @classmethod
    def _plain_address(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("write the whole address, such as https://odoo.example.com")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError("write the address alone, without user, password or what follows a ? or #")
        return url.rstrip("/")

    @field_validator("gateway_secrets", "outbound_secrets")
    @classmethod
    def _readable_secrets(cls, text: SecretStr | None, info: Any) -> SecretStr | None:
        read = read_senders if info.field_name == "gateway_secrets" else read_keys
        if text is not None:
            try:
                read(text.get_secret_value())
            except ConfigurationError as error:
                raise ValueError(str(error)) from None
        return text

    @field_validator("gateway_proxies")
    @classmethod
    def _readable_networks(cls, text: str) -> str:
        read_networks(text)
        return text

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower(cls, level: Any) -> Any:
        return level.lower() if isinstance(level, str) else level

    @model_validator(mode="after")
    def _limits_nest(self) -> Self:
        """A call that outlives its task has no outcome."""
        limits = [
            ("PURSER_ODOO_TIMEOUT", self.odoo_timeout),
            ("PURSER_TASK_SOFT_TIME_LIMIT", self.task_soft_time_limit),
            ("PURSER_TASK_TIME_LIMIT", self.task_time_limit),
        ]
        for (inner, shorter), (outer, longer) in pairwise(limits):
            if shorter >= longer:
                raise ValueError(f"{inner} ({shorter:g} s) must be shorter than {outer} ({longer:g} s)")
        return self

    @model_validator(mode="after")
    def _lease_outlasts_its_heartbeat(self) -> Self:
        """One renewal may be late and one may fail before a living worker counts as dead."""
        if self.lease < 3 * self.heartbeat:
            raise ValueError(
                f"PURSER_LEASE ({self.lease:g} s) must be at least three times PURSER_HEARTBEAT "
                f"({self.heartbeat:g} s): "
                "a worker whose renewal is late once would lose its messages"
            )
        return self

    @model_validator(mode="after")
    def _bots_are_whole(self) -> Self:
        for role in BotRole:
            login, key = self._bot(role)
            if (login is None) != (key is None):
                name = _variable(f"odoo_{role}_")
                raise ValueError(f"set both {name}LOGIN and {name}API_KEY, or neither")
        return self

    # -------------------------------------------------------------------------------- use --

    @property
    def broker(self) -> str:
        """The broker's address with its password: hand it on, print it nowhere."""
        url = _revealed(_needed("broker_url", self.broker_url))
        return _one_account(url) if is_sentinel(url) else url

    @property
    def ledger(self) -> str:
        """The ledger's address with its password: hand it on, print it nowhere."""
        url = _revealed(_needed("ledger_url", self.ledger_url))
        return f"{_one_account(url)}?master={quote(self.sentinel_master or '')}" if is_sentinel(url) else url

    @property
    def one_redis(self) -> bool:
        """Broker and ledger are the same database of the same Redis, so one step there can do both."""
        return _place(self.broker) == _place(self.ledger)

    def odoo(self, role: BotRole) -> OdooAccess:
        """Return the access of one bot; a role without a bot of its own uses the single one."""
        login, key = self._bot(role)
        if login is None or key is None:
            login, key = _needed("odoo_login", self.odoo_login), _needed("odoo_api_key", self.odoo_api_key)
        return OdooAccess(
            url=_needed("odoo_url", self.odoo_url),
            db=_needed("odoo_db", self.odoo_db),
            login=login,
            api_key=key.get_secret_value(),
            api=self.odoo_api,
            timeout=self.odoo_timeout,
        )

    @property
    def shared_bots(self) -> tuple[BotRole, ...]:
        """The roles that fell back to the single bot."""
        return tuple(role for role in BotRole if self._bot(role)[0] is None)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every secret value, for whoever keeps them out of logs."""
        return tuple(sorted({text for secret in self._secrets() for text in _spellings(secret)}))

    @property
    def trusted_proxies(self) -> tuple[Network, ...]:
        """The proxies whose X-Forwarded-For is believed."""
        return read_networks(self.gateway_proxies)

    @property
    def senders(self) -> tuple[EventSource, ...]:
        """Who may send events over HTTP."""
        return () if self.gateway_secrets is None else read_senders(self.gateway_secrets.get_secret_value())

    @property
    def editable_tasks(self) -> frozenset[str]:
        """The tasks whose dead letters may be edited."""
        return frozenset(name.strip() for name in self.editable.split(",")) - {""}

    @property
    def outbound_keys(self) -> Mapping[str, tuple[bytes, ...]]:
        """The keys that sign what goes out, by the name a subscription gives its secret; the newest first."""
        return {} if self.outbound_secrets is None else read_keys(self.outbound_secrets.get_secret_value())

    def to_environ(self) -> dict[str, str]:
        """Return the variables that load these settings again in a child process, secrets included."""
        values = ((name, getattr(self, name)) for name in type(self).model_fields)
        return {_variable(name): _revealed(value) for name, value in values if value is not None}

    def _bot(self, role: BotRole) -> tuple[str | None, SecretStr | None]:
        return getattr(self, f"odoo_{role}_login"), getattr(self, f"odoo_{role}_api_key")

    def _secrets(self) -> Iterator[str]:
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, SecretUrl):
                yield from passwords_in(value.get_secret_value())
            elif isinstance(value, SecretStr) and name in ("gateway_secrets", "outbound_secrets"):
                yield from secrets_in(value.get_secret_value())
            elif isinstance(value, SecretStr):
                yield value.get_secret_value()


def is_sentinel(url: str) -> bool:
    """Return whether an address names sentinels, which say where the Redis is."""
    return url.startswith("sentinel://")


def _one_account(url: str) -> str:
    """Spell an address of sentinels as kombu reads it: user, password and database stand on each of them."""
    parts = [urlsplit(one) for one in url.split(";")]
    account = next((part.netloc.rpartition("@")[0] for part in parts if "@" in part.netloc), None)
    db = next((part.path for part in parts if part.path.strip("/")), "/0")
    hosts = [part.netloc.rpartition("@")[2] for part in parts]
    return ";".join(f"sentinel://{host if account is None else f'{account}@{host}'}{db}" for host in hosts)


def _as_ledger(broker: str) -> str:
    """Spell a broker's address as a ledger's."""
    if broker.startswith("redis+socket://"):
        return broker.replace("redis+socket://", "unix://", 1).replace("virtual_host=", "db=")
    return broker


def _place(url: str) -> tuple[str, str, int, str]:
    """Tell databases apart by kind of connection, host, port or path, and number; who asks does not matter."""
    if is_sentinel(url):
        several = [urlsplit(one) for one in _one_account(url).split(";")]
        hosts = sorted(part.netloc.rpartition("@")[2] for part in several)
        return "sentinel", ",".join(hosts), 0, several[0].path.strip("/")
    parts = urlsplit(_as_ledger(url))
    if parts.scheme == "unix":
        return "unix", parts.path, 0, dict(parse_qsl(parts.query)).get("db", "0")
    db = parts.path.strip("/") or "0"
    return parts.scheme, parts.hostname or "", parts.port or 6379, db


def _variable(name: str) -> str:
    return PREFIX + name.upper()


def _revealed(value: Any) -> str:
    return str(value.get_secret_value() if isinstance(value, (Secret, SecretStr)) else value)


def _spellings(secret: str) -> set[str]:
    plain = unquote(secret)
    return {secret, plain, json.dumps(plain)[1:-1]} - {""}


def _needed(name: str, value: T | None) -> T:
    if value is None:
        raise ConfigurationError(f"{_variable(name)} is missing: {Settings.model_fields[name].description}")
    return value


def _is_secret(cls: type[Settings], name: str) -> bool:
    return bool({SecretStr, SecretUrl} & set(get_args(cls.model_fields[name].annotation)))


# ------------------------------------------------------------------- what load finds wrong --


def _told(cls: type[Settings], environ: Mapping[str, str], env_file: Path | None) -> dict[str, str]:
    """Gather our variables. An empty one counts as not set: that is how a compose file leaves one out."""
    file = DotEnvSettingsSource(cls, env_file=env_file, case_sensitive=True).env_vars if env_file else {}
    told = {**file, **environ}
    return {name: value for name, value in told.items() if name.startswith(PREFIX) and value}


def _unknown(cls: type[Settings], told: Mapping[str, str]) -> Iterator[str]:
    known = {*cls.names(), *cls.file_names()}
    for name in sorted(told.keys() - known):
        if not name.startswith(f"{PREFIX}TEST_"):
            near = did_you_mean(name, known)
            yield f"{name} is unknown.{near if near.startswith(' Did') else ' .env.example lists every setting.'}"


def _value(cls: type[Settings], name: str, told: Mapping[str, str], problems: list[str]) -> str | None:
    """Return one value, from its variable or from the file its `_FILE` variable names."""
    variable = _variable(name)
    path = told.get(f"{variable}_FILE") if _is_secret(cls, name) else None
    if path is None:
        return told.get(variable)
    if variable in told:
        problems.append(f"{variable} and {variable}_FILE are both set: keep one")
        return told[variable]
    try:
        value = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{variable}_FILE={path} cannot be read: {getattr(error, 'strerror', None) or 'not a text'}")
        return None
    if not value:
        problems.append(f"{variable}_FILE={path} is empty: put the secret into it")
        return None
    return value


def _missing(
    cls: type[Settings], values: Mapping[str, str], need: Collection[Need], problems: Collection[str]
) -> list[str]:
    wanted = dict.fromkeys(name for one in _NEEDS if one in need for name in _NEEDS[one])
    own_bots = all(f"odoo_{role}_login" in values for role in BotRole)
    absent = []
    for name in wanted:
        given = name in values or cls.model_fields[name].default is not None
        spared = (name == "ledger_url" and values.get("broker_url", "").startswith(("redis", "sentinel"))) or (
            name in {"odoo_login", "odoo_api_key"} and own_bots
        )
        reported = any(problem.startswith(f"{_variable(name)}_FILE") for problem in problems)
        if not (given or spared or reported):
            file = f" (or {_variable(name)}_FILE, a file that holds it)" if _is_secret(cls, name) else ""
            absent.append(f"{_variable(name)} is missing: {cls.model_fields[name].description}{file}")
    return absent


def _bad(cls: type[Settings], error: ValidationError, values: Mapping[str, str]) -> Iterator[str]:
    for one in error.errors(include_url=False, include_context=False, include_input=False):
        reason = one["msg"].removeprefix("Value error, ")
        if not one["loc"]:
            yield reason
            continue
        name = str(one["loc"][0])
        value = values.get(name, "")
        shown = "" if _is_secret(cls, name) else f"={mask_url(value) if '@' in value else value}"
        yield f"{_variable(name)}{shown} is wrong: {reason[:1].lower()}{reason[1:]}"
