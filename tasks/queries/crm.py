"""What declarations read of the sales pipeline."""

from collections.abc import Iterable, Mapping, Sequence
from email.utils import parseaddr
from typing import Annotated

from pydantic import Field

from purser import OPTIONAL_FIELD, Domain, Many2One, Moment, QueryContext, Row, Snapshot
from purser.todos import Todo

KICK_OFF = "Kick-off: "
"""How the summary of each kick-off activity begins."""

TAKEN_BACK = "The opportunity is not won any more: there is nothing to kick off."
"""The feedback of a kick-off activity whose opportunity was taken back."""


class WonLead(Row, model="crm.lead", active_test=False):
    """The opportunity an event speaks of, as it stands now."""

    name: str
    won_status: Annotated[str | None, OPTIONAL_FIELD] = None
    """Odoo 19 and later."""
    active: bool = True
    probability: float = 0.0
    closed_at: Moment | None = Field(None, alias="date_closed")
    partner_id: Many2One | None = None
    partner_name: str | None = None
    contact_name: str | None = None
    email_from: str | None = None
    phone: str | None = None
    function: str | None = None
    street: str | None = None
    zip: str | None = None
    city: str | None = None
    country_id: int | None = None
    user_id: int | None = None
    team_id: Many2One | None = None
    tag_ids: tuple[int, ...] = ()
    company_id: int | None = None

    @property
    def is_won(self) -> bool:
        """Return whether the customer said yes, and nobody has taken that back.

        Odoo 19 can leave `won_status` at pending for a deal that was created in a won stage; then probability and
        closing date say it. Whoever moves a deal out of a won stage takes its closing date away.
        """
        certain = self.active and self.probability >= 100 and self.closed_at is not None
        return self.won_status == "won" or certain

    @property
    def people(self) -> tuple[int | None, ...]:
        """Name whose opportunity it is."""
        return (self.user_id,)

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read the one opportunity of the event."""
        return [("id", "=", scope.event.opportunity_id)]


class LeadTeam(Row, model="crm.team", optional=True, translated=True):
    """The sales team of the opportunity, and who leads it."""

    name: str = ""
    names: frozenset[str] = frozenset()
    user_id: int | None = None

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read that of the opportunity."""
        teams = [lead.team_id.id for lead in scope.snapshot.rows(WonLead) if lead.team_id is not None]
        return [("id", "in", teams)] if teams else None

    @property
    def people(self) -> tuple[int | None, ...]:
        """Name who leads it."""
        return (self.user_id,)


class LeadOrder(Row, model="sale.order", optional=True):
    """A quotation or order of the opportunity that was not cancelled."""

    name: str
    state: str
    partner_id: int | None = None
    project_id: Annotated[int | None, OPTIONAL_FIELD] = None
    """The project that Odoo uses, or made, for the order."""

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read those of a won opportunity."""
        won = [lead.id for lead in scope.snapshot.rows(WonLead) if lead.is_won]
        return [("opportunity_id", "in", won), ("state", "!=", "cancel")] if won else None

    @property
    def is_confirmed(self) -> bool:
        """Return whether the customer's yes is an order in Odoo, so that Odoo has made what it makes of it."""
        return self.state not in ("draft", "sent")


class LeadOrderLine(Row, model="sale.order.line", optional=True):
    """A service on such an order, with the project that it belongs to."""

    order_id: int
    product_id: int | None = None
    project_id: int | None = None

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read the services of those orders."""
        orders = [order.id for order in scope.snapshot.rows(LeadOrder)]
        return [("order_id", "in", orders), ("is_service", "=", True)] if orders else None


class LeadProduct(Row, model="product.product", optional=True, active_test=False):
    """The product of such a line: confirming an order makes a project of some."""

    service_tracking: str | None = None

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read those of the lines."""
        products = sorted(
            {one.product_id for one in scope.snapshot.rows(LeadOrderLine) if one.product_id is not None}
        )
        return [("id", "in", products)] if products else None

    @property
    def makes_a_task(self) -> bool:
        """Return whether Odoo makes a project and a billable task for a line that has no project.

        A line that makes a project alone is left to Odoo: its task would be what ties the time to the order.
        """
        return self.service_tracking == "task_in_project"


