"""The payload of a dead letter is edited by whoever may, checked before it is kept, and undone by one more edit."""

import json
from dataclasses import dataclass

from config.console_users import ConsoleRole, edit_role_problem
from config.observability.redaction import Redactor
from console.pages.base_handler import BasePageHandler
from console.pages.presentation import formatting
from console.pages.presentation.masking import mask, unmask
from purser.errors import ConfigurationError
from purser.formats.strict_json import InvalidJson, read_json
from store import DeadLetter, PatchOperation
from store.dead_letters.edits import patch
from workers.context import WorkerContext
from workers.dead_letters import letter_edit
from workers.dead_letters.letter_edit import EditResult, EditStatus


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody typed, and what would come of it."""

    text: str
    body: bytes
    problems: tuple[str, ...] = ()
    patch: tuple[PatchOperation, ...] = ()


def text_of(letter: DeadLetter, clean: Redactor) -> str:
    """Return what is edited: the values of the task as JSON, secrets masked; '' when there is nothing to edit."""
    text = letter_edit.text_of(letter)
    if not text:
        return ""
    return json.dumps(mask(json.loads(text), clean), indent=2, ensure_ascii=False)


def draft_of(fleet: WorkerContext, letter: DeadLetter, text: str, clean: Redactor) -> Draft:
    """Read what was typed, and say what is wrong with it and what it changes."""
    try:
        values = unmask(read_json(text, halves=True), json.loads(letter_edit.text_of(letter)), clean)
        body = letter_edit.body_with(letter, json.dumps(values, ensure_ascii=False))
    except InvalidJson as error:
        return Draft(text, b"", (f"this is not JSON: {error}",))
    except (ValueError, RecursionError) as error:
        return Draft(text, b"", (str(error),))
    return Draft(text, body, letter_edit.check(fleet, letter, body), patch(letter.body, body))


class EditPage(BasePageHandler):
    """The payload of one letter."""

    tab = "dead"
    needs = ConsoleRole.EDITOR

    async def get(self) -> None:
        """Show it in an editor."""
        letter = await self._letter()
        text = await self.aside(text_of, letter, self._clean)
        if not text:
            raise ConfigurationError("this letter cannot be edited: its bytes are no task message of ours")
        self._show(letter, Draft(text, letter.body))

    async def post(self) -> None:
        """Check what was typed, keep it, undo the last edit, or settle a proposal."""
        act = self.word("act")
        letter = await self._letter()
        if act in ("check", "save"):
            await self._typed(letter, keep=act == "save")
        elif act in ("revert", "approve", "withdraw"):
            self._answer(letter, await self._settled(letter, act))
        else:
            raise ConfigurationError(f"act={act!r} is none of check, save, revert, approve, withdraw")

    async def _typed(self, letter: DeadLetter, *, keep: bool) -> None:
        text = self.get_argument("text", "", strip=False, escape=False)
        draft = await self.aside(draft_of, self.fleet, letter, text, self._clean)
        if draft.problems or not keep:
            self._show(letter, draft)
            return
        edited = await self.aside(
            letter_edit.edit,
            self.fleet,
            letter.id,
            draft.body,
            expects=self._expects(),
            who=self.person.name,
            note=self.note(),
        )
        if edited.ending in (EditStatus.DONE, EditStatus.PROPOSED):
            self._answer(letter, edited)
        else:
            self._show(edited.letter or letter, Draft(text, draft.body, edited.problems, draft.patch))

    async def _settled(self, letter: DeadLetter, act: str) -> EditResult:
        who, note = self.person.name, self.note()
        if act == "revert":
            return await self.aside(
                letter_edit.revert, self.fleet, letter.id, expects=self._expects(), who=who, note=note
            )
        seen = letter.proposal
        if seen is None or seen.at.isoformat() != self.word("seen"):
            raise ConfigurationError("another edit waits here by now, or none: look again")
        if act == "approve":
            return await self.aside(letter_edit.approve, self.fleet, letter.id, who=who, note=note, seen=seen)
        if await self.aside(self.ledger.letters.withdraw, letter.id, who=who, note=note):
            return EditResult(ending=EditStatus.DONE, letter=letter, problems=("The proposal is withdrawn.",))
        raise ConfigurationError("no edit waits here any more")

    def _answer(self, letter: DeadLetter, edited: EditResult) -> None:
        there = formatting.link("/dead/letter", id=letter.id)
        match edited.ending:
            case EditStatus.DONE if edited.problems:
                self.go(there, edited.problems[0])
            case EditStatus.DONE:
                self.go(formatting.link("/dead/plan", id=letter.id), "Edited. So a replay would go now.")
            case EditStatus.PROPOSED:
                self.go(there, "The edit waits for a second person: what is at stake is above the limit, or unknown.")
            case _:
                raise ConfigurationError("; ".join(edited.problems))

    async def _letter(self) -> DeadLetter:
        letter = await self.aside(self.ledger.letters.get, self.word("id"))
        if letter is None:
            raise ConfigurationError(f"no letter has the id {formatting.plain(self.word('id'))}")
        if why := await self.aside(edit_role_problem, self.fleet.settings, self.person.name, letter.task):
            raise ConfigurationError(why)
        return letter

    def _show(self, letter: DeadLetter, draft: Draft) -> None:
        self.show("edit.html", letter=letter, draft=draft, clean=self._clean, expects=len(letter.edits))

    def _expects(self) -> int:
        given = self.word("expects")
        if not given.isdecimal() or len(given) > 9:
            raise ConfigurationError("expects: say how many edits you saw")
        return int(given)

    @property
    def _clean(self) -> Redactor:
        """Whoever edits a name must see it; secrets stay masked."""
        return self.clean.for_insiders()
