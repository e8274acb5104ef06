"""A snapshot is read in as many calls as it names reads, pages aside; half a read is an error."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import ValidationError

from odoo_client.connection import FieldInfo
from odoo_client.field_values import MODULE
from odoo_client.read.lookup import external_ids
from odoo_client.transport.error_mapping import AccessDenied, UnknownModel
from odoo_client.transport.request import Request, RpcSender, Version
from purser.errors import NotApplicable, Permanent
from purser.findings import Ref
from purser.queries import Aggregate, FieldSpec, OpenCaseRef, QueryContext, Read, Row, Snapshot

PAGE = 20_000

IN_ONE_PAGE = frozenset({"mail.activity", "mail.message"})
"""Odoo takes what a reader may not see out of a page *after* cutting it, so here a short page is not the last one."""

WITHOUT_LOAD = frozenset({"project.tags"})
"""Models whose own `search_read` cannot be asked for bare ids, as on Odoo 14 none can."""


class ReadClient(RpcSender, Protocol):
    """What reading needs of a client."""

    pages: int

    def fields(self, model: str) -> Mapping[str, FieldInfo] | None:
        """Return a model's fields, or None."""

    def version(self) -> Version:
        """Return the server's version."""

    def languages(self) -> tuple[str, ...]:
        """Return the codes of the installed languages."""


def read_all(
    client: ReadClient,
    reads: Sequence[Read],
    *,
    as_of: dt.datetime,
    tunables: Mapping[str, Any],
    event: Any,
    watched: Sequence[OpenCaseRef],
    given: Snapshot | None,
) -> Snapshot:
    """Run each read in order, every one with sight of those before it."""
    snapshot = given or Snapshot(as_of, watched=watched)
    for kind in reads:
        if kind in snapshot.kinds():
            continue
        scope = QueryContext(as_of=as_of, tunables=tunables, event=event, watched=watched, snapshot=snapshot)
        domain = kind.domain(scope)
        snapshot = snapshot.plus(kind, [] if domain is None else _answer(client, kind, domain))
    return snapshot


def _answer(client: ReadClient, kind: Read, domain: list[Any]) -> list[Any] | None:
    try:
        return read(client, kind, domain)
    except NotApplicable:
        if kind.optional:
            return None
        raise


def read(client: ReadClient, kind: Read, domain: list[Any]) -> list[Any]:
    """Read one kind; NotApplicable when the database lacks what it names or the user may not read it."""
    try:
        specs = _known(client, kind)
        if issubclass(kind, Aggregate):
            found = _groups(client, kind, specs, domain)
        else:
            reads_names = _in_every_language if kind.translated else _rows
            found = reads_names(client, kind, specs, domain)
    except AccessDenied as error:
        raise NotApplicable(f"{kind.__name__}: this user may not read {kind.model}: {error}") from None
    except UnknownModel:
        raise NotApplicable(f"{kind.__name__}: this database has no model {kind.model}") from None
    except Permanent:
        _explain(client, kind)
        raise
    if kind.keyed and found:
        keys = external_ids(client, kind.model, [one["id"] for one in found], MODULE)
        found = [{**one, "keys": keys.get(one["id"], ())} for one in found]
    return [_typed(kind, one) for one in found]


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordPage:
    """Some records of a watched model as they stand, in the order of their ids."""

    rows: tuple[Any, ...] = ()
    unfit: Mapping[Ref, str] = field(default_factory=dict)
    """Records whose values do not fit what is read of them, and why."""
    last: int = 0
    """The greatest id that was looked at, 0 where there was none."""
    has_more: bool = False
    """There may be records after that one."""


