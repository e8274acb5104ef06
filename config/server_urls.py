"""Addresses of servers: what they may hold, which Redis database they name, and how they are shown.

`mask_url` is the only way in which an address is shown. It shows what it recognises as harmless and nothing else, so
that a password stays hidden where it holds characters that belong into an address only in their escaped form.
"""

import re
from collections.abc import Collection, Iterator
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

MASK = "***"
TLS_OPTIONS = ("ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname")
"""What an address may say about TLS, as it is spelt in redis-py and kombu."""
CERT_REQS = ("required", "optional", "none")

_ESCAPED = "write #, /, ?, [, @ in a password as %23, %2F, %3F, %5B, %40"
_QUERIES = {
    "redis": (),
    "rediss": TLS_OPTIONS,
    "redis+socket": ("virtual_host", "password"),
    "unix": ("db", "password", "username"),
    "sentinel": (),
    "amqp": ("heartbeat",),
    "amqps": (*TLS_OPTIONS, "heartbeat"),
}
_NEXT_NODE = re.compile(r";(?=[a-z][a-z0-9+]{1,20}://)")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]{0,20})://", re.IGNORECASE)
_NODE = re.compile(
    r"(?:(?P<user>[^:/?#\[\]@\s]*+)(?P<password>:[^/?#\s]*)?@)?"
    r"(?P<host>[A-Za-z0-9._-]++|\[[0-9A-Fa-f:.]++\])?(?P<port>:\d{1,5})?(?P<path>/[A-Za-z0-9._~%/-]*+)?"
    r"(?P<query>\?[^#@\s]*+)?"
)
_USER = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HARMLESS = {
    **dict.fromkeys(("db", "virtual_host"), re.compile(r"\d{1,5}")),
    "heartbeat": re.compile(r"\d{1,4}"),
    "ssl_cert_reqs": re.compile("|".join(CERT_REQS)),
    "ssl_check_hostname": re.compile("true|false", re.IGNORECASE),
    **dict.fromkeys(("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"), re.compile(r"/[A-Za-z0-9._/-]{1,200}")),
}
"""What may be shown behind the `?` of an address, and in which form."""


def mask_url(url: str) -> str:
    """Return an address as it may be shown: its password masked, and whatever could be a part of one."""
    nodes = nodes_of(url)
    shown = [_masked(node) for node in nodes]
    if all(one is not None for one in shown):
        return ";".join(one for one in shown if one is not None)
    scheme = _SCHEME.match(nodes[0])
    return f"{scheme[0].lower()}{MASK}" if scheme else MASK


def nodes_of(url: str) -> list[str]:
    """Return the addresses of the servers that one address names, with `;` between them."""
    return _NEXT_NODE.split(url)


def passwords_in(url: str) -> Iterator[str]:
    """Yield the passwords of an address, as they are written there."""
    for node in nodes_of(url):
        parts = _split(node)
        if parts is not None:
            yield from (parts.password or "", *_query_passwords(parts.query))


def address_problem(url: str, schemes: Collection[str]) -> str | None:
    """Return why a process must not start with this address, without a part of it; None when it may."""
    nodes = nodes_of(url)
    if len({node.partition("://")[0] for node in nodes}) > 1:
        return "all its servers must begin with the same scheme"
    for node in nodes:
        if problem := _node_problem(node, schemes):
            return problem
    return None


def without_query(url: str) -> str:
    """Return an address without what follows the `?`, of each of its servers."""
    return ";".join(node.partition("?")[0] for node in nodes_of(url))


def tls_options(url: str) -> dict[str, str]:
    """Return what an address says about TLS; the first of its servers that says something counts."""
    for node in nodes_of(url):
        told = dict(parse_qsl(urlsplit(node).query))
        if found := {name: value for name, value in told.items() if name in TLS_OPTIONS}:
            return found
    return {}


def _node_problem(node: str, schemes: Collection[str]) -> str | None:
    scheme = node.partition("://")[0]
    if scheme not in schemes or "://" not in node:
        return f"the address must begin with one of {', '.join(f'{one}://' for one in schemes)}"
    read = _NODE.fullmatch(node, len(scheme) + 3)
    if read is None or set(read["password"] or "") & set("@[]") or int((read["port"] or ":0")[1:]) > 65535:
        return _ESCAPED
    if not read["host"] and not read["path"]:
        return "the host is missing, such as localhost"
    try:
        given = parse_qsl(read["query"][1:], keep_blank_values=True, strict_parsing=True) if read["query"] else []
    except ValueError:
        return f"what follows the ? is no name=value: {_ESCAPED}"
    return _query_problem(scheme, given) or _path_problem(scheme, read["path"] or "")


