"""The reference pages say what the declarations say, because they are made from them: `make docs` writes them.

`python docs/generate.py --check` changes nothing and ends with 1 when a page is out of date.
"""

import inspect
import json
import sys
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import typer

from config.policy.loader import ESCALATION_WORKING_DAYS
from config.settings import Settings
from console.cli.main import app
from console.cli.type_names import type_name
from events.asyncapi import asyncapi, envelope_schema, example_of, schema_of
from events.business_objects import OBJECTS, BusinessObject
from events.event import Event, known_events
from purser.declarations import Automation, Control, Parameter
from purser.watchers import Watcher, WatchTrigger
from tasks.discovery import load_registry

REFERENCE = Path(__file__).with_name("reference")
CONTRACT = "events"
"""The folder of what machines read."""

MADE = "<!-- Made by `make docs` from the declarations. Change those, not this page. -->"


def main() -> int:
    """Write the pages, or with `--check` only compare them."""
    stale = [name for name, text in pages().items() if not _is_written(name, text)]
    gone = left_over()
    if "--check" in sys.argv[1:]:
        sys.stderr.writelines(f"docs/reference/{name} is out of date: run `make docs`\n" for name in (*stale, *gone))
        return 1 if stale or gone else 0
    for name in stale:
        (REFERENCE / name).parent.mkdir(parents=True, exist_ok=True)
        (REFERENCE / name).write_text(pages()[name], encoding="utf-8")
        sys.stdout.write(f"docs/reference/{name} written\n")
    for name in gone:
        (REFERENCE / name).unlink()
        sys.stdout.write(f"docs/reference/{name} removed\n")
    return 0


def left_over() -> list[str]:
    """List the files of the contract that stand for no fact any more."""
    there = (path.relative_to(REFERENCE).as_posix() for path in (REFERENCE / CONTRACT).glob("*.json"))
    return [name for name in there if name not in pages()]


@cache
def pages() -> Mapping[str, str]:
    """Return every generated page by the name of its file."""
    made: Mapping[str, Callable[[], Iterable[str]]] = {
        "settings.md": settings,
        "controls.md": controls,
        "events.md": events,
        "commands.md": commands,
    }
    written = {name: "\n".join([MADE, "", *page()]).rstrip() + "\n" for name, page in made.items()}
    return {**written, **{f"{CONTRACT}/{name}": json.dumps(one, indent=2) + "\n" for name, one in contract().items()}}


def _is_written(name: str, text: str) -> bool:
    page = REFERENCE / name
    return page.is_file() and page.read_text(encoding="utf-8") == text


# -------------------------------------------------------------------------------- settings --


def settings() -> Iterator[str]:
    """Every variable of the environment."""
    yield from ("# Settings", "")
    yield _ABOUT_SETTINGS
    files = set(Settings.file_names())
    rows = []
    for name, (field, info) in zip(Settings.names(), Settings.model_fields.items(), strict=True):
        del field
        mark = " †" if f"{name}_FILE" in files else ""
        rows.append(
            (f"`{name}`{mark}", _default(info.default), type_name(info.annotation, info.metadata), info.description)
        )
    yield from _table(("variable", "default", "value", "meaning"), rows)
    yield from ("", _MORE_ON_SETTINGS)


_ABOUT_SETTINGS = """
What a deployment is told by its environment. `purser` commands also read the `.env` file of the folder they stand in
(or the one that `--env-file` names); the environment wins. A missing, wrong or unknown `PURSER_` variable stops the
start with a list of all that is wrong. An empty one counts as not set. A command asks only for what it uses:
`purser controls run` needs the Odoo settings alone.

Secrets, marked †, may stand in a file: the same name with `_FILE` behind it, holding the path of the file.
""".lstrip()

_MORE_ON_SETTINGS = """
Three limits must nest, so that no call outlives its task: `PURSER_ODOO_TIMEOUT` < `PURSER_TASK_SOFT_TIME_LIMIT` <
`PURSER_TASK_TIME_LIMIT`. A Redis broker is the ledger too, unless `PURSER_LEDGER_URL` names another. A kind of bot
(`AUDIT`, `CHANGE`, `BILLING`) without a login and key of its own uses the single bot.
""".strip()