def read_page(
    client: ReadClient,
    kind: type[Row],
    conditions: Sequence[Any],
    *,
    as_of: dt.datetime,
    tunables: Mapping[str, Any],
    after: int,
    limit: int,
) -> RecordPage:
    """Read one page of a watched model; NotApplicable when the database lacks what it names or it may not be read.

    A feed asks over and over, so what is missing is found in what is known of the model, not by an error of Odoo's.
    """
    domain = kind.domain(_scope_of(conditions, after, as_of, tunables))
    if domain is None:
        return RecordPage()
    _check_fields(client, kind)
    fields = [spec.asked for spec in _known(client, kind) if spec.asked != "id"] or ["id"]
    arguments = {"domain": domain, "fields": fields, "order": "id"}
    request = Request(
        model=kind.model,
        method="search_read",
        arguments={**arguments, "limit": limit, **({"load": ""} if client.version() >= (15, 0) else {})},
        context=_context(kind),
        reads=True,
    )
    try:
        found = [_bare(row, set()) for row in client.send(request)]
    except AccessDenied as error:
        raise NotApplicable(f"{kind.__name__}: this user may not read {kind.model}: {error}") from None
    rows: list[Any] = []
    unfit: dict[Ref, str] = {}
    for one in found:
        try:
            rows.append(_typed(kind, one))
        except Permanent as error:
            unfit[Ref(kind.model, one["id"])] = str(error)
    last = found[-1]["id"] if found else 0
    return RecordPage(rows=tuple(rows), unfit=unfit, last=last, has_more=len(found) >= limit)


def count(
    client: ReadClient, kind: type[Row], conditions: Sequence[Any], *, as_of: dt.datetime, tunables: Mapping[str, Any]
) -> int:
    """Count what looking at a watched model page by page would read."""
    domain = kind.domain(_scope_of(conditions, 0, as_of, tunables))
    if domain is None:
        return 0
    _check_fields(client, kind)
    request = Request(
        model=kind.model,
        method="search_count",
        arguments={"domain": domain},
        context=_context(kind),
        reads=True,
    )
    return int(client.send(request))


def _scope_of(conditions: Sequence[Any], after: int, as_of: dt.datetime, tunables: Mapping[str, Any]) -> QueryContext:
    beyond = [("id", ">", after)] if after else []
    return QueryContext(as_of=as_of, tunables=tunables, look=(*conditions, *beyond), snapshot=Snapshot(as_of))


def _check_fields(client: ReadClient, kind: Read) -> None:
    if client.fields(kind.model) is None:
        raise NotApplicable(f"{kind.__name__}: this database has no model {kind.model}")
    _explain(client, kind)


def _known(client: ReadClient, kind: Read) -> tuple[FieldSpec, ...]:
    """Leave out fields that only some databases have. Asked only where a read names such a field."""
    specs = kind.specs()
    if not any(spec.if_known for spec in specs):
        return specs
    known = client.fields(kind.model)
    if known is None:
        raise UnknownModel(kind.model)
    return tuple(spec for spec in specs if not spec.if_known or spec.field in known)


def _explain(client: ReadClient, kind: Read) -> None:
    """Turn a server's complaint into NotApplicable when a field of the read is what it lacks."""
    known = client.fields(kind.model) or {}
    missing = sorted(
        {s.field for s in kind.specs() if not s.if_known and s.field not in known and not s.field.startswith("__")}
    )
    if missing:
        raise NotApplicable(
            f"{kind.__name__}: {kind.model} has no field {', '.join(missing)} here, or this user may not see it"
        ) from None


# ------------------------------------------------------------------------------- rows --


def _context(kind: Read) -> dict[str, Any]:
    return {"active_test": kind.active_test}


def _in_every_language(
    client: ReadClient, kind: type[Row], specs: Sequence[FieldSpec], domain: list[Any]
) -> list[dict[str, Any]]:
    """Read in each language: what is called so in any is found, with its names in all."""
    found: dict[int, dict[str, Any]] = {}
    names: dict[int, set[str]] = {}
    for language in client.languages():
        for row in _rows(client, kind, specs, domain, language):
            found.setdefault(row["id"], row)
            names.setdefault(row["id"], set()).add(row["name"])
    return [{**row, "names": frozenset(names[id_])} for id_, row in sorted(found.items())]


def _rows(
    client: ReadClient, kind: type[Row], specs: Sequence[FieldSpec], domain: list[Any], language: str = ""
) -> list[dict[str, Any]]:
    context = {**_context(kind), **({"lang": language} if language else {})}
    named = {spec.asked for spec in specs if spec.named}
    arguments: dict[str, Any] = {"fields": [spec.asked for spec in specs if spec.asked != "id"] or ["id"]}
    bare = not named and kind.model not in WITHOUT_LOAD and client.version() >= (15, 0)
    if bare:
        arguments["load"] = ""
    rows: list[dict[str, Any]] = []
    for page in pages(client, kind.model, domain, arguments, context):
        rows += page if bare else (_bare(row, named) for row in page)
    return rows


