"""Types of the parameters that controls, automations and watchers share, with their bounds.

A value outside of its bounds is a mistake in the policy, told with its line; the reference shows the bounds.
"""

from decimal import Decimal
from typing import Annotated

from pydantic import Field

Days = Annotated[int, Field(ge=0, le=366)]
"""Days to wait or to look back; a year and a day is more than any of them can mean."""

Percent = Annotated[Decimal, Field(ge=0, le=100, allow_inf_nan=False)]
"""A share in percent, such as a discount."""

HoursPerWeek = Annotated[Decimal, Field(gt=0, le=168, allow_inf_nan=False)]
"""Working hours of a week, which has 168."""

Price = Annotated[Decimal, Field(gt=0, allow_inf_nan=False)]
"""A price in the firm's currency."""

RecordId = Annotated[int, Field(gt=0)]
"""The number of a record in Odoo."""
