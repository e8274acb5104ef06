"""Whatever goes wrong at the door, the error says what happens next, and never tells a secret."""

import dataclasses
import datetime as dt
import json
import socket

import pytest

from odoo_client import ChangeStatus, OdooClient
from odoo_client.transport.request import Request
from purser import Ensure, PostNote, Update
from purser.errors import Misconfigured, Permanent, Refusal, Throttled, Transient, UnknownOutcome
from tests.contract.odoo.conftest import OdooServer, Open
from tests.contract.odoo.proxy import Proxy, instead
from tests.contract.odoo.seeding import Seeder
from tests.contract.odoo.test_changes import todo
from tests.unit.odoo_client.canned import Answer, Asked, Silence

HTML = {"Content-Type": "text/html; charset=utf-8"}
PAGE = b"<html><body>Down for maintenance</body></html>"


def count(client: OdooClient) -> int:
    return client.search_count("res.partner", [])


# ------------------------------------------------------------------------- who we are --


def test_a_wrong_key_is_a_misconfiguration_and_is_not_repeated_in_the_message(
    odoo_server: OdooServer, opened: Open
) -> None:
    secret = "0123456789abcdef-not-a-key"
    with pytest.raises(Misconfigured) as caught:
        count(opened(odoo_server.admin, api_key=secret))
    assert secret not in str(caught.value)


def test_a_wrong_database_says_so(odoo_server: OdooServer, opened: Open) -> None:
    with pytest.raises((Misconfigured, Transient), match="database"):
        count(opened(odoo_server.admin, db="no_such_database"))


