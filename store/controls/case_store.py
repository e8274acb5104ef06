"""Beside Odoo's truth we remember each case's last shape, so a scan knows what it wrote and whom it asked.

Open and ended cases of a control are two hashes; a case stands in one of them. An ended one keeps what its next
episode needs and forgets the name of its subject and the text.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import TypeAdapter

from purser.cases import ENDED_STATES, CaseKey, CaseRecord
from store.pagination import Page, checked_limit
from store.redis_store import DAMAGE, RedisStore, checked, shown, unreadable

T = TypeVar("T")

_CASE = TypeAdapter(CaseRecord)
_BATCH = 1000


class CaseStore:
    """The memory of all cases, by control."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    def put(self, cases: Iterable[CaseRecord]) -> None:
        """Keep the latest shape of many cases. Of two with one key the last counts."""
        by_control: dict[str, dict[CaseKey, CaseRecord]] = {}
        for case in cases:
            by_control.setdefault(case.key.control, {})[case.key] = case
        for control, known in by_control.items():
            for batch in _batches(tuple(known.values())):
                self._put(control, batch)

    def of(self, control: str, *, open_only: bool = False) -> dict[CaseKey, CaseRecord]:
        """Return the cases of a control by key."""
        keys = [self._key(control, is_open=is_open) for is_open in ((True,) if open_only else (True, False))]
        with self._store.reach(keys[0]) as client:
            pipe = client.pipeline(transaction=True)
            for key in keys:
                pipe.hgetall(key)
            told = self._store.answers_of(pipe)
        return {name: case for key, raw in zip(keys, told, strict=True) for name, case in self._read_all(key, raw)}

    def among(self, control: str, keys: Sequence[CaseKey]) -> dict[CaseKey, CaseRecord]:
        """Return those of `keys` that are known, open or ended, without reading the rest."""
        homes = [self._key(control, is_open=is_open) for is_open in (True, False)]
        found: dict[CaseKey, CaseRecord] = {}
        for batch in _batches(keys):
            with self._store.reach(homes[0]) as client:
                pipe = client.pipeline(transaction=True)
                for home in homes:
                    pipe.hmget(home, [str(key) for key in batch])
                told = self._store.answers_of(pipe)
            for home, values in zip(homes, told, strict=True):
                if isinstance(values, Exception):
                    self._store.report(unreadable(home, values))
                    continue
                raw = {
                    str(key).encode(): value for key, value in zip(batch, values, strict=True) if value is not None
                }
                found.update(self._read_all(home, raw))
        return found

    def page(
        self,
        *,
        control: str | None = None,
        user_id: int | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> Page[CaseRecord]:
        """Return open cases, the oldest first, of all controls or one, and of everybody asked or one user.

        Reads all open cases of the controls it looks at: some ten thousand are fine.
        """
        checked_limit(limit)
        with self._store.collecting() as unread:
            known = [case for name in self._controls(control) for case in self.of(name, open_only=True).values()]
        wanted = [case for case in known if user_id is None or case.user_id == user_id]
        wanted.sort(key=_place)
        rest = [case for case in wanted if after is None or _cursor(case) > after]
        following = _cursor(rest[limit - 1]) if len(rest) > limit else None
        return Page(tuple(rest[:limit]), following, tuple(unread.values()))

    def counts(self) -> dict[str, int]:
        """Count the open cases of each control that ever had one."""
        controls = self._controls(None)
        with self._store.reach(self._store.key("cases", "controls")) as client:
            pipe = client.pipeline(transaction=False)
            for control in controls:
                pipe.hlen(self._key(control, is_open=True))
            answers = self._store.answers_of(pipe)
        rows = zip(controls, answers, strict=True)
        return dict(self._store.readable(self._counted, rows))

    def forget(self, key: CaseKey) -> bool:
        """Drop a case from memory; False when it was not there."""
        with self._store.reach(self._key(key.control, is_open=True)) as client:
            pipe = client.pipeline(transaction=True)
            for is_open in (True, False):
                pipe.hdel(self._key(key.control, is_open=is_open), str(key))
            return any(pipe.execute())

    # -- helpers

    def _put(self, control: str, batch: Sequence[CaseRecord]) -> None:
        with self._store.reach(self._key(control, is_open=True)) as client:
            pipe = client.pipeline(transaction=True)
            pipe.sadd(self._store.key("cases", "controls"), control)
            for is_open in (True, False):
                mine = [case for case in batch if _is_open(case) is is_open]
                if mine:
                    written = {str(case.key): _CASE.dump_json(_kept(case), exclude_defaults=True) for case in mine}
                    pipe.hset(self._key(control, is_open=is_open), mapping=written)
                    pipe.hdel(self._key(control, is_open=not is_open), *written)
            pipe.execute()

    def _counted(self, control: str, answer: Any) -> tuple[str, int]:
        return control, int(checked(answer, self._key(control, is_open=True)))

    def _read_all(self, home: str, raw: Any) -> Iterator[tuple[CaseKey, CaseRecord]]:
        """Read cases; one that cannot be read is as if it were not remembered, and Odoo's activities say the rest."""
        if isinstance(raw, Exception):
            self._store.report(unreadable(home, raw))
            return
        yield from self._store.readable(_read, ((home, name, value) for name, value in raw.items()))

    def _controls(self, only: str | None) -> tuple[str, ...]:
        if only is not None:
            return (only,)
        key = self._store.key("cases", "controls")
        with self._store.reach(key) as client:
            return tuple(sorted(name.decode() for name in client.smembers(key)))

    def _key(self, control: str, *, is_open: bool) -> str:
        return self._store.key("cases", control, "open" if is_open else "ended")


def _is_open(case: CaseRecord) -> bool:
    return case.state not in ENDED_STATES


def _kept(case: CaseRecord) -> CaseRecord:
    return case if _is_open(case) else replace(case, text="", subject_name="")


def _place(case: CaseRecord) -> tuple[str, str]:
    return case.opened_on.isoformat(), str(case.key)


def _cursor(case: CaseRecord) -> str:
    return "|".join(_place(case))


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for i in range(0, len(items), _BATCH):
        yield items[i : i + _BATCH]


def _read(home: str, name: bytes, value: bytes) -> tuple[CaseKey, CaseRecord]:
    try:
        case = _CASE.validate_json(value)
    except DAMAGE as error:
        raise unreadable(f"{home} {shown(name)}", error) from error
    return case.key, case