# -------------------------------------------------------------------------------- controls --


def controls() -> Iterator[str]:
    """Every control with the values a policy may set."""
    yield from ("# Controls", "")
    yield "What the fleet checks. A policy may set cadence, severity, ladder and tunables: see"
    yield "[policies](../how-to/policies.md). `purser controls show NAME` tells the same with your firm's values."
    yield "A rung of the ladder that names nobody for a finding is skipped."
    for control in load_registry().controls.values():
        ladder = ", then ".join(
            f"{ask} after {ESCALATION_WORKING_DAYS} working days" if n else ask
            for n, ask in enumerate((*control.asks, control.owner))
        )
        yield from ("", f"## {control.name}", "", f"**{control.rule}**", "")
        yield from _more(control.source, control.scan)
        yield from _table(
            ("", ""),
            (
                ("title", control.title),
                ("every", str(control.every)),
                ("severity", control.severity.value),
                ("answers for it", f"role `{control.owner}`"),
                ("ladder", ladder),
                ("reads", ", ".join(f"`{model}`" for model in sorted({read.model for read in control.reads}))),
                ("file", f"[`{_file(control.source)}`](../../{_file(control.source)})"),
            ),
        )
        yield ""
        yield from _tunables(control)


def _more(module: str, function: Callable[..., Any]) -> Iterator[str]:
    """Yield what the module and the function say beyond the rule."""
    for told in (inspect.getdoc(sys.modules[module]), inspect.getdoc(function)):
        _, _, rest = (told or "").partition("\n\n")
        if rest:
            yield from (rest.strip(), "")


def _file(module: str) -> str:
    return module.replace(".", "/") + ".py"


def _tunables(declared: Control | Automation | Watcher) -> Iterator[str]:
    if not declared.tunables:
        yield "No tunables."
        return
    rows = ((f"`{name}`", _default(one.default), _value_of(one)) for name, one in declared.tunables.items())
    yield from _table(("tunable", "house view", "value"), rows)


def _value_of(tunable: Parameter) -> str:
    return type_name(tunable.type)


# ---------------------------------------------------------------------------------- events --


def contract() -> Mapping[str, dict[str, Any]]:
    """What machines read: the schemas, and the document over all of them."""
    return {
        "asyncapi.json": asyncapi(),
        "cloudevent.json": envelope_schema(),
        **{f"{name}.json": schema_of(fact) for name, fact in known_events().items()},
    }