def test_an_address_where_nobody_listens_is_transient_and_nothing_was_sent(
    odoo_server: OdooServer, opened: Open, seed: Seeder
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        client = opened(odoo_server.admin, url=f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(Transient, match="cannot be reached") as caught:
            client.ensure(Ensure(model="res.partner", key=seed.key("x"), values={"name": "X"}))
    assert not isinstance(caught.value, UnknownOutcome)


def test_a_ping_tells_the_steps_apart(odoo_server: OdooServer, opened: Open) -> None:
    good = opened(odoo_server.admin).ping()
    assert (good.reachable, good.accepted, good.problem) == (True, True, "")
    wrong_key = opened(odoo_server.admin, api_key="wrong").ping()
    assert (wrong_key.reachable, wrong_key.accepted) == (True, False)
    assert "key" in wrong_key.problem
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = opened(odoo_server.admin, url=f"http://127.0.0.1:{taken.getsockname()[1]}").ping()
    assert not nobody.accepted
    assert nobody.problem


def test_auto_finds_the_newest_api_the_server_has(odoo_server: OdooServer, opened: Open) -> None:
    assert opened(odoo_server.admin, api="auto").whoami().api == "json2"


def test_no_error_shows_key_or_traceback(odoo_server: OdooServer, client: OdooClient) -> None:
    with pytest.raises(Permanent) as caught:
        client.send(Request(model="res.partner", method="write", ids=(1,), arguments={"vals": {"nope": 1}}))
    assert odoo_server.admin.api_key not in repr(caught.value) + repr(client.door)
    assert "Traceback" not in str(caught.value)
    assert "\n" not in str(caught.value)


# -------------------------------------------------------------------------- what Odoo says --


def test_a_missing_record_and_a_broken_rule_are_refusals(client: OdooClient, seed: Seeder) -> None:
    lost = seed.partner()
    seed.unlink(lost)
    with pytest.raises(Refusal, match="not exist"):
        client.send(Request(model="res.partner", method="write", ids=(lost.id,), arguments={"vals": {"name": "x"}}))
    task = seed.task()
    with pytest.raises(Refusal):
        client.send(
            Request(model="project.task", method="write", ids=(task.id,), arguments={"vals": {"parent_id": task.id}})
        )


def test_a_private_method_is_an_engineers_matter_not_a_refusal(client: OdooClient) -> None:
    with pytest.raises(Permanent):
        client.send(Request(model="res.partner", method="_compute_display_name", ids=(1,)))


def test_a_missing_right_is_a_refusal(limited: OdooClient) -> None:
    with pytest.raises(Refusal, match=r"ir\.rule"):
        limited.send(Request(model="ir.rule", method="search_read", arguments={"domain": []}, reads=True))


# ------------------------------------------------------------------------ the answer is lost --


@pytest.mark.parametrize(
    "lost", [Silence.DROP, Answer(502, PAGE, HTML), Answer(504, PAGE, HTML)], ids=["dropped", "502", "504"]
)
def test_a_write_whose_answer_is_lost_has_an_unknown_outcome_and_repeating_it_adds_nothing(
    odoo_server: OdooServer, opened: Open, proxy: Proxy, seed: Seeder, lost: Answer | Silence
) -> None:
    client = opened(odoo_server.admin, url=proxy.url)
    task, key = seed.task(), seed.key("lost-answer")
    proxy.at("load", proxy.afterwards(lost))
    with pytest.raises(UnknownOutcome):
        client.ensure(todo(key, task))
    assert len(seed.activities_on(task)) == 1
    (outcome,) = client.ensure(todo(key, task))
    assert outcome.status is ChangeStatus.DONE
    assert len(seed.activities_on(task)) == 1


def test_a_write_that_takes_too_long_has_an_unknown_outcome(
    odoo_server: OdooServer, opened: Open, proxy: Proxy, seed: Seeder
) -> None:
    client = opened(odoo_server.admin, url=proxy.url)
    client.whoami()
    impatient = opened(odoo_server.admin, url=proxy.url, read_timeout=8.0)
    impatient.whoami()  # signing in may take seconds under load
    task = seed.task(allocated_hours=1)
    change = Update(ref=task, expect={"allocated_hours": 1}, values={"allocated_hours": 2})
    proxy.at("write", proxy.afterwards(Silence.HANG))
    with pytest.raises(UnknownOutcome):
        impatient.update(change)
    assert [one.status for one in client.update(change)] == [ChangeStatus.ALREADY]


@pytest.mark.parametrize(
    "lost", [Silence.DROP, Answer(502, PAGE, HTML), Answer(500, PAGE, HTML)], ids=["dropped", "502", "500"]
)
def test_a_read_whose_answer_is_lost_is_simply_transient(
    odoo_server: OdooServer, opened: Open, proxy: Proxy, lost: Answer | Silence
) -> None:
    client = opened(odoo_server.admin, url=proxy.url)
    client.whoami()
    proxy.at("search_count", instead(lost))
    with pytest.raises(Transient) as caught:
        count(client)
    assert not isinstance(caught.value, UnknownOutcome)
    assert count(client) > 0


def test_a_lost_answer_to_a_note_leaves_one_note(
    odoo_server: OdooServer, opened: Open, proxy: Proxy, seed: Seeder
) -> None:
    client = opened(odoo_server.admin, url=proxy.url)
    task = seed.task()
    note = PostNote(on=task, key=seed.key("note"), body="Once")
    before = len(seed.notes_on(task))
    proxy.at("load", proxy.afterwards(Silence.DROP))
    with pytest.raises(UnknownOutcome):
        client.note(note)
    client.note(note)
    assert len(seed.notes_on(task)) == before + 1


# --------------------------------------------------------------------- something in between --


@pytest.mark.parametrize(
    "answer",
    [Answer(status, PAGE, HTML) for status in (200, 302, 400, 401, 403, 404, 407, 413, 425, 503)],
    ids=lambda answer: str(answer.status),
)
def test_a_page_instead_of_an_answer_is_transient_and_nothing_was_done(
    odoo_server: OdooServer, opened: Open, proxy: Proxy, seed: Seeder, answer: Answer
) -> None:
    client = opened(odoo_server.admin, url=proxy.url)
    client.whoami()
    proxy.at("load", instead(answer))
    with pytest.raises(Transient) as caught:
        client.ensure(Ensure(model="res.partner", key=seed.key("x"), values={"name": "X"}))
    assert not isinstance(caught.value, UnknownOutcome)


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ({"Retry-After": "7"}, 7, 7),
        (
            {"Retry-After": (dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)).strftime("%a, %d %b %Y %H:%M:%S GMT")},
            1,
            3600,
        ),
        ({}, 30, 30),
    ],
    ids=["seconds", "date", "unsaid"],
)
def test_who_is_asked_for_patience_is_told_how_long(
    odoo_server: OdooServer, opened: Open, proxy: Proxy, header: dict[str, str], least: float, most: float
) -> None:
    client = opened(odoo_server.admin, url=proxy.url)
    client.whoami()
    proxy.at("search_count", instead(Answer(429, PAGE, HTML | header)))
    with pytest.raises(Throttled) as caught:
        count(client)
    assert least <= caught.value.retry_after <= most


