"""A firm says who tells master data; whoever is not named is refused, and Odoo never is."""

import pytest

from config.policy.loader import Policies, parse_policies
from config.policy.master_data import MasterDataOwners
from events.customer import CustomerChanged
from events.employee import EmployeeDeparted, LeaveApproved
from events.opportunity import OpportunityWon
from purser.errors import ConfigurationError
from purser.registry import Registry


def policies(text: str) -> Policies:
    return parse_policies(Registry.of([]), f"version: 1\n{text}", source="firm.yaml")


OWNED = policies('ownership:\n  customer: [/crm]\n  resource: ["urn:hr:", /hr/payroll]').ownership


@pytest.mark.parametrize("source", ["/crm", "/crm/website", "/crm#1", "/odoo", "/odoo/firm"])
def test_the_owner_may_tell_and_so_may_odoo(source: str) -> None:
    assert OWNED.objection(CustomerChanged, source) == ""


@pytest.mark.parametrize("source", ["/crmx", "/cr", "/shop/crm", "/odoox"])
def test_nobody_else_may(source: str) -> None:
    said = OWNED.objection(CustomerChanged, source)
    assert said.startswith(
        f"`customer.changed.v1` from {source}: the policy gives master data of a customer to /crm."
    )


def test_a_prefix_that_ends_as_one_covers_all_below_it() -> None:
    assert OWNED.objection(EmployeeDeparted, "urn:hr:payroll") == ""
    assert OWNED.objection(EmployeeDeparted, "/hr")


def test_only_master_data_has_an_owner() -> None:
    assert OWNED.objection(OpportunityWon, "/anybody") == ""
    assert OWNED.objection(LeaveApproved, "/anybody") == ""


def test_without_a_word_about_it_everybody_may_tell() -> None:
    assert MasterDataOwners().objection(CustomerChanged, "/anybody") == ""
    assert policies("").hash == policies("ownership: {}").hash != policies("ownership: {customer: [/crm]}").hash


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "ownership: {customers: [/crm]}",
            "firm.yaml:2: ownership: `customers` is unknown. Did you mean `customer`?",
        ),
        ("ownership: {invoice: [/crm]}", "`invoice` is unknown"),
        ("ownership: {customer: /crm}", "ownership: customer must be a list"),
        ("ownership: {customer: [7]}", "a source is a text such as /hr/payroll, not 7"),
    ],
)
def test_a_mistake_is_shown_with_its_line(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        policies(text)
    assert said in str(caught.value)
