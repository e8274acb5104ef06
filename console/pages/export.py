"""Letters leave as JSON Lines, complete, and what was buried is still counted."""

import itertools
from collections.abc import Iterator
from typing import Any

from config.console_users import ConsoleRole
from console.pages.base_handler import BasePageHandler
from console.pages.dead_letters import BaseDeadLetterHandler
from purser.formats.strict_json import write_json

_BATCH = 100


class ExportPage(BaseDeadLetterHandler):
    """Letters to take along. They hold every byte, secrets included, so this takes an editor and is audited."""

    needs = ConsoleRole.EDITOR

    async def post(self) -> None:
        """Send all that match, one a line."""
        wanted = self.wanted()
        note = " ".join(f"{name}={value}" for name, value in wanted.words().items()) or "all dead letters"
        await self.aside(
            self.ledger.audit.append, who=self.person.name, action="dead.export", what="letters", note=note
        )
        self.set_header("Content-Type", "application/x-ndjson; charset=utf-8")
        self.set_header("Content-Disposition", 'attachment; filename="letters.jsonl"')
        letters = await self.aside(self.ledger.letters.export, wanted)
        while batch := await self.aside(_lines, letters):
            self.write(batch)
            await self.flush()


def _lines(letters: Iterator[dict[str, Any]]) -> str:
    return "".join(f"{write_json(one)}\n" for one in itertools.islice(letters, _BATCH))


class TombstonesPage(BasePageHandler):
    """What retention took away."""

    tab = "dead"

    async def get(self) -> None:
        """Show the stones."""
        graves = await self.aside(self.ledger.letters.graves, 200)
        self.show("buried.html", graves=graves, days=self.fleet.policies.dead_letters.retention_days)
