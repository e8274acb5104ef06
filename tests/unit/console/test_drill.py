"""The drill sees what is lost and what is doubled, and its command says no to what it cannot do."""

import contextlib
import datetime as dt
import json
import os
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from console.cli.main import app
from devtools.chaos import command
from devtools.chaos.fault import Fault, FaultRequirements, fault
from devtools.chaos.fault_proxy import FaultProxy
from devtools.chaos.faults import FAULTS
from devtools.chaos.odoo_target import FaultyFakeOdoo, OdooTarget, opened
from devtools.chaos.options import ChaosOptions
from devtools.chaos.report import facts, page_block, stock_block, write_block
from devtools.chaos.runner import possible
from devtools.chaos.verification import DeliveryCheck, FaultResult, SentMessage, SkippedFault, check_delivery
from purser.changes import Ensure, PostNote, RecordLink
from purser.errors import ConfigurationError, Transient
from purser.findings import Ref

ONE = SentMessage(id="1", effects=("task a", "note a"))
TWO = SentMessage(id="2", effects=("task b",))
POISON = SentMessage(id="3", effects=("task c",), dies=True)
BYTES = SentMessage(id="", dies=True)


# ------------------------------------------------------------------------------ the count --


def test_each_effect_once_is_good() -> None:
    verdict = check_delivery([ONE, TWO], {"task a": 1, "note a": 1, "task b": 1, "task of somebody else": 5}, [])
    assert verdict.is_good
    assert (verdict.messages, verdict.effects) == (2, 3)


def test_a_missing_effect_is_a_lost_message() -> None:
    verdict = check_delivery([ONE, TWO], {"task a": 1, "task b": 1}, [])
    assert verdict.lost == ("1",)
    assert not verdict.is_good


def test_an_effect_that_is_there_twice_is_a_doubled_message() -> None:
    verdict = check_delivery([ONE, TWO], {"task a": 2, "note a": 2, "task b": 1}, [])
    assert (verdict.lost, verdict.doubled) == ((), ("1",))
    assert not verdict.is_good


def test_a_message_that_a_letter_keeps_is_not_lost_and_yet_not_well() -> None:
    verdict = check_delivery([ONE, TWO], {"task a": 1, "note a": 1}, [{"letter", "2"}])
    assert (verdict.lost, verdict.dead, verdict.expected_dead) == ((), 1, 0)
    assert not verdict.is_good


def test_what_has_to_die_is_a_letter_and_lost_without_one() -> None:
    assert check_delivery([POISON, BYTES], {}, [{"3"}, {"bytes-1"}]).is_good
    assert check_delivery([POISON, BYTES], {}, [{"3"}]).lost == ("bytes without a letter",)
    assert check_delivery([POISON, BYTES], {}, [{"bytes-1"}]).lost == ("3",)


def test_what_a_poison_did_on_its_way_may_stand_once_and_not_twice() -> None:
    assert check_delivery([POISON], {"task c": 1}, [{"3"}]).is_good
    assert check_delivery([POISON], {"task c": 2}, [{"3"}]).doubled == ("3",)


def test_a_letter_too_many_is_not_well() -> None:
    assert not check_delivery([BYTES], {}, [{"bytes-1"}, {"bytes-2"}]).is_good


# ---------------------------------------------------------------- what is counted in Odoo --


@pytest.fixture
def office() -> Iterator[OdooTarget]:
    with opened(None, random.Random(1)) as made:
        yield made


def test_what_stands_twice_in_odoo_is_counted_twice(office: OdooTarget) -> None:
    place = office.place("drill")
    on = Ref("project.project", place)
    for key in ("one", "two"):
        office.client.apply(
            [
                Ensure(model="project.task", key=key, values={"name": "a", "project_id": RecordLink(on)}),
                PostNote(on=on, key=f"{key}/note", body="b & c"),
            ]
        )
    assert sorted(office.on_place(place)) == ["note b & c", "note b & c", "task a", "task a"]