def _query_problem(scheme: str, given: list[tuple[str, str]]) -> str | None:
    names = [name for name, _ in given]
    known = _QUERIES[scheme]
    if len(names) != len(set(names)):
        return "it says the same name twice behind the ?"
    for name, value in given:
        if name not in known:
            return _refused(scheme, name, known)
        if name in ("db", "virtual_host") and not _HARMLESS[name].fullmatch(value):
            return f"{name} must be the number of a database"
        if name == "heartbeat" and not _HARMLESS[name].fullmatch(value):
            return "heartbeat must be a number of seconds"
        if name == "ssl_cert_reqs" and value not in CERT_REQS:
            return "ssl_cert_reqs must be required, optional or none"
    if ("ssl_keyfile" in names) > ("ssl_certfile" in names):
        return "ssl_keyfile needs ssl_certfile: the certificate that belongs to the key"
    return None


def heartbeat_of(url: str, default: float) -> float:
    """Return the seconds between two signs of life that the address of a RabbitMQ asks for, else the default."""
    parts = _split(nodes_of(url)[0])
    asked = dict(parse_qsl(parts.query)).get("heartbeat", "") if parts is not None else ""
    return float(asked) if _HARMLESS["heartbeat"].fullmatch(asked) else default


def _refused(scheme: str, name: str, known: Collection[str]) -> str:
    what = f"`{name}=`" if re.fullmatch("[a-z_]{1,30}", name) and name in _EVERY_NAME else "what follows the ?"
    if name in ("db", "virtual_host"):
        where = (
            "?virtual_host=3" if scheme == "redis+socket" else "?db=3" if scheme == "unix" else "/3 behind the host"
        )
        return f"{what} is not read by every library: write the number of the database as {where}"
    if name in ("password", "username"):
        return f"{what} is not read by every library: write user and password before the host, user:password@host"
    return f"{what} is unknown here; known: {', '.join(known) or 'nothing'}"


_EVERY_NAME = {"db", "virtual_host", "password", "username", "heartbeat", *TLS_OPTIONS}


def _path_problem(scheme: str, path: str) -> str | None:
    if scheme in ("redis", "rediss", "sentinel") and not re.fullmatch(r"/?|/\d{1,5}/?", path):
        return f"the number of the database stands behind the host, such as /0. In a password: {_ESCAPED}"
    return None


def _masked(node: str) -> str | None:
    scheme = _SCHEME.match(node)
    read = _NODE.fullmatch(node, scheme.end()) if scheme else None
    if scheme is None or read is None:
        return None
    password = read["password"]
    user = read["user"] or ""
    account = ""
    if read["user"] is not None:
        shows_user = password is not None and (not user or _USER.fullmatch(user)) and not _share(user, password[1:])
        account = f"{user}:{MASK}@" if shows_user else f"{MASK}@"
    place = "".join(read[part] or "" for part in ("host", "port", "path"))
    return f"{scheme[0]}{account}{place}{_masked_query(read['query'] or '')}"


def _masked_query(query: str) -> str:
    """Show what is harmless; from a password on nothing is, for it may hold an unescaped &."""
    shown = []
    for pair in query[1:].split("&"):
        name, _, value = pair.partition("=")
        if name not in _HARMLESS or not _HARMLESS[name].fullmatch(unquote(value)):
            shown.append(f"password={MASK}" if name == "password" else MASK)
            break
        shown.append(pair)
    return f"?{'&'.join(shown)}" if query else ""


def _query_passwords(query: str) -> Iterator[str]:
    pairs = (pair.partition("=") for pair in query.split("&"))
    yield from (value for name, _, value in pairs if name.lower() == "password" and value)


def _share(user: str, password: str) -> bool:
    """Return whether four characters of a user's name stand in the password too."""
    plain = (password + "\n" + unquote(password)).lower()
    return any(user[at : at + 4].lower() in plain for at in range(len(user) - 3))


def _split(node: str) -> SplitResult | None:
    try:
        return urlsplit(node)
    except ValueError:
        return None
