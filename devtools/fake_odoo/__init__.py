"""A small Odoo in one process: it stores and filters, and says 501 to whatever it does not know.

It knows what the client, the controls and the demo ask for. Not: patterns in text search (`%` and `_` of `ilike`),
paths in groups, followers that come by themselves, a second version of an employee, activities without a document,
mails, or any computed value.
"""

from devtools.fake_odoo.fault_injection import FaultQueue
from devtools.fake_odoo.server import FakeOdoo

__all__ = ["FakeOdoo", "FaultQueue"]