def test_won_deals_and_people_are_counted_by_what_they_led_to(office: OdooTarget) -> None:
    assert office.twin is not None
    lead = office.deals(["deal"])[0]
    assert office.twin.rows("crm.lead", [["id", "=", lead]], ["won_status"])[0]["won_status"] == "won"
    for _ in range(2):
        office.twin.seed("res.partner", {"name": "Customer deal"})
    office.twin.seed("project.project", {"name": "deal"})
    project = office.twin.seed("project.project", {"name": "deal"})
    who = office.people(["somebody"])[0]
    for model, id_ in (("project.project", project), ("hr.employee", who)):
        model_id = office.twin.rows("ir.model", [["model", "=", model]], ["id"])[0]["id"]
        office.twin.seed("mail.activity", {"res_model_id": model_id, "res_id": id_, "summary": "do"})
    counted = [
        "activity do on deal",
        "customer Customer deal",
        "customer Customer deal",
        "project deal",
        "project deal",
    ]
    assert sorted(office.of_deals(["deal", "other"])) == counted
    assert list(office.of_people({who: "somebody"})) == ["ask about somebody"]


def test_a_race_lost_on_order_writes_nothing_and_is_worth_another_try(office: OdooTarget) -> None:
    assert office.twin is not None
    office.twin.lose_races(1)
    change = Ensure(model="project.project", key="p", values={"name": "p"})
    with pytest.raises(Transient):
        office.client.apply([change])
    assert office.twin.races_left == 0
    office.client.apply([change])
    assert len(office.twin.rows("project.project", [["name", "=", "p"]], ["name"])) == 1


# -------------------------------------------------------------------------------- the proxy --


@pytest.fixture
def echo() -> Iterator[int]:
    """Serve a port that says everything back."""
    listener = socket.create_server(("127.0.0.1", 0))

    def talk(peer: socket.socket) -> None:
        with peer, contextlib.suppress(ConnectionResetError):
            while data := peer.recv(100):
                peer.sendall(data)

    def accept() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(peer,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield int(listener.getsockname()[1])
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def test_the_proxy_passes_on_resets_and_drops_answers(echo: int) -> None:
    with FaultProxy(echo, random.Random(3)) as proxy:
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as peer:
            peer.sendall(b"a")
            assert peer.recv(10) == b"a"
            assert proxy.reset(share=1.0) == 1
            with pytest.raises(ConnectionResetError):
                peer.recv(10)
        proxy.drop_answers(1)
        answered = 0
        while proxy.left:
            with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as peer:
                try:
                    peer.sendall(b"b")
                    answered += peer.recv(10) == b"b"
                except ConnectionResetError:
                    break
        assert (proxy.dropped, proxy.left) == (1, 0)


# --------------------------------------------------------------------------- the wrong clock --

ASK_THE_TIME = "import datetime, time; print(time.time(), datetime.datetime.now(datetime.UTC).timestamp())"


def test_a_skewed_process_hears_a_wrong_time_of_day(tmp_path: Path) -> None:
    (tmp_path / "asks.py").write_text(ASK_THE_TIME)
    run = (sys.executable, "-m", "devtools.chaos.skewed_clock", "3600", "--", "asks")
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(__file__).resolve().parents[3]}"}
    told = subprocess.run(run, env=env, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    heard = [float(word) for word in told.splitlines()[-1].split()]
    now = dt.datetime.now(dt.UTC).timestamp()
    assert all(now + 3000 < one < now + 4200 for one in heard)


# ------------------------------------------------------------------------- faults and command --


def test_every_fault_has_a_name_of_its_own_and_a_sentence() -> None:
    assert len({one.name for one in FAULTS}) == len(FAULTS)
    assert [one.name for one in FAULTS if not one.what.endswith(".")] == []


def orders(*faults: Fault, **changed: object) -> ChaosOptions:
    return ChaosOptions(**{"faults": faults, "messages": 4, **changed})  # type: ignore[arg-type]


def nothing(name: str, **more: object) -> Fault:
    def inject(scene: object) -> str:
        """Nothing."""
        return ""

    made: Callable[..., Callable[[object], Fault]] = fault  # type: ignore[assignment]
    return made(name, **more)(inject)


def test_faults_of_one_set_up_come_together_and_the_impossible_ones_are_named() -> None:
    apart = FaultRequirements(own_ledger=True)
    first, second, third = nothing("1"), nothing("2", setup=apart), nothing("3")
    rabbit, twin = nothing("4", brokers=("rabbitmq",)), nothing("5", odoos=("twin",))
    these, skipped = possible(orders(first, second, third, rabbit, twin, odoo="real"))
    assert [one.name for one in these] == ["1", "3", "2"]
    assert [one.name for one in skipped] == ["4", "5"]
    assert possible(orders(first, nothing("6", stock=True), stock="app"))[0][0].name == "6"


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app(), ["drill", *words])
    return done.exit_code, done.output


