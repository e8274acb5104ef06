# Runs inside `odoo shell` once, when the template database is built.
# Writes KEY=VALUE lines to the file named by ODOO_TESTBED_SEED_OUT.
import os
from pathlib import Path

out = {}


def api_key(user):
    # scope "rpc": valid for /json/2, /jsonrpc and /xmlrpc; no expiry date
    return env(user=user.id)["res.users.apikeys"].sudo()._generate("rpc", "testbed", None)


company = env.ref("base.main_company")
if not company.chart_template:
    env["account.chart.template"].try_loading("generic_coa", company=company, install_demo=False)

admin = env.ref("base.user_admin")
# Every application role for the administrator, so business calls do not trip
# over rights; the limited user below is the one for access-error tests.
for xmlid in (
    "sales_team.group_sale_manager",
    "project.group_project_manager",
    "hr_timesheet.group_timesheet_manager",
    "account.group_account_manager",
    "hr_holidays.group_hr_holidays_manager",
    "hr.group_hr_manager",
    "hr_expense.group_hr_expense_manager",
    "purchase.group_purchase_manager",
    "analytic.group_analytic_accounting",
):
    group = env.ref(xmlid, raise_if_not_found=False)
    if group:
        admin.write({"group_ids": [(4, group.id)]})
if not admin.employee_ids:
    env["hr.employee"].create({"name": admin.name, "user_id": admin.id, "company_id": company.id})
out["ODOO_API_KEY"] = api_key(admin)
out["ODOO_ADMIN_UID"] = admin.id

limited = (
    env["res.users"]
    .with_context(no_reset_password=True)
    .create(
        {
            "name": "Limited User",
            "login": "limited",
            "password": "limited",
            "email": "limited@example.com",
            "group_ids": [(6, 0, [env.ref("base.group_user").id])],
        }
    )
)
out["ODOO_LIMITED_LOGIN"] = "limited"
out["ODOO_LIMITED_PASSWORD"] = "limited"
out["ODOO_LIMITED_API_KEY"] = api_key(limited)

# Nothing may leave the machine: no mail servers, no calls home.
for xmlid in (
    "mail.ir_cron_module_update_notification",
    "mail.ir_cron_mail_scheduler_action",
    "sms.ir_cron_sms_scheduler_action",
    "digest.ir_cron_digest_scheduler_action",
    "partner_autocomplete.ir_cron_partner_autocomplete",
    "snailmail.snailmail_print",
):
    cron = env.ref(xmlid, raise_if_not_found=False)
    if cron:
        cron.active = False
# The database must not expire or nag.
env["ir.config_parameter"].set_param("database.expiration_date", "2099-12-31 00:00:00")

env.cr.commit()
Path(os.environ["ODOO_TESTBED_SEED_OUT"]).write_text("".join(f"{key}={value}\n" for key, value in out.items()))