class KnownCustomer(Row, model="res.partner", keyed=True):
    """A contact who may be the customer whom the opportunity names without a link."""

    name: str | None = None
    email_normalized: str | None = None
    is_company: bool = False
    parent_id: int | None = None
    commercial_partner_id: int | None = None
    company_id: int | None = None
    keys: tuple[str, ...] = ()

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read those with the e-mail address, or else with the name; `find_customer` chooses."""
        for lead in scope.snapshot.rows(WonLead):
            if not lead.is_won or lead.partner_id is not None:
                continue
            wanted: Domain = []
            if address := normalized(lead.email_from):
                wanted.append(("email_normalized", "=", address))
            if name := lead.partner_name or lead.contact_name:
                wanted.append(("name", "ilike", name.strip()))
            return ["|"] * (len(wanted) - 1) + wanted if wanted else None
        return None


def normalized(email: str | None) -> str | None:
    """Return an e-mail address as Odoo compares it: without the name before it, in lower case; None where none is."""
    address = parseaddr(email or "")[1].strip().lower()
    return address if "@" in address else None


def find_customer(lead: WonLead, known: Iterable[KnownCustomer]) -> tuple[KnownCustomer, ...]:
    """Return the customer whom an opportunity names: by e-mail address, else by name. More than one: who could be."""
    own = [one for one in known if one.company_id is None or lead.company_id in (None, one.company_id)]
    address, company, person = normalized(lead.email_from), lead.partner_name, lead.contact_name
    by_mail = [one for one in own if address is not None and one.email_normalized == address]
    if len(by_mail) > 1:
        by_mail = _narrowed(by_mail, company, person)
    if by_mail:
        return tuple(by_mail)
    name = company or person
    return tuple(
        one
        for one in own
        if name and _same(one.name, name) and one.parent_id is None and one.is_company == bool(company)
    )


def _narrowed(candidates: Sequence[KnownCustomer], company: str | None, person: str | None) -> list[KnownCustomer]:
    """Choose among those with one address: who is called like the contact person, else the firm they belong to."""
    for name in (person, company):
        named = [one for one in candidates if name and _same(one.name, name)]
        if len(named) == 1:
            return named
    firms = [one for one in candidates if one.commercial_partner_id in (None, one.id)]
    return firms if len({one.commercial_partner_id for one in candidates}) == 1 and firms else list(candidates)


def _same(one: str | None, other: str) -> bool:
    return " ".join((one or "").split()).casefold() == " ".join(other.split()).casefold()


class LeadProject(Row, model="project.project", optional=True, keyed=True):
    """A project that may be the one of the deal already: of its orders, or of its name and customer."""

    name: str
    partner_id: int | None = None
    is_template: Annotated[bool, OPTIONAL_FIELD] = False
    keys: tuple[str, ...] = ()

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read those that the orders name, and those called like the deal."""
        read = scope.snapshot
        names = sorted({lead.name for lead in read.rows(WonLead) if lead.is_won})
        linked = {order.project_id for order in read.rows(LeadOrder)}
        linked |= {line.project_id for line in read.rows(LeadOrderLine)}
        ids = sorted(one for one in linked if one is not None)
        return ["|", ("id", "in", ids), ("name", "in", names)] if names else None


class KickOffTodo(Todo):
    """An open kick-off activity of a project."""

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read the open ones where the opportunity is not won any more; the key tells which are its own."""
        if any(lead.is_won for lead in scope.snapshot.rows(WonLead)):
            return None
        return [("res_model", "=", "project.project"), ("summary", "ilike", KICK_OFF)]


class WithdrawnKickOff(Todo, active_test=False):
    """A kick-off activity that was closed because the opportunity was taken back."""

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read them where the opportunity is won: it is once more, so it is kicked off once more."""
        if not any(lead.is_won for lead in scope.snapshot.rows(WonLead)):
            return None
        return [("res_model", "=", "project.project"), ("active", "=", False), ("feedback", "=", TAKEN_BACK)]


