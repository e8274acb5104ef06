"""What the official library signs is verified here, and what we sign is verified there."""

import datetime as dt
import json

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from events.signature import read_secret, sign
from tests.unit.gateway.desk import CRM, ENVELOPE, NOW, SHOP, Desk, event


@pytest.mark.parametrize("id_", ["msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", "msg-ü-😀"])
@pytest.mark.parametrize("told", [event(), event(id="ünïcode 😀")])
def test_the_official_signer_is_let_in(desk: Desk, id_: str, told: dict[str, object]) -> None:
    body = json.dumps(told, ensure_ascii=False)
    signature = Webhook(CRM).sign(id_, NOW, body)
    headers = {"webhook-id": id_, "webhook-timestamp": str(int(NOW.timestamp())), "webhook-signature": signature}

    answer = desk.post("/events", body.encode(), {**headers, "content-type": ENVELOPE})

    assert answer.status_code == 202


def test_the_official_verifier_lets_ours_in_and_no_others() -> None:
    body = json.dumps(event()).encode()
    now = dt.datetime.now(dt.UTC)
    headers = sign(read_secret(CRM), id="msg-1", moment=now, body=body)

    assert Webhook(CRM).verify(body, headers) == event()
    with pytest.raises(WebhookVerificationError):
        Webhook(SHOP).verify(body, headers)
