"""Every number in a policy has bounds, and a value outside of them is named with its line."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from config.policy.loader import load_policies
from purser.declarations import Parameter
from purser.errors import ConfigurationError
from tasks.discovery import load_registry

REGISTRY = load_registry()
DECLARED: tuple[Any, ...] = (
    *REGISTRY.controls.values(),
    *REGISTRY.automations.values(),
    *REGISTRY.watches.values(),
)
OF_MONEY = ("large_amount", "min_amount", "review_above", "hourly_rate")
PARAMETERS = {f"{one.name}.{name}": it for one in DECLARED for name, it in one.tunables.items()}


def _takes(parameter: Parameter, value: object) -> bool:
    try:
        TypeAdapter(parameter.type).validate_python(value)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("name", PARAMETERS)
def test_no_parameter_that_ships_takes_an_absurd_number(name: str) -> None:
    parameter = PARAMETERS[name]
    for absurd in (-1, Decimal("-0.5"), Decimal("NaN"), (-1,)):
        assert not _takes(parameter, absurd), absurd
    if (
        _takes(parameter, 7)
        and "amount" not in name
        and name.rpartition(".")[2] not in {"review_above", "hourly_rate"}
    ):
        assert not _takes(parameter, 100_000)


def test_a_value_outside_of_its_bounds_is_named_with_its_line_and_the_bound(tmp_path: Path) -> None:
    policy = tmp_path / "firm.yaml"
    policy.write_text(
        "version: 1\ncontrols:\n  stale-drafts:\n    tunables: {invoice_days: -3}\n"
        "automations:\n  draft-invoice:\n    tunables:\n      standard_discount: 250\n"
    )
    with pytest.raises(ConfigurationError) as caught:
        load_policies(REGISTRY, policy)
    told = str(caught.value)
    assert "firm.yaml:4" in told
    assert "invoice_days" in told
    assert "greater than or equal to 0" in told
    assert "firm.yaml:8" in told
    assert "less than or equal to 100" in told