class LeadTag(Row, model="crm.tag", optional=True, translated=True):
    """A tag on the opportunity, such as the service that was sold."""

    name: str
    names: frozenset[str] = frozenset()

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read those of the opportunity."""
        tags = {tag for lead in scope.snapshot.rows(WonLead) for tag in lead.tag_ids}
        return [("id", "in", sorted(tags))] if tags else None


def service_types(snapshot: Snapshot, templates: Mapping[str, str]) -> dict[str, str]:
    """Return the types of service that an opportunity can be of, its tags before its team, and the template of each.

    A type without one in `templates` names its template itself.
    """
    called = [tag.names | {tag.name} for tag in snapshot.rows(LeadTag)]
    teams = [team.names | {team.name} for team in snapshot.rows(LeadTeam) if team.name]
    called += teams or [frozenset({one.team_id.name}) for one in snapshot.rows(WonLead) if one.team_id is not None]
    found: dict[str, str] = {}
    for names in called:
        for one in sorted(names & templates.keys()) or sorted(names):
            found.setdefault(one, templates.get(one, one))
    return found


class OrderedProject(Row, model="project.project", optional=True):
    """A project that was made, with the order line it was made from."""

    name: str
    active: bool = True
    partner_id: int | None = None
    sale_line_id: int | None = None

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read the one of the event where it comes from an order."""
        return [("id", "=", scope.event.project_id), ("sale_line_id", "!=", False)]


class ProjectLine(Row, model="sale.order.line", optional=True):
    """The order line of that project."""

    order_id: int

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read it."""
        lines = [one.sale_line_id for one in scope.snapshot.rows(OrderedProject) if one.sale_line_id is not None]
        return [("id", "in", lines)] if lines else None


class ProjectOrder(Row, model="sale.order", optional=True):
    """The order of that line, where it comes from an opportunity."""

    name: str
    opportunity_id: int
    user_id: int | None = None
    project_id: int | None = None

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read it."""
        orders = [line.order_id for line in scope.snapshot.rows(ProjectLine)]
        return [("id", "in", orders), ("opportunity_id", "!=", False)] if orders else None

    @property
    def people(self) -> tuple[int | None, ...]:
        """Name whom the order names."""
        return (self.user_id,)


class OrderLineOfProject(Row, model="sale.order.line", optional=True):
    """A line of that order, and the project it names."""

    project_id: int | None = None

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read those that name the project which was made."""
        made = [one.id for one in scope.snapshot.rows(OrderedProject)]
        orders = [order.id for order in scope.snapshot.rows(ProjectOrder)]
        return [("order_id", "in", orders), ("project_id", "in", made)] if orders and made else None


class TaskOfProject(Row, model="project.task", optional=True, active_test=False):
    """A task of the project that was made."""

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read them all, those of an archived project too."""
        return _of_made(scope)


class MilestoneOfProject(Row, model="project.milestone", optional=True):
    """A milestone of the project that was made."""

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read them all."""
        return _of_made(scope)


class TimesheetOfProject(Row, model="account.analytic.line", optional=True):
    """Time that is entered on the project that was made."""

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read it all; the project is new."""
        return _of_made(scope)


def _of_made(scope: QueryContext) -> Domain | None:
    made = [one.id for one in scope.snapshot.rows(OrderedProject)]
    return [("project_id", "in", made)] if made and scope.snapshot.rows(ProjectOrder) else None


class DealProject(Row, model="project.project", optional=True, keyed=True):
    """A project that may be the one made for the won opportunity; its key tells."""

    name: str
    sale_line_id: int | None = None
    keys: tuple[str, ...] = ()

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read those of the firm that ordered."""
        partners = [one.partner_id for one in scope.snapshot.rows(OrderedProject) if one.partner_id is not None]
        if not scope.snapshot.rows(ProjectOrder) or not partners:
            return None
        firm = ("partner_id.commercial_partner_id.child_ids", "in", partners)
        return ["|", "|", ("partner_id", "in", partners), ("partner_id.child_ids", "in", partners), firm]
