"""Every way in which Odoo says no, with the class name and the HTTP status a caller sees.

Wire
├── AccessError      403  a right is missing: the whole call fails
├── UserError     422  a business rule, a constraint, a wrong call
├── Missing         404  a record, model or method that is not there
├── Stranger        401  no key, or a wrong one
├── Wrong           500  what the caller wrote makes no sense: a programming error
└── Unknown         501  Odoo may know it; the twin does not
"""

from typing import ClassVar


class OdooError(Exception):
    """An answer that is no result. `over_rpc` is the class name JSON-RPC gives where it differs from JSON-2."""

    status: ClassVar[int] = 500
    default: ClassVar[str] = "builtins.ValueError"

    def __init__(self, message: str, name: str = "", *, over_rpc: str = "") -> None:
        super().__init__(message)
        self.name = name or self.default
        self.over_rpc = over_rpc or self.name


class AccessError(OdooError):
    status, default = 403, "odoo.exceptions.AccessError"


class UserError(OdooError):
    status, default = 422, "odoo.exceptions.ValidationError"


class MissingError(OdooError):
    status, default = 404, "odoo.exceptions.MissingError"


class InvalidApiKey(OdooError):
    status, default = 401, "werkzeug.exceptions.Unauthorized"


class BadRequest(OdooError):
    """The caller's programming error."""


class NotFound(OdooError):
    status, default = 501, "builtins.NotImplementedError"

    def __init__(self, what: str) -> None:
        super().__init__(f"the twin does not know {what}")


def gone(model: str, id: int, uid: int) -> MissingError:  # noqa: A002
    """Say that one record is not there."""
    return MissingError(f"Record does not exist or has been deleted.\n(Record: {model}({id},), User: {uid})")