def test_an_unknown_fault_is_answered_with_the_near_one() -> None:
    code, said = run("--fault", "posion")
    assert code == 2
    assert "Did you mean `poison`?" in said


def test_the_faults_are_listed() -> None:
    code, said = run("--fault", "list")
    assert code == 0
    assert len(said.splitlines()) == len(FAULTS)


@pytest.mark.parametrize(
    "words",
    [
        ("--stock", "--against", "rabbitmq"),
        ("--write", "page.md", "--short"),
        ("--messages", "1"),
        ("--odoo", "none"),
    ],
)
def test_what_makes_no_sense_is_wrong_use(words: tuple[str, ...]) -> None:
    assert run(*words)[0] == 2


def result(name: str = "poison", **changed: object) -> FaultResult:
    verdict = DeliveryCheck(messages=9, effects=12, lost=(), doubled=(), dead=1, expected_dead=1)
    return FaultResult(**{"name": name, "did": "3 of them", "verdict": verdict, "recovery_seconds": 1.5, **changed})  # type: ignore[arg-type]


def played(*results: FaultResult) -> Callable[..., tuple[list[FaultResult], list[SkippedFault]]]:
    return lambda *_: (list(results), [])


def test_the_json_names_each_fault_with_its_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devtools.chaos.runner.run_drill", played(result()))
    done = CliRunner().invoke(app(), ["drill", "--json", "--fault", "poison"])
    told = json.loads(done.stdout)["faults"][0]
    wanted = {"name": "poison", "messages": 9, "lost": 0, "doubled": 0, "dead": 1, "recovery_seconds": 1.5}
    assert (done.exit_code, wanted) == (0, {name: told[name] for name in wanted})


@pytest.mark.parametrize(
    "bad",
    [
        {"verdict": check_delivery([ONE], {}, [])},
        {"verdict": check_delivery([TWO], {"task b": 2}, [])},
        {"verdict": check_delivery([POISON], {}, [])},
        {"problem": "not seen within 5 s: a dying process"},
    ],
    ids=["lost", "doubled", "not dead", "not bitten"],
)
def test_whatever_is_not_well_ends_with_one(monkeypatch: pytest.MonkeyPatch, bad: dict[str, object]) -> None:
    monkeypatch.setattr("devtools.chaos.runner.run_drill", played(result(), result("other", **bad)))
    assert run("--fault", "poison")[0] == 1


def test_what_still_waits_is_not_called_lost_and_not_well() -> None:
    waits = result(verdict=check_delivery([ONE], {}, []), problem="not done", unfinished=1)
    assert (waits.with_verdict(check_delivery([ONE], {}, [])).verdict.lost, waits.is_good) == ((), False)


def test_drill_checks_the_page_it_is_to_write_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[object] = []
    monkeypatch.setattr("devtools.chaos.runner.run_drill", lambda *of: begun.append(of))
    page = tmp_path / "page.md"
    page.write_text("# No place\n")
    code, output = run("--write", str(page))
    assert (code, "has no place for this" in output, begun) == (2, True, [])


def test_a_block_of_the_page_is_replaced_and_the_rest_stays(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Title\n<!-- drill redis -->\nold\n<!-- end of drill redis -->\nafter\n")
    write_block(page, "redis", page_block("purser drill", [result()], [SkippedFault(name="x", reason="y")], 61.2))
    text = page.read_text()
    assert text.startswith("# Title\n<!-- drill redis -->\n\n`purser drill`, ")
    assert "| poison | 9 | 0 | 0 | 1 (1) | 1.5 | 3 of them |" in text
    assert "Left out: *x*, y." in text
    assert "old" not in text
    assert text.endswith("<!-- end of drill redis -->\nafter\n")
    with pytest.raises(ConfigurationError, match="has no place for this"):
        write_block(page, "rabbitmq", "x")


def test_the_comparison_has_a_column_for_each_app() -> None:
    block = stock_block("purser drill --stock", {"stock": [result()], "stock, careful": [result(problem="?")]})
    assert "| poison | 9 | 0 | 0 | 0 (!) | 0 |" in block
    assert facts([result()], [])["skipped"] == []
    assert set(command.APPS) == {"stock", "stock, careful"}


def test_the_twin_of_the_drill_takes_its_time_only_for_users() -> None:
    twin = FaultyFakeOdoo(random.Random(1))
    twin.latency = 3600.0
    assert twin.seed("res.partner", {"name": "at once"}) > 0
