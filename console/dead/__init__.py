"""Messages that were set aside are listed, explained, planned, tried again, mended, carried off or thrown away."""

from typing import Any

import typer

from console.dead import carrying, looking, mending, planning, replaying, settling

group = typer.Typer(help="Dead letters: what could not be done.", no_args_is_help=True)
_COMMANDS: dict[str, Any] = {
    "list": looking.list_,
    "groups": looking.groups,
    "show": looking.show,
    "graves": looking.graves,
    "plan": planning.plan,
    "replay": replaying.replay,
    "edit": mending.edit,
    "discard": settling.discard,
    "restore": settling.restore,
    "export": carrying.export,
    "import": carrying.import_,
}
for name, command in _COMMANDS.items():
    group.command(name)(command)
group.add_typer(replaying.group, name="replays")
