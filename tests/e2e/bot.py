"""A bot with the rights the documentation asks for, and no more: what works in these tests works in production."""

from tests.odoo.seeding_people import Firm

GROUPS = (
    "base.group_user",
    "hr.group_hr_user",
    "project.group_project_manager",
    "sales_team.group_sale_salesman_all_leads",
    "hr_expense.group_hr_expense_user",
    "account.group_account_readonly",
)

_MAKE_KEY = """
user = env['res.users'].browse(env.context['for_user'])
key = env(user=user.id)['res.users.apikeys'].sudo()._generate('rpc', 'test', None)
action = {'type': 'ir.actions.act_window_close', 'infos': key}
"""


def make_bot(firm: Firm) -> tuple[str, str]:
    """Make a bot user in every company; give its login and API key. Needs an administrator's Firm."""
    companies = firm.call("res.company", "search", domain=[])
    groups = [_group(firm, name) for name in GROUPS]
    login = firm.name("bot").replace(" ", ".") + "@example.com"
    user = firm.create(
        "res.users",
        name=login,
        login=login,
        company_ids=[[6, 0, companies]],
        company_id=companies[0],
        group_ids=[[6, 0, groups]],
    )
    action = firm.create(
        "ir.actions.server",
        name=firm.name("key"),
        model_id=firm.find("ir.model", ("model", "=", "res.users")),
        state="code",
        code=_MAKE_KEY,
    )
    answer = firm.call("ir.actions.server", "run", ids=[action], context={"for_user": user})
    firm.call("ir.actions.server", "unlink", ids=[action])
    return login, str(answer["infos"])


def _group(firm: Firm, name: str) -> int:
    module, _, rest = name.partition(".")
    found = firm.call("ir.model.data", "check_object_reference", module=module, xml_id=rest)
    return int(found[1])
