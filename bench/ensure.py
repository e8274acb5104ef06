"""How many activities a second go through the door, against one call each and against a bare loop of `load`."""

import argparse
import datetime as dt
import time
import uuid
from collections.abc import Callable, Iterable

from odoo_client import ChangeStatus, OdooClient, OdooConnection, connect
from odoo_client.transport.request import Request
from purser import Ensure, Ref, activity

DEADLINE = dt.date(2026, 3, 9)
ROWS = 100


def main() -> None:
    """Measure on a disposable database and print rates and ratios of this one run."""
    options = argparse.ArgumentParser(description=__doc__)
    for name in ("url", "db", "login", "key"):
        options.add_argument(f"--{name}", required=True)
    options.add_argument("--api", default="json2", choices=["json2", "odoorpc"])
    options.add_argument("--batches", type=int, default=10)
    given = options.parse_args()
    door = OdooConnection(url=given.url, db=given.db, login=given.login, api_key=given.key, api=given.api)
    with connect(door) as client:
        client.whoami()
        measure(client, given.batches)


def measure(client: OdooClient, batches: int) -> None:
    """Open activities in each way, taking turns so that a busy moment hits all of them."""
    run = uuid.uuid4().hex[:8]
    (project,) = client.send(
        Request(model="project.project", method="create", arguments={"vals_list": [{"name": run}]})
    )
    on = Ref("project.project", project)
    singles = ROWS // 5
    ways: dict[str, tuple[int, Callable[[int], object]]] = {
        "create, one a call": (singles, lambda _: _create(client, on, singles)),
        "ensure, one a call": (singles, lambda n: [client.ensure(one) for one in _todos(f"{run}/s{n}", on, singles)]),
        "bare load of 100": (ROWS, lambda n: _load(client, on, [f"purser.{run}/l{n}/{i}" for i in range(ROWS)])),
        "apply of 100": (ROWS, lambda n: _apply(client, _todos(f"{run}/a{n}", on, ROWS))),
        "the same again": (ROWS, lambda n: _apply(client, _todos(f"{run}/a{n}", on, ROWS))),
    }
    spent = dict.fromkeys(ways, 0.0)
    for n in range(batches):
        for name, (_, work) in ways.items():
            began = time.perf_counter()
            work(n)
            spent[name] += time.perf_counter() - began
    rates = {name: batches * rows / spent[name] for name, (rows, _) in ways.items()}
    base = rates["create, one a call"]
    for name, rate in rates.items():
        print(f"{name:20} {rate:8.0f} activities/s {rate / base:6.1f}x")
    print(f"apply is {rates['apply of 100'] / rates['bare load of 100']:.0%} of a bare load")


def _todos(prefix: str, on: Ref, count: int) -> list[Ensure]:
    return [
        activity(key=f"{prefix}/{n}", on=on, summary="Bench", note="", user_id=None, deadline=DEADLINE)
        for n in range(count)
    ]


def _apply(client: OdooClient, changes: Iterable[Ensure]) -> None:
    refused = [one.reason for one in client.apply(tuple(changes)) if one.status is not ChangeStatus.DONE]
    if refused:
        raise SystemExit(f"Odoo refused: {refused[0]}")


def _create(client: OdooClient, on: Ref, count: int) -> None:
    values = {"res_id": on.id, "summary": "Bench", "date_deadline": DEADLINE}
    context = {"default_res_model": on.model, "mail_activity_quick_update": True}
    request = Request(model="mail.activity", method="create", arguments={"vals_list": [values]}, context=context)
    for _ in range(count):
        client.send(request)


def _load(client: OdooClient, on: Ref, names: list[str]) -> None:
    columns = ["id", "res_id", "activity_type_id/id", "summary", "note", "user_id", "date_deadline"]
    rows = [[name, str(on.id), "mail.mail_activity_data_todo", "Bench", "", "", str(DEADLINE)] for name in names]
    context = {"mode": "update", "noupdate": True, "mail_activity_quick_update": True, "default_res_model": on.model}
    answer = client.send(
        Request(model="mail.activity", method="load", arguments={"fields": columns, "data": rows}, context=context)
    )
    if not answer["ids"]:
        raise SystemExit(f"Odoo refused: {answer['messages'][0]['message']}")


if __name__ == "__main__":
    main()
