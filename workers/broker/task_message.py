"""Parse a message of the broker into a task message: the only way by which bytes reach Celery.

What Celery and the processes of the pool are given is written from the parsed message, so whatever has not been
checked here is not there. Anything else is `UnreadableMessage`, and becomes a dead letter.
"""

import datetime as dt
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from celery.app.task import Context
from kombu.serialization import dumps
from kombu.utils.json import loads

from purser.formats.strict_json import InvalidJson, each_name_once
from workers.broker.kombu_envelope import value_problem
from workers.messages import own_name

MAX_NAME_LENGTH = 255
"""Bytes that the id of a message and the name of a task may have; AMQP takes no longer ids either."""
MAX_LABEL_LENGTH = 1000
"""Characters that are kept of a header that is only displayed."""
MAX_DEPTH = 100
"""Levels of nesting that a body may have. Pickle gives up at some hundreds, JSON later."""
MAX_RETRIES = 1_000_000
MAX_TIME_LIMIT = 7 * 24 * 3600.0
"""Seconds that a message may ask to run for."""

_ENCODINGS = frozenset({"utf-8", "utf8", "us-ascii", "ascii", "binary"})
"""Python decodes more, and some of it, such as punycode, in quadratic time."""
_JSON = "application/json"
_IDS = ("group", "root_id", "parent_id")
_LABELS = ("shadow", "argsrepr", "kwargsrepr", "origin", "lang", "meth")
_COUNTS = ("group_index", "replaced_task_nesting")
_OWN = frozenset(
    {"task", "id", "retries", "eta", "expires", "timelimit", "ignore_result", "stamped_headers", "stamps"}
    | {*_IDS, *_LABELS, *_COUNTS}
)
_RESERVED = frozenset(dir(Context)) | {"compression"}
"""What Celery keeps of a running task under names that a header must not overwrite."""
_EMBEDDED = ("callbacks", "errbacks", "chain", "chord")


