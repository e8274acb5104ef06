"""Open to-dos of an automation, and the changes that close those whose cause went away."""

from collections.abc import Collection, Iterator

from purser.changes import CloseActivity
from purser.queries import Row, Snapshot


class Todo(Row, model="mail.activity", keyed=True):
    """An open to-do. A subclass says, in its domain, where those of its automation stand."""

    summary: str | None = None
    keys: tuple[str, ...] = ()
    """The business keys, such as `leave/21/task/30`."""


def close_todos(
    snapshot: Snapshot, kind: type[Todo], *, prefix: str, because: str, but: Collection[str] = ()
) -> Iterator[CloseActivity]:
    """Yield the changes that close the open to-dos whose key begins with `prefix`, except those named in `but`.

    `because` becomes the feedback: the people who see the closed to-do read why nobody has to do it any more.
    """
    for todo in snapshot.rows(kind):
        for key in todo.keys:
            if key.startswith(prefix) and key not in but:
                yield CloseActivity(activity=todo.id, feedback=because, key=key)