def test_the_key_follows_no_redirect(odoo_server: OdooServer, opened: Open, proxy: Proxy) -> None:
    client = opened(odoo_server.admin, url=proxy.url)
    client.whoami()
    arrived = proxy.forwarded
    proxy.at("search_count", instead(Answer(302, b"", {"Location": f"{proxy.url}/elsewhere"})))
    with pytest.raises(Transient, match="redirect"):
        count(client)
    assert proxy.forwarded == arrived
    assert all(asked.path != "/elsewhere" for asked in proxy.server.asked)


def test_a_record_deleted_between_look_and_write_is_refused(
    odoo_server: OdooServer, opened: Open, proxy: Proxy, seed: Seeder
) -> None:
    client = opened(odoo_server.admin, url=proxy.url)
    doomed, other = seed.partner(comment="a"), seed.partner(comment="a")
    proxy.at("write", proxy.between(lambda: seed.unlink(doomed)))
    outcomes = client.update(*(Update(ref=ref, expect={"ref": None}, values={"ref": "R"}) for ref in (doomed, other)))
    assert [one.status for one in outcomes] == [ChangeStatus.REFUSED, ChangeStatus.DONE]
    assert seed.read(other, "ref")["ref"] == "R"


@pytest.mark.parametrize(
    "prose",
    [
        "Another model is using the record you are trying to delete.\n\nThe troublemaker is: Project",
        "The value for Name already exists.",
        "could not serialize access due to concurrent update",
        "Something else that Odoo says",
    ],
)
def test_a_key_is_asked_for_its_record_before_a_refusal_is_believed(
    odoo_server: OdooServer, opened: Open, proxy: Proxy, seed: Seeder, prose: str
) -> None:
    client = opened(odoo_server.admin, url=proxy.url)
    ensured = Ensure(model="res.partner", key=seed.key("raced"), values={"name": "X"})
    proxy.at("load", proxy.afterwards(Silence.DROP))
    with pytest.raises(UnknownOutcome):
        client.ensure(ensured)
    proxy.at("load", lambda asked: rejected_row(asked, prose))
    (outcome,) = client.ensure(ensured)
    assert outcome.status in {ChangeStatus.ALREADY, ChangeStatus.DONE}
    assert outcome.ref is not None
    assert client.external_ids("res.partner", [outcome.ref.id]) == {outcome.ref.id: (ensured.key,)}


def test_a_row_refused_for_another_transaction_is_tried_again_where_its_record_is_not_there(
    odoo_server: OdooServer, opened: Open, proxy: Proxy, seed: Seeder
) -> None:
    client = opened(odoo_server.admin, url=proxy.url)
    ensured = Ensure(model="res.partner", key=seed.key("raced"), values={"name": "X"})
    proxy.at("load", lambda asked: rejected_row(asked, "Another model is using the record you are trying to delete."))
    with pytest.raises(Transient, match="another transaction"):
        client.ensure(ensured)
    proxy.at("load", lambda asked: rejected_row(asked, "A contact needs a name"))
    assert [one.status for one in client.ensure(ensured)] == [ChangeStatus.REFUSED]
    assert [one.status for one in client.ensure(ensured)] == [ChangeStatus.DONE]


def rejected_row(asked: Asked, prose: str) -> Answer:
    """Answer an import of one row as Odoo does that rejects it, over either transport."""
    told = {"type": "error", "message": prose, "rows": {"from": 0, "to": 0}, "record": 0}
    result: object = {"ids": False, "messages": [told], "nextrow": 0}
    whole = {"jsonrpc": "2.0", "id": 1, "result": result} if asked.path.endswith("/jsonrpc") else result
    return Answer(200, json.dumps(whole).encode(), {"Content-Type": "application/json"})


def test_doors_with_a_bad_address_do_not_open(odoo_server: OdooServer) -> None:
    for url in ("odoo.example.com", "ftp://odoo.example.com", "https://user:pw@odoo.example.com", "https://a/?db=x"):
        with pytest.raises(Misconfigured) as caught:
            dataclasses.replace(odoo_server.admin, url=url)
        assert "pw" not in str(caught.value)