class UnreadableMessage(Exception):
    """The message is no task message that could be carried out. The text says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskMessage:
    """A message whose every part has the type that Celery expects."""

    task: str
    id: str
    headers: Mapping[str, Any]
    """The headers of Celery's protocol 2, and those of the sender's own."""
    args: list[Any]
    kwargs: dict[str, Any]
    embed: dict[str, Any]
    """What is to be called when the task has ended."""
    eta: dt.datetime | None
    """When it is to be begun at the earliest."""
    body: bytes
    """The body of protocol 2."""

    def delay_seconds(self, now: dt.datetime) -> float | None:
        """Return in how many seconds the message asks to be begun (Celery's `countdown` and `eta`), None for now."""
        left = 0.0 if self.eta is None else (self.eta - now).total_seconds()
        return left if left > 0 else None


def read_task_message(message: Any) -> TaskMessage:
    """Parse a message as kombu delivers it. Raises UnreadableMessage.

    A message of Celery's protocol 1 is rewritten as one of protocol 2 first, and read by the same rules.
    """
    payload = _payload(message)
    if isinstance(payload, _Protocol1):
        payload = _upgrade(message, payload)
    headers = message.headers
    if not isinstance(headers, dict) or "task" not in headers:
        raise UnreadableMessage("a message without the header `task`")
    problem = value_problem(headers)
    if problem:
        raise UnreadableMessage(f"the headers cannot be passed on: {problem}")
    checked = _headers(headers)
    eta = _moment(headers, "eta")
    args, kwargs, embed = _body(payload)
    return TaskMessage(
        task=checked["task"],
        id=checked["id"],
        headers=checked,
        args=args,
        kwargs=kwargs,
        embed=embed,
        eta=eta,
        body=_bytes(message, [args, kwargs, embed], payload),
    )


def replace_content(message: Any, read: TaskMessage) -> None:
    """Let a message hold what was read of it, and nothing else."""
    message.headers = dict(read.headers)
    message.body = message.sent_body = read.body
    message.content_type, message.content_encoding = _JSON, "utf-8"
    message._decoded_cache = [read.args, read.kwargs, read.embed]


# ------------------------------------------------------------------------------------- the body --


def is_decodable(message: Any) -> bool:
    """Return whether the body may be decoded: its type and its encoding are read here."""
    return message.content_type == _JSON and str(message.content_encoding or "binary").lower() in _ENCODINGS


def _payload(message: Any) -> Any:
    if not is_decodable(message):
        raise UnreadableMessage(
            f"the body is {str(message.content_type)[:100]!r} in {str(message.content_encoding)[:100]!r}: send JSON "
            "(task_serializer='json') in 'utf-8'"
        )
    try:
        payload = loads(message.body, _loads=_read_json)  # type: ignore[no-untyped-call]
    except InvalidJson as error:
        raise UnreadableMessage(f"the body is not JSON: {error}") from None
    except Exception as error:  # noqa: BLE001 - deep nesting raises RecursionError, and decoders raise anything
        raise UnreadableMessage(f"the body cannot be decoded: {type(error).__name__}") from None
    if _is_protocol_1(message, payload):
        message.headers = {**message.headers, **{name: payload[name] for name in ("task", "id") if name in payload}}
        payload = _Protocol1(payload)
    problem = value_problem(payload, MAX_DEPTH)
    if problem:
        raise UnreadableMessage(f"the body cannot be passed on: {problem}")
    return payload


def _read_json(text: str, object_hook: Callable[[dict[str, Any]], Any]) -> Any:
    return json.loads(text, object_pairs_hook=lambda pairs: object_hook(each_name_once(pairs)))


class _Protocol1(dict[str, Any]):
    """The body of a message of protocol 1, which holds all that protocol 2 has in the headers."""


def _is_protocol_1(message: Any, payload: Any) -> bool:
    return isinstance(message.headers, dict) and "task" not in message.headers and isinstance(payload, dict)


def _body(payload: Any) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
    if not (isinstance(payload, list) and len(payload) == 3):
        raise UnreadableMessage("the body is not [args, kwargs, embed]")
    args, kwargs, embed = payload
    if not isinstance(args, list) or not isinstance(kwargs, dict) or not isinstance(embed, (dict, type(None))):
        raise UnreadableMessage("the body is not [list, object, object]")
    kept = {name: embed[name] for name in _EMBEDDED if embed and embed.get(name)}
    for name in ("callbacks", "errbacks", "chain"):
        listed = kept.get(name, [])
        if not isinstance(listed, list) or not all(map(_is_signature, listed)):
            raise UnreadableMessage(f"the body's `{name}` is no list of signatures")
    if "chord" in kept and not _is_signature(kept["chord"]):
        raise UnreadableMessage("the body's `chord` is no signature")
    return args, kwargs, kept


def _is_signature(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("task"), str)
        and isinstance(value.get("args", []), list)
        and isinstance(value.get("kwargs", {}), dict)
        and isinstance(value.get("options", {}), dict)
    )


def _bytes(message: Any, body: list[Any], payload: Any) -> bytes:
    """Return the body as it came, or written anew where it says something else by now."""
    sent = message.body
    told = {name: value for name, value in (payload[2] or {}).items() if value is not None}
    if told == body[2]:
        return sent if isinstance(sent, bytes) else bytes(sent) if isinstance(sent, memoryview) else sent.encode()
    return _encoded(body)


def _encoded(body: Any) -> bytes:
    try:
        return str(dumps(body, serializer="json")[2]).encode()  # type: ignore[no-untyped-call]
    except Exception as error:  # noqa: BLE001 - encoders raise anything
        raise UnreadableMessage(f"the body cannot be written: {type(error).__name__}") from None


