"""Seeds sales, accounting, expenses and purchases in a real Odoo over RPC, each test with a customer of its own."""

import datetime as dt
import itertools
import uuid
from typing import Any

import httpx

from tests.conftest import OdooEnv

HOURS, DAYS, UNITS = "uom.product_uom_hour", "uom.product_uom_day", "uom.product_uom_unit"
Values = dict[str, Any]


class Seeder:
    """One customer, one salesperson and one employee, and the few calls that make documents for them."""

    def __init__(self, env: OdooEnv) -> None:
        headers = {"Authorization": f"bearer {env.api_key}", "X-Odoo-Database": env.db}
        self._http = httpx.Client(base_url=f"{env.url}/json/2", headers=headers, timeout=60)
        self._number = itertools.count(1)
        self.tag = uuid.uuid4().hex[:8]
        self.customer = self.create("res.partner", name=f"Customer {self.tag}")
        self.salesperson = self.user("sales")
        self.employee = self.create("hr.employee", name=f"Employee {self.tag}", user_id=self.user("works"))

    def close(self) -> None:
        self._http.close()

    # ------------------------------------------------------------------------- calls --

    def call(self, model: str, method: str, **arguments: Any) -> Any:
        answer = self._http.post(f"/{model}/{method}", json=arguments)
        assert answer.status_code == 200, f"{model}.{method}: {answer.json()['name']}: {answer.json()['message']}"
        return answer.json()

    def create(self, model: str, context: Values | None = None, **values: Any) -> int:
        found: list[int] = self.call(model, "create", vals_list=[values], context=context or {})
        return found[0]

    def write(self, model: str, id_: int, **values: Any) -> None:
        self.call(model, "write", ids=[id_], vals=values)

    def read(self, model: str, id_: int, *fields: str) -> Values:
        rows: list[Values] = self.call(model, "read", ids=[id_], fields=list(fields), load="")
        return rows[0]

    def by_xml_id(self, xml_id: str) -> int:
        module, _, name = xml_id.partition(".")
        found = self.call("ir.model.data", "check_object_reference", module=module, xml_id=name)
        return int(found[1])

    def today(self) -> dt.date:
        """Return the server's day, in UTC, as it writes it on a new record."""
        made = self.read("res.partner", self.create("res.partner", name=f"Now {self.tag}"), "create_date")
        return dt.date.fromisoformat(made["create_date"][:10])

    # ------------------------------------------------------------------------ people --

    def user(self, name: str) -> int:
        login = f"{name}-{self.tag}-{next(self._number)}"
        return self.create("res.users", context={"no_reset_password": True}, name=login, login=login)

    def bot(self, *groups: str) -> tuple[str, str]:
        """Make a user with these groups, and give its login and a key; a key needs code to run inside Odoo."""
        ids = [self.by_xml_id(group) for group in groups]
        login = f"bot-{self.tag}-{next(self._number)}"
        bot = self.create("res.users", {"no_reset_password": True}, name=login, login=login, group_ids=[[6, 0, ids]])
        code = (
            "key = env(user=env.context['of'])['res.users.apikeys'].sudo()._generate('rpc', 'test', None)\n"
            "action = {'type': 'ir.actions.act_window_close', 'infos': key}"
        )
        model = self.call("ir.model", "search", domain=[["model", "=", "res.users"]])[0]
        action = self.create("ir.actions.server", name=login, model_id=model, state="code", code=code)
        key = self.call("ir.actions.server", "run", ids=[action], context={"of": bot})["infos"]
        self.call("ir.actions.server", "unlink", ids=[action])
        return login, key

    # ------------------------------------------------------------------------- sales --

    def product(self, policy: str, service: str = "timesheet", *, unit: str = HOURS, **values: Any) -> int:
        tracking = {"timesheet": "task_in_project", "milestones": "project_only"}.get(service, "no")
        return self.create(
            "product.product",
            name=f"{policy} {service} {self.tag}",
            type="service",
            invoice_policy=policy,
            service_type=service,
            service_tracking=tracking,
            uom_id=self.by_xml_id(unit),
            taxes_id=[],
            **values,
        )

    def quotation(self, *lines: Values, **values: Any) -> int:
        """Make a quotation of lines such as {"product_id": 7, "product_uom_qty": 40, "price_unit": 150}."""
        own: Values = {"partner_id": self.customer, "user_id": self.salesperson}
        return self.create("sale.order", **own | values, order_line=[[0, 0, line] for line in lines])

    def order(self, *lines: Values, **values: Any) -> int:
        order = self.quotation(*lines, **values)
        self.call("sale.order", "action_confirm", ids=[order])
        return order

    def lines(self, order: int) -> list[Values]:
        fields = [*("project_id", "task_id", "qty_to_invoice", "qty_delivered", "invoice_status", "name")]
        found: list[Values] = self.call(
            "sale.order.line", "search_read", domain=[["order_id", "=", order]], fields=fields, load="", order="id"
        )
        return found

    def log(self, line: Values, day: str, hours: float) -> int:
        """Log time on the task that an order line made."""
        where = {"project_id": line["project_id"], "task_id": line["task_id"]}
        return self.create(
            "account.analytic.line", employee_id=self.employee, name="/", date=day, unit_amount=hours, **where
        )

    def milestone(self, line: Values, share: float) -> int:
        """Reach a milestone worth a share of an order line, today."""
        self.write("project.project", line["project_id"], allow_milestones=True)
        milestone = self.create(
            "project.milestone",
            name="Step",
            project_id=line["project_id"],
            sale_line_id=line["id"],
            quantity_percentage=share,
        )
        self.write("project.milestone", milestone, is_reached=True)
        return milestone

    def draft_invoice(self, order: int, **values: Any) -> int:
        """Let the wizard make the draft of what is due, and give its id."""
        own: Values = {"advance_payment_method": "delivered", "consolidated_billing": False}
        wizard = self.create("sale.advance.payment.inv", sale_order_ids=[[6, 0, [order]]], **own | values)
        action = self.call("sale.advance.payment.inv", "create_invoices", ids=[wizard])
        return int(action["res_id"])

    # -------------------------------------------------------------------- accounting --

    def move(self, kind: str, amount: float, **values: Any) -> int:
        line = {"name": "Work", "quantity": 1, "price_unit": amount, "tax_ids": []}
        own: Values = {"move_type": kind, "partner_id": self.customer, "invoice_line_ids": [[0, 0, line]]}
        return self.create("account.move", **own | values)

    def post(self, move: int) -> None:
        if not self.read("account.move", move, "invoice_date")["invoice_date"]:
            self.write("account.move", move, invoice_date=self.today().isoformat())
        self.call("account.move", "action_post", ids=[move])

    # ---------------------------------------------------------- expenses and purchases --

    def expense(self, amount: float, day: str, **values: Any) -> int:
        product = self.create(
            "product.product",
            name=f"Travel {self.tag}",
            type="service",
            can_be_expensed=True,
            standard_price=0,
            expense_policy="cost",
            supplier_taxes_id=[],
            taxes_id=[],
        )
        own: Values = {"name": "Train", "employee_id": self.employee, "product_id": product, "tax_ids": []}
        return self.create("hr.expense", **own | values, total_amount_currency=amount, date=day)

    def post_expense(self, expense: int) -> None:
        wizard = self.call("hr.expense", "action_post", ids=[expense])
        if isinstance(wizard, dict):
            more = {"ids": [wizard["res_id"]], "context": wizard["context"]}
            self.call("hr.expense.post.wizard", "action_post_entry", **more)

    def purchase(self, amount: float, **values: Any) -> int:
        product = self.product("delivery", "manual")
        line = {"product_id": product, "product_qty": 1, "price_unit": amount, "tax_ids": []}
        own: Values = {"partner_id": self.customer, "order_line": [[0, 0, line]]}
        return self.create("purchase.order", **own | values)
