"""The workflows for n8n hold together, hold no secret, and sign and verify as we do."""

import datetime as dt
import json
import shutil
import subprocess
import textwrap
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from events.cloudevent import read_event
from events.signature import read_secret, sign, verify
from tests.conftest import service_is_missing

WORKFLOWS = sorted((Path(__file__).resolve().parents[2] / "integrations" / "n8n").glob("*.json"))
SECRET, OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "whsec_" + "QUJD" * 8

every_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def load(path: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return told


def code(workflow: str, node: str) -> str:
    (path,) = (one for one in WORKFLOWS if one.stem == workflow)
    (found,) = (one for one in load(path)["nodes"] if one["name"] == node)
    return str(found["parameters"]["jsCode"])


def run(script: str, *, items: list[dict[str, Any]], environ: dict[str, str], data: bytes = b"") -> Any:
    """Run the code of a node as n8n does, with what it finds there."""
    if shutil.which("node") is None:
        service_is_missing("this test needs Node: install nodejs")
    given = json.dumps({"items": items, "env": environ, "data": data.decode("latin-1")})
    frame = f"""
        const given = JSON.parse(require('fs').readFileSync(0, 'utf8'));
        const $env = given.env;
        const items = given.items.map((json) => ({{ json }}));
        const $input = {{ all: () => items, first: () => items[0] }};
        const context = {{ helpers: {{ getBinaryDataBuffer: async () => Buffer.from(given.data, 'latin1') }} }};
        (async function () {{ {script} }}).call(context).then((out) => console.log(JSON.stringify(out)));
    """
    done = subprocess.run(
        ["node", "-e", textwrap.dedent(frame)], input=given, capture_output=True, text=True, timeout=30, check=True
    )
    return json.loads(done.stdout)


def test_there_are_four() -> None:
    assert {path.stem for path in WORKFLOWS} == {"receive-and-verify", "send-an-event", "signed-sow", "dispute-mail"}


@every_workflow
def test_a_workflow_holds_together_and_is_off_and_holds_no_secret(path: Path) -> None:
    workflow = load(path)
    names = [node["name"] for node in workflow["nodes"]]
    assert len(names) == len(set(names))
    for source, outputs in workflow["connections"].items():
        assert source in names
        assert {one["node"] for branch in outputs["main"] for one in branch} <= set(names)
    assert not workflow["active"]
    assert not any(node.get("credentials") for node in workflow["nodes"])
    assert "whsec_" not in path.read_text().replace("/^whsec_/", "")


@every_workflow
def test_all_workflows_sign_alike(path: Path) -> None:
    signing = {node["parameters"]["jsCode"] for node in load(path)["nodes"] if node["name"] == "Sign"}
    assert signing <= {code("send-an-event", "Sign")}


def test_what_n8n_signs_we_verify_and_accept() -> None:
    event = {"id": "n-1", "type": "opportunity.won.v1", "data": {"opportunity_id": 42}, "subject": "Ünal"}
    (told,) = run(code("send-an-event", "Sign"), items=[event], environ={"EVENTS_SECRET": SECRET})
    made = told["json"]
    headers = {
        "webhook-id": made["id"],
        "webhook-timestamp": made["moment"],
        "webhook-signature": made["signature"],
    }
    body = made["body"].encode()
    assert verify([read_secret(SECRET)], headers, body, now=dt.datetime.now(dt.UTC)) == made["id"]
    envelope, _ = read_event(body)
    assert (envelope.id, envelope.source) == ("n-1", "/n8n")


BODY = json.dumps({"id": "w-1", "name": "Ünal"}, ensure_ascii=False).encode()

Headers = Callable[[], dict[str, str]]


def signed(*, ago: int = 0) -> dict[str, str]:
    """Sign so many minutes ago: a test may run long after it was collected."""
    moment = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=ago)
    return sign(read_secret(SECRET), id="w-1", moment=moment, body=BODY)


def signed_twice() -> dict[str, str]:
    """Sign as during an exchange of secrets."""
    once = signed()
    return {**once, "webhook-signature": f"v1,AAAA {once['webhook-signature']}"}


@pytest.mark.parametrize(
    ("headers", "body", "secrets", "why"),
    [
        (signed, BODY, SECRET, ""),
        (signed, BODY, f"{OTHER} {SECRET}", ""),
        (signed_twice, BODY, SECRET, ""),
        (signed, BODY, OTHER, "the signature fits no secret"),
        (signed, BODY + b" ", SECRET, "the signature fits no secret"),
        (signed, BODY, "", "the signature fits no secret"),
        (dict, BODY, SECRET, "it is not signed"),
        (partial(signed, ago=6), BODY, SECRET, "it is not of now"),
    ],
)
def test_what_we_sign_n8n_verifies(headers: Headers, body: bytes, secrets: str, why: str) -> None:
    (told,) = run(
        code("receive-and-verify", "Verify"),
        items=[{"headers": headers()}],
        environ={"WEBHOOK_SECRETS": secrets},
        data=body,
    )
    genuine = {"genuine": True, "id": "w-1", "event": {"id": "w-1", "name": "Ünal"}}
    assert told["json"] == ({"genuine": False, "why": why} if why else genuine)


def test_a_mail_gives_the_number_of_an_invoice_and_what_the_customer_says() -> None:
    mails = [
        {"subject": "Re: INV/2026/00042", "textPlain": "We never agreed\r\nto\x00 this."},
        {"subject": "Hello", "textPlain": "no number"},
    ]
    told = [one["json"] for one in run(code("dispute-mail", "Find the number"), items=mails, environ={})]
    assert told == [
        {"number": "INV/2026/00042", "reason": "Re: INV/2026/00042\nWe never agreed\nto this."},
        {"number": "", "reason": "Hello\nno number"},
    ]