def pages(
    client: ReadClient,
    model: str,
    domain: list[Any],
    arguments: Mapping[str, Any],
    context: Mapping[str, Any],
    *,
    size: int = PAGE,
) -> Iterator[list[dict[str, Any]]]:
    """Read a model page by page, by id: what others write in between makes no row appear twice or never."""
    limit = None if model in IN_ONE_PAGE else size
    last, first = 0, True
    while True:
        within = domain if first else [*domain, ["id", ">", last]]
        page: list[dict[str, Any]] = client.send(
            Request(
                model=model,
                method="search_read",
                arguments={**arguments, "domain": within, "order": "id", "limit": limit},
                context=context,
                reads=True,
            )
        )
        client.pages += not first
        yield page
        if limit is None or len(page) < limit:
            return
        last, first = page[-1]["id"], False


def _bare(row: dict[str, Any], named: set[str]) -> dict[str, Any]:
    """Reduce many2one values to ids, except those read for their name."""
    return {key: value if key in named else _id_of(value) for key, value in row.items()}


def _id_of(value: Any) -> Any:
    pair = isinstance(value, (list, tuple)) and len(value) == 2 and isinstance(value[1], str)
    return value[0] if pair else value


# ----------------------------------------------------------------------------- groups --


def _groups(
    client: ReadClient, kind: type[Aggregate], specs: Sequence[FieldSpec], domain: list[Any]
) -> list[dict[str, Any]]:
    groupby = [spec.asked for spec in specs if spec.grouped]
    aggregates = [spec.asked for spec in specs if not spec.grouped]
    ask = _formatted if client.version() >= (19, 0) else _classic
    named = {spec.asked for spec in specs if spec.named}
    return [
        {key: one if key in named or key not in groupby else _id_of(one) for key, one in group.items()}
        for group in ask(client, kind, domain, groupby, aggregates)
    ]


def _formatted(
    client: ReadClient, kind: type[Aggregate], domain: list[Any], groupby: list[str], aggregates: list[str]
) -> list[dict[str, Any]]:
    answer: list[dict[str, Any]] = client.send(
        Request(
            model=kind.model,
            method="formatted_read_group",
            arguments={"domain": domain, "groupby": groupby, "aggregates": aggregates},
            context=_context(kind),
            reads=True,
        )
    )
    return answer


def _classic(
    client: ReadClient, kind: type[Aggregate], domain: list[Any], groupby: list[str], aggregates: list[str]
) -> list[dict[str, Any]]:
    """Ask `read_group` (Odoo 14 to 18) and give its answer the shape of its successor."""
    paths = [spec for spec in groupby if "." in spec]
    if paths:
        raise NotApplicable(f"{kind.__name__}: grouping by {', '.join(paths)} needs Odoo 19")
    named = {spec: f"a{i}" for i, spec in enumerate(aggregates) if spec != "__count"}
    answer: list[dict[str, Any]] = client.send(
        Request(
            model=kind.model,
            method="read_group",
            arguments={
                "domain": domain,
                "groupby": groupby,
                "fields": [_aggregate(spec, alias) for spec, alias in named.items()],
                "lazy": False,
            },
            context=_context(kind),
            reads=True,
        )
    )
    return [
        {spec: _start(group, spec) for spec in groupby}
        | {spec: group.get(named.get(spec, "__count")) for spec in aggregates}
        for group in answer
    ]


def _aggregate(spec: str, alias: str) -> str:
    field, _, function = spec.partition(":")
    return f"{alias}:{function}({field})"


def _start(group: dict[str, Any], spec: str) -> Any:
    """Return a date group's first day, which `read_group` keeps apart from the label."""
    ranges = group.get("__range") or {}
    found = ranges.get(spec) or ranges.get(spec.split(":")[0])
    return found["from"] if found else group.get(spec)


# -------------------------------------------------------------------------- validation --


def _typed(kind: Read, row: dict[str, Any]) -> Any:
    try:
        return kind.model_validate(row)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'row'}: {e['msg']}" for e in error.errors(include_input=False)
        )
        where = f"{kind.model}/{row['id']}" if "id" in row else kind.model
        raise Permanent(f"{where} does not fit {kind.__name__}: {wrong}") from None