def _upgrade(message: Any, body: Mapping[str, Any]) -> Any:
    """Rewrite a message of protocol 1 as one of protocol 2; return its payload.

    Source: Celery's documentation of its message protocols, versions 1 and 2.
    """
    head = {name: body.get(name) for name in ("retries", "eta", "expires", "timelimit")}
    head |= {"group": body.get("taskset"), "argsrepr": "", "kwargsrepr": "sent with Celery's protocol 1"}
    args, kwargs = body.get("args"), body.get("kwargs")
    embed = {name: body[name] for name in _EMBEDDED if body.get(name)}
    payload = [[] if args is None else args, {} if kwargs is None else kwargs, embed]
    message.headers = {**message.headers, **head}
    message.body = message.sent_body = _encoded(payload)
    message.content_encoding = "utf-8"
    message._decoded_cache = payload
    return payload


# ---------------------------------------------------------------------------------- the headers --


def _headers(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the headers that Celery is given. Names that Celery uses for itself are left out."""
    others = {name: value for name, value in headers.items() if name not in _OWN and name not in _RESERVED}
    return {
        **{name: value for name, value in others.items() if not name.startswith("_")},
        "task": own_name(_name(headers, "task")),
        "id": _name(headers, "id"),
        **{name: _name(headers, name) for name in _IDS if headers.get(name) is not None},
        **{name: value[:MAX_LABEL_LENGTH] for name in _LABELS if isinstance(value := headers.get(name), str)},
        **{name: _count(headers, name) for name in _COUNTS if headers.get(name) is not None},
        "retries": 0 if headers.get("retries") is None else _count(headers, "retries"),
        "eta": None,
        "expires": None if (expires := _moment(headers, "expires")) is None else expires.isoformat(),
        "timelimit": _time_limits(headers),
        **_stamps(headers),
        **({"ignore_result": True} if headers.get("ignore_result") is True else {}),
    }


def _name(headers: Mapping[str, Any], header: str) -> str:
    value = headers.get(header)
    if not isinstance(value, str) or not value:
        raise UnreadableMessage(f"the header `{header}` is missing, empty or no text")
    if len(value) > MAX_NAME_LENGTH or len(value.encode()) > MAX_NAME_LENGTH:
        raise UnreadableMessage(f"the header `{header}` is longer than {MAX_NAME_LENGTH} bytes")
    if not value.isprintable():
        raise UnreadableMessage(f"the header `{header}` holds characters that cannot be displayed")
    return value


def _count(headers: Mapping[str, Any], header: str) -> int:
    value = headers[header]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_RETRIES:
        raise UnreadableMessage(f"the header `{header}` is no whole number from 0 to {MAX_RETRIES:,}")
    return value


def _moment(headers: Mapping[str, Any], header: str) -> dt.datetime | None:
    value = headers.get(header)
    if value is None:
        return None
    try:
        moment = dt.datetime.fromisoformat(value)
        return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
    except (TypeError, ValueError, OverflowError):
        raise UnreadableMessage(f"the header `{header}` is no moment such as 2026-01-31T12:00:00+00:00") from None


def _time_limits(headers: Mapping[str, Any]) -> list[float | None]:
    value = headers.get("timelimit")
    if value is None or value == []:
        return [None, None]
    if not isinstance(value, list) or len(value) != 2 or not all(map(_is_time_limit, value)):
        raise UnreadableMessage(
            f"the header `timelimit` is not [hard, soft], each null or seconds from 0 to {MAX_TIME_LIMIT:,.0f}"
        )
    return value


def _is_time_limit(value: Any) -> bool:
    if value is None:
        return True
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and 0 <= value <= MAX_TIME_LIMIT and math.isfinite(value)


def _stamps(headers: Mapping[str, Any]) -> dict[str, Any]:
    names, stamps = headers.get("stamped_headers"), headers.get("stamps")
    if not isinstance(names, (list, type(None))) or not all(isinstance(name, str) for name in names or ()):
        raise UnreadableMessage("the header `stamped_headers` is no list of names")
    if not isinstance(stamps, (dict, type(None))):
        raise UnreadableMessage("the header `stamps` is no object")
    return {"stamped_headers": names, "stamps": stamps} if names else {}