def events() -> Iterator[str]:
    """Every fact that can be told, and what follows from it."""
    yield from ("# Events and automations", "", _ABOUT_EVENTS)
    yield from _table(("object", "what it is", "lives in", "master data"), map(_object, OBJECTS.values()))
    yield from ("", _ABOUT_IDENTITY)
    facts = sorted(known_events().values(), key=lambda fact: list(OBJECTS).index(fact.of.name))
    rows = (
        (fact.of.name, f"[`{fact.type}`](#{slug(fact.type)})", f"`{_identity(fact)}`", _reactions(fact))
        for fact in facts
    )
    yield from _table(("object", "fact", "identity", "automations"), rows)
    yield from ("", _ABOUT_ENVELOPE)
    properties = envelope_schema()["properties"]
    required = envelope_schema()["required"]
    yield from _table(
        ("attribute", "required", "longest", "meaning"),
        (
            (
                f"`{name}`",
                "yes" if name in required else "no",
                next((one["maxLength"] for one in (told, *told.get("anyOf", ())) if "maxLength" in one), ""),
                told.get("description") or next(one["description"] for one in told["anyOf"] if "description" in one),
            )
            for name, told in properties.items()
        ),
    )
    for name, fact in known_events().items():
        yield from ("", f"## {name}", "", (inspect.getdoc(fact) or "").strip(), "")
        yield from _table(
            ("field", "required", "value", "meaning"),
            (
                (
                    f"`{field}`",
                    "yes" if info.is_required() else "no",
                    type_name(info.annotation, info.metadata),
                    info.description,
                )
                for field, info in fact.model_fields.items()
            ),
        )
        watches = ", ".join(f"[`{watch.name}`](#{watch.name})" for watch in load_registry().telling(fact)) or "none"
        yield from (
            "",
            f"Watches: {watches}. Automations: {_reactions(fact)}. [JSON Schema]({CONTRACT}/{name}.json).",
            "",
        )
        yield from ("```json", json.dumps(example_of(fact), indent=2), "```")
    declared = load_registry()
    yield from ("", "# Automations")
    for automation in declared.automations.values():
        reads = ", ".join(f"`{model}`" for model in sorted({read.model for read in automation.reads}))
        yield from ("", f"## {automation.name}", "", f"**{automation.rule}**", "")
        yield from _more(automation.source, automation.react)
        tells = ", ".join(f"`{fact.type}`" for fact in automation.tells)
        again = ", ".join(f"`{fact.type}`" for fact in automation.also)
        yield (
            f"On `{automation.on.type}`"
            + (f", and again on {again}" if again else "")
            + f". Reads {reads or 'nothing'}."
            + (f" May tell {tells}." if tells else "")
        )
        yield f"File: [`{_file(automation.source)}`](../../{_file(automation.source)})."
        yield ""
        yield from _tunables(automation)

    yield from ("", "# Watches", "", _ABOUT_WATCHES)
    for watch in declared.watches.values():
        yield from ("", f"## {watch.name}", "", f"**{watch.rule}**", "")
        yield from _table(("", ""), _about(watch))
        yield ""
        yield from _tunables(watch)


_ABOUT_WATCHES = """
What is looked at in Odoo, by webhook and by the change feed. A policy may set `enabled`, `every` and `tunables`: see
[watch Odoo](../how-to/watch-odoo.md).
""".strip()


def _about(watch: Watcher) -> Iterator[tuple[str, str]]:
    asks = {
        WatchTrigger.WRITING: "for what was written to",
        WatchTrigger.TIME: "for all that is due, each time: there is no backfill",
    }
    yield "looks at", f"`{watch.model}`"
    yield "tells", ", ".join(f"[`{fact.type}`](#{slug(fact.type)})" for fact in watch.tells)
    yield "the feed asks", f"{watch.every}, {asks[watch.by]}"
    yield "history", "told by a backfill only" if watch.stamped else "told when its record is written to again"
    yield "file", f"[`{_file(watch.source)}`](../../{_file(watch.source)})"


def _object(one: BusinessObject) -> tuple[str, str, str, str]:
    models = ", ".join(f"`{model}`" for model in one.models)
    return one.name, one.says, f"{one.system_of_record}: {models}", f"`{one.master}`" if one.master else ""


def _identity(fact: type[Event]) -> str:
    model, field = fact.about
    return f"{fact.type}/{model}/<{field}>" + (f"/<{fact.mark}>" if fact.mark else "")


def _reactions(fact: type[Event]) -> str:
    return ", ".join(f"[`{one.name}`](#{one.name})" for one in load_registry().reacting_to(fact)) or "none"


def slug(heading: str) -> str:
    """Name a heading as a link to it does."""
    return heading.replace(".", "")


_ABOUT_EVENTS = """
An event is a CloudEvent 1.0 whose `data` is one of these facts: [emit events](../how-to/emit-events.md). For
machines: [AsyncAPI 3](events/asyncapi.json), [the envelope](events/cloudevent.json), and a JSON Schema of each
fact, which `purser events asyncapi` and `purser events schema TYPE` print as well.

Every fact is about one thing the firm deals in. Odoo is the system of record of all of them: an automation reads
the record again before anything follows, so a fact that Odoo does not bear out changes nothing.
""".lstrip()

