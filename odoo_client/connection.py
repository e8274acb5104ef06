"""Where Odoo is, as whom to come in, and what is learned at the door."""

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from purser.errors import Misconfigured

Api = Literal["auto", "json2", "odoorpc"]


@dataclass(frozen=True, kw_only=True)
class OdooConnection:
    """One Odoo database and one user of it. Timeouts are in seconds."""

    url: str
    db: str
    login: str
    api_key: str = field(repr=False)
    api: Api = "auto"
    connect_timeout: float = 5.0
    read_timeout: float = 60.0
    """Keep it above 35 s: so long the server may replay a call that lost a race before it answers."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Misconfigured("the address of Odoo must look like https://odoo.example.com")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise Misconfigured(
                "the address of Odoo holds a user, query or fragment: give scheme, host and port only"
            )
        object.__setattr__(self, "url", self.url.rstrip("/"))


@dataclass(frozen=True, kw_only=True, slots=True)
class CurrentUser:
    """Who Odoo takes us for, and over which API."""

    uid: int
    login: str
    lang: str | None
    tz: str | None
    version: tuple[int, int]
    api: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionCheck:
    """What a first contact showed. `problem` says what to do; it is empty when the key was accepted."""

    reachable: bool
    version: tuple[int, int] | None = None
    api: str | None = None
    accepted: bool = False
    problem: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldInfo:
    """One field of a model, as this database and this user see it."""

    type: str
    store: bool
    readonly: bool
    relation: str | None = None
