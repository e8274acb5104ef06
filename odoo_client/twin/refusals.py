"""Every way in which Odoo says no, with the class name and the HTTP status a caller sees.

Wire
├── NotAllowed      403  a right is missing: the whole call fails
├── NotPossible     422  a business rule, a constraint, a wrong call
├── Missing         404  a record, model or method that is not there
├── Stranger        401  no key, or a wrong one
├── Wrong           500  what the caller wrote makes no sense: a programming error
└── Unknown         501  Odoo may know it; the twin does not
"""

from typing import ClassVar


class Wire(Exception):
    """An answer that is no result."""

    status: ClassVar[int] = 500
    default: ClassVar[str] = "builtins.ValueError"

    def __init__(self, message: str, name: str = "", *, over_rpc: str = "") -> None:
        super().__init__(message)
        self.name = name or self.default
        self.over_rpc = over_rpc or self.name
        """The class name that JSON-RPC gives where it differs from JSON-2."""

    @property
    def arguments(self) -> list[object]:
        """What Odoo lists: the message, and the status where werkzeug raised it."""
        return [str(self), self.status] if self.name.startswith("werkzeug.") else [str(self)]


class NotAllowed(Wire):
    """A right is missing."""

    status = 403
    default = "odoo.exceptions.AccessError"


class NotPossible(Wire):
    """A rule or a constraint stands against it."""

    status = 422
    default = "odoo.exceptions.ValidationError"


class Missing(Wire):
    """It is not there."""

    status = 404
    default = "odoo.exceptions.MissingError"


class Stranger(Wire):
    """The key opens nothing."""

    status = 401
    default = "werkzeug.exceptions.Unauthorized"


class BadRequest(Wire):
    """The bytes are no JSON."""

    status = 400
    default = "werkzeug.exceptions.BadRequest"


class Wrong(Wire):
    """The caller's programming error."""


class Unknown(Wire):
    """The twin does not know it."""

    status = 501
    default = "builtins.NotImplementedError"

    def __init__(self, what: str) -> None:
        super().__init__(f"the twin does not know {what}")


def gone(model: str, id: int, uid: int) -> Missing:  # noqa: A002
    """Say that one record is not there."""
    return Missing(f"Record does not exist or has been deleted.\n(Record: {model}({id},), User: {uid})")


def no_such_model(model: str) -> Missing:
    """Say that there is no such model."""
    return Missing(f"the model {model!r} does not exist", "werkzeug.exceptions.NotFound")


def bad_number(value: object) -> Wrong:
    """Say what PostgreSQL says of a text where a number belongs."""
    return Wrong(f'invalid input syntax for type integer: "{value}"', "psycopg2.errors.InvalidTextRepresentation")


def bad_call(message: str) -> NotPossible:
    """Say that the arguments do not fit the method."""
    return NotPossible(message, "werkzeug.exceptions.UnprocessableEntity", over_rpc="builtins.TypeError")


def no_such_field(model: str, name: str, text: str = "Invalid field '{name}' on '{model}'") -> Wrong:
    """Say that the model has no such field."""
    return Wrong(text.format(model=model, name=name))