_ABOUT_IDENTITY = """
Master data flows on the queue `apply`, behind the bulk, so that no flood of it delays a won deal; a policy may say
[who tells it](../how-to/policies.md#who-tells-master-data).

The **identity** of a fact is its type, its record, and the mark that Odoo has stored when it became true. Odoo's
own events have the source `/odoo` and this identity as `id`, so a webhook, the change feed and a click are one
event. Moments are in UTC and whole seconds. Where Odoo stores no mark, the state stands for it: a record that comes
into the same state again within thirty days counts as told, and what protects is the business key of each change.
""".lstrip()

_ABOUT_ENVELOPE = """
The same `source` and `id` again is recognised for thirty days. A type carries its version: a new version is a new
type, and the old one is still read. `data` with a field that the fact does not have is refused. Attributes that are
not listed are extensions: at most 20, named by lower-case letters and digits, holding a truth, a whole number of 32
bits or a text of at most 1,000 characters; they are kept, and anything else is refused. The envelope, of at most
256 KiB as text:
""".lstrip()


# -------------------------------------------------------------------------------- commands --


def commands() -> Iterator[str]:
    """Every command with its arguments and options."""
    top: Any = typer.main.get_command(app())
    yield from ("# Commands", "", str(top.help), "")
    yield "Results go to stdout and everything else to stderr. `--json` gives programs the facts that people get as a"
    yield "table. Exit codes: [one page](exit-codes.md). What changes something takes `--note` (why) and, where it is"
    yield "listed, `--dry-run`; who did it is the user of the operating system."
    yield from ("", "Options before the command:", "")
    yield from _options(top)
    for name, command in top.commands.items():
        yield from _command(("purser", name), command)


def _command(path: Sequence[str], command: Any) -> Iterator[str]:
    below: Mapping[str, Any] = getattr(command, "commands", {})
    yield from ("", f"{'#' * len(path)} {' '.join(path)}", "", " ".join(str(command.help).split()))
    if not below:
        yield from ("", "```", _usage(path, command), "```")
        if any(True for _ in _rows(command)):
            yield ""
            yield from _options(command)
    for name, one in below.items():
        yield from _command((*path, name), one)


def _usage(path: Sequence[str], command: Any) -> str:
    words = []
    for parameter in command.params:
        if parameter.name == "help":
            continue
        if parameter.param_type_name == "argument":
            shown = parameter.metavar or parameter.name.upper()
            words.append(shown if parameter.required or shown.startswith("[") else f"[{shown}]")
        elif parameter.required:
            words.append(f"{parameter.opts[0]} {_metavar(parameter)}")
    return " ".join((*path, *words, "[OPTIONS]"))


def _options(command: Any) -> Iterator[str]:
    yield from _table(("", "", "default"), _rows(command))


def _rows(command: Any) -> Iterator[tuple[str, str, str]]:
    for parameter in command.params:
        if parameter.name == "help":
            continue
        told = " ".join((parameter.help or "").split())
        if parameter.param_type_name == "argument":
            yield f"`{parameter.metavar or parameter.name.upper()}`", told, ""
            continue
        names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
        value = "" if parameter.is_flag else f" `{_metavar(parameter)}`"
        default = "**required**" if parameter.required else _default(parameter.default, plain="")
        yield names + value, told or "Say which release this is." if parameter.name == "_version" else told, default


def _metavar(parameter: Any) -> str:
    annotation = parameter.type_descriptor.annotation
    if parameter.metavar:
        return str(parameter.metavar)
    if annotation is int or int in typing.get_args(annotation):
        return "NUMBER"
    return "PATH" if annotation is Path or Path in typing.get_args(annotation) else "TEXT"


# ----------------------------------------------------------------------------------- words --


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    yield "| " + " | ".join(columns) + " |"
    yield "|" + "---|" * len(columns)
    for row in rows:
        yield "| " + " | ".join(str(cell if cell is not None else "").replace("|", "\\|") for cell in row) + " |"


def _default(value: object, *, plain: str = "-") -> str:
    if value is None or value is False or value in ("", (), {}):
        return "false" if value is False and plain else plain
    if value is True:
        return "true"
    return f"`{value}`"


if __name__ == "__main__":
    sys.exit(main())
