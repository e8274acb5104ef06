"""`purser demo` proves the fleet on this machine, with nothing installed beside it and nothing left behind."""

from typing import Annotated

import typer

from console.output import FAILED, AsJson, exit_with


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave it running with its addresses, until Ctrl-C.")] = False,
    json: AsJson = False,
) -> None:
    """See the whole fleet at work here: no Docker, no Odoo. Ends with 0 only if every claim was observed."""
    from devtools.demo.runner import run_demo  # it brings the twin and Celery along, which other commands do without

    if not run_demo(keep=keep, json=json):
        exit_with(FAILED)
