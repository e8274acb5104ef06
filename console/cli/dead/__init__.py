"""Messages that were set aside are listed, explained, planned, tried again, mended, carried off or thrown away."""

from typing import Any

import typer

from console.cli.dead import edit, inspect, plan, replay, resolve, transfer

group = typer.Typer(help="Dead letters: what could not be done.", no_args_is_help=True)
_COMMANDS: dict[str, Any] = {
    "list": inspect.list_,
    "groups": inspect.groups,
    "show": inspect.show,
    "graves": inspect.graves,
    "plan": plan.plan,
    "replay": replay.replay,
    "edit": edit.edit,
    "discard": resolve.discard,
    "restore": resolve.restore,
    "export": transfer.export,
    "import": transfer.import_,
}
for name, command in _COMMANDS.items():
    group.command(name)(command)
group.add_typer(replay.group, name="replays")
