"""Cases open, climb, close and come back as design says, whatever is lost or repeated in between."""

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purser.cases import (
    Case,
    CaseKey,
    CaseRecord,
    CaseState,
    EscalationStep,
    FeedbackMarker,
    ObservedActivity,
    merge,
)
from purser.changes import CloseActivity, Ensure, PostNote, RecordLink, Update
from purser.engine.reconcile import (
    Availability,
    EscalationPolicy,
    PlannedStep,
    ReconcilePlan,
    reconcile,
    working_days,
)
from purser.errors import Permanent
from purser.findings import Compliant, Exempt, Finding, Period, Ref, Severity, Verdict

MONDAY = dt.date(2026, 11, 23)
EMPLOYEE, MANAGER, PMO = 11, 12, 13
LADDER = (EscalationStep("employee"), EscalationStep("manager", 2), EscalationStep("pmo", 3))
SUBJECT = Ref("hr.employee", 7)
WEEK = Period.week_of(dt.date(2026, 11, 11))
KEY = CaseKey("missing-timesheets", SUBJECT, WEEK)


def house(
    today: dt.date = MONDAY,
    ladder: tuple[EscalationStep, ...] = LADDER,
    roles: Mapping[str, tuple[int, ...]] | None = None,
) -> EscalationPolicy:
    return EscalationPolicy(
        control="missing-timesheets",
        title="Missing timesheet",
        rule="Every closed week is fully logged.",
        severity=Severity.MEDIUM,
        ladder=ladder,
        roles={"pmo": (PMO,)} if roles is None else roles,
        today=today,
    )


def finding(
    subject: Ref = SUBJECT, missing: str = "8", desk: bool = True, asks: Mapping[str, int] | None = None
) -> Finding:
    return Finding(
        subject=subject,
        subject_name="Ada",
        summary=f"{missing} h missing",
        since=dt.date(2026, 11, 16),
        period=WEEK,
        asks={"employee": EMPLOYEE, "manager": MANAGER} if asks is None else asks,
        desk=subject if desk else None,
        hours_at_risk=Decimal(missing),
    )


class Odoo:
    """What the system of record and our memory would hold after plans are carried out."""

    def __init__(self) -> None:
        self.activities: dict[str, ObservedActivity] = {}
        self.memory: dict[CaseKey, CaseRecord] = {}
        self.notes: set[str] = set()

    def carry_out(self, plan: ReconcilePlan, today: dt.date) -> None:
        for step in plan.steps():
            self._one(step, today)

    def _one(self, step: PlannedStep, today: dt.date) -> None:
        number = None
        match step.change:
            case Ensure(key=key, values=values):
                assert isinstance(values["user_id"], RecordLink)
                known = self.activities.get(key)
                number = known.activity if known else 100 + len(self.activities)
                self.activities.setdefault(
                    key,
                    ObservedActivity(
                        key=key,
                        activity=number,
                        active=True,
                        user_id=values["user_id"].ref.id,
                        summary=str(values["summary"]),
                        feedback="",
                        created_on=today,
                    ),
                )
            case CloseActivity(key=key, feedback=feedback):
                self.done(key, feedback)
            case Update(values=values, ref=ref):
                key = next(k for k, a in self.activities.items() if a.activity == ref.id)
                self.activities[key] = replace(self.activities[key], summary=str(values["summary"]))
            case PostNote(key=key):
                self.notes.add(key)
            case _:
                pass
        if step.memory is not None:
            memory = step.memory if number is None else replace(step.memory, activity=number)
            self.memory[memory.key] = memory

    def done(self, key: str, feedback: str = "") -> None:
        if self.activities[key].active:
            self.activities[key] = replace(self.activities[key], active=False, feedback=feedback)

    def cases(self) -> dict[CaseKey, Case]:
        return merge("missing-timesheets", self.activities.values(), self.memory)

    def run(self, *verdicts: Verdict, today: dt.date = MONDAY, **kwargs: object) -> ReconcilePlan:
        plan = reconcile(house(today), verdicts, self.cases(), **kwargs)  # type: ignore[arg-type]
        self.carry_out(plan, today)
        return plan

    @property
    def open(self) -> set[str]:
        return {key for key, ask in self.activities.items() if ask.active}


def rung(episode: int, number: int) -> str:
    return KEY.rung(episode, number)


def days(count: int) -> dt.date:
    return MONDAY + dt.timedelta(days=count)


def test_a_finding_opens_a_case_for_the_nearest_person() -> None:
    odoo = Odoo()
    odoo.run(finding())
    assert odoo.open == {rung(0, 0)}
    assert odoo.activities[rung(0, 0)].user_id == EMPLOYEE


def test_a_second_run_changes_nothing() -> None:
    odoo = Odoo()
    odoo.run(finding())
    assert odoo.run(finding()).steps() == ()


def test_a_lost_memory_changes_nothing_that_odoo_still_shows() -> None:
    odoo = Odoo()
    odoo.run(finding())
    odoo.memory.clear()
    run = odoo.run(finding())
    assert [step.change for step in run.steps()] == [None]
    assert odoo.memory[KEY].hours == 8
    assert odoo.memory[KEY].text == odoo.activities[rung(0, 0)].summary
    assert odoo.run(finding()).steps() == ()


def test_a_lost_memory_does_not_escalate_to_nobody() -> None:
    odoo = Odoo()
    alone = finding(asks={"employee": EMPLOYEE})
    odoo.run(alone)
    odoo.memory.clear()
    plan = reconcile(house(days(30), roles={}), [alone], odoo.cases())
    assert [step.change for step in plan.steps()] == [None]


@pytest.mark.parametrize("verdict", [Compliant(SUBJECT, WEEK), Exempt(SUBJECT, "x", WEEK), finding()])
def test_an_earlier_rung_whose_closing_was_lost_is_closed(verdict: Verdict) -> None:
    odoo = Odoo()
    odoo.run(finding())
    plan = reconcile(house(days(2)), [finding()], odoo.cases())
    for step in plan.steps():
        if not isinstance(step.change, CloseActivity):
            odoo._one(step, days(2))
    assert odoo.open == {rung(0, 0), rung(0, 1)}
    odoo.run(verdict, today=days(2))
    assert odoo.open == ({rung(0, 1)} if isinstance(verdict, Finding) else set())


def test_an_escalation_closes_the_old_activity_only_after_the_new_one() -> None:
    odoo = Odoo()
    odoo.run(finding())
    plan = reconcile(house(days(2)), [finding()], odoo.cases())
    (ensure, close) = plan.escalated
    assert isinstance(ensure.change, Ensure)
    assert isinstance(close.change, CloseActivity)
    assert close.only_after == ensure.change.key


def test_an_activity_that_is_open_again_is_remembered_as_open() -> None:
    odoo = Odoo()
    odoo.run(finding())
    odoo.run(Compliant(SUBJECT, WEEK))
    odoo.activities[rung(0, 0)] = replace(odoo.activities[rung(0, 0)], active=True)  # a person, or a backup
    odoo.run(finding())
    memory = odoo.memory[KEY]
    assert (memory.state, memory.hours, memory.ended_on) == (CaseState.OPEN, Decimal(8), None)
    assert odoo.run(finding()).steps() == ()


def test_whom_a_person_handed_the_activity_to_is_remembered() -> None:
    odoo = Odoo()
    odoo.run(finding())
    odoo.activities[rung(0, 0)] = replace(odoo.activities[rung(0, 0)], user_id=77)
    odoo.run(finding())
    assert odoo.memory[KEY].user_id == 77


def test_a_memory_one_rung_behind_odoo_ends_with_it() -> None:
    odoo = Odoo()
    odoo.run(finding())
    behind = odoo.memory[KEY]
    odoo.run(finding(), today=days(2))
    odoo.memory[KEY] = behind
    odoo.done(rung(0, 1), "done")
    odoo.run(Compliant(SUBJECT, WEEK), today=days(2))
    assert odoo.run(Compliant(SUBJECT, WEEK), today=days(2)).steps() == ()
    odoo.run(finding(), today=days(2))
    assert odoo.open == {rung(1, 0)}


def test_a_kept_rule_closes_the_case_with_our_mark() -> None:
    odoo = Odoo()
    odoo.run(finding())
    odoo.run(Compliant(SUBJECT, WEEK))
    assert odoo.open == set()
    assert FeedbackMarker.of(odoo.activities[rung(0, 0)].feedback) is FeedbackMarker.KEPT
    assert odoo.cases()[KEY].state is CaseState.CLOSED


def test_a_second_leak_is_a_new_episode() -> None:
    odoo = Odoo()
    for verdict in (finding(), Compliant(SUBJECT, WEEK), finding()):
        odoo.run(verdict)
    assert odoo.open == {rung(1, 0)}


def test_a_second_leak_is_a_new_episode_even_if_our_memory_is_lost() -> None:
    odoo = Odoo()
    odoo.run(finding())
    odoo.run(Compliant(SUBJECT, WEEK))
    odoo.memory.clear()
    odoo.run(finding())
    assert odoo.open == {rung(1, 0)}


def test_what_was_not_examined_stays_open_and_is_reported() -> None:
    odoo = Odoo()
    odoo.run(finding())
    plan = odoo.run()
    assert plan.unverified == (KEY,)
    assert odoo.open == {rung(0, 0)}


def test_a_gone_subject_withdraws_its_case() -> None:
    odoo = Odoo()
    odoo.run(finding())
    plan = odoo.run(gone=frozenset({SUBJECT}))
    assert len(plan.withdrawn) == 1
    assert odoo.cases()[KEY].state is CaseState.WITHDRAWN


def test_an_exemption_withdraws_the_case_and_says_why() -> None:
    odoo = Odoo()
    odoo.run(finding())
    odoo.run(Exempt(SUBJECT, "The policy exempts the department.", WEEK))
    assert odoo.open == set()
    assert "exempts the department" in odoo.activities[rung(0, 0)].feedback


def test_the_ladder_is_climbed_on_working_days() -> None:
    odoo = Odoo()
    odoo.run(finding(), today=days(4))  # a Friday
    assert odoo.run(finding(), today=days(7)).steps() == ()  # Monday: one working day later
    odoo.run(finding(), today=days(8))
    assert odoo.open == {rung(0, 1)}
    assert odoo.activities[rung(0, 1)].user_id == MANAGER
    assert FeedbackMarker.of(odoo.activities[rung(0, 0)].feedback) is FeedbackMarker.ESCALATED
    odoo.run(finding(), today=days(11))
    assert odoo.activities[rung(0, 2)].user_id == PMO
    assert odoo.run(finding(), today=days(60)).steps() == ()  # the last one asked stays asked


def test_done_without_fixing_buys_quiet_until_the_next_rung_and_no_longer() -> None:
    odoo = Odoo()
    odoo.run(finding())
    odoo.done(rung(0, 0), "I am on it")
    assert odoo.run(finding(), today=days(1)).steps() == ()
    odoo.run(finding(), today=days(2))
    assert odoo.open == {rung(0, 1)}


def test_a_cancelled_activity_buys_quiet_until_the_next_rung_and_no_longer() -> None:
    odoo = Odoo()
    odoo.run(finding())
    del odoo.activities[rung(0, 0)]
    assert odoo.run(finding(), today=days(1)).steps() == ()
    odoo.run(finding(), today=days(2))
    assert odoo.open == {rung(0, 1)}


def test_done_without_fixing_on_the_last_rung_is_asked_again() -> None:
    odoo = Odoo()
    for day in (0, 2, 7):
        odoo.run(finding(), today=days(day))
    assert odoo.open == {rung(0, 2)}
    odoo.done(rung(0, 2))
    assert odoo.run(finding(), today=days(8)).steps() == ()
    odoo.run(finding(), today=days(10))
    assert odoo.open == {rung(0, 3)}
    assert odoo.activities[rung(0, 3)].user_id == PMO


def test_done_by_a_person_then_proved_is_closed_and_the_next_leak_is_a_new_episode() -> None:
    odoo = Odoo()
    odoo.run(finding())
    odoo.done(rung(0, 0), "done")
    odoo.run(Compliant(SUBJECT, WEEK))
    assert odoo.cases()[KEY].state is CaseState.CLOSED
    odoo.run(finding())
    assert odoo.open == {rung(1, 0)}


def test_an_escalation_whose_first_half_was_lost_is_completed() -> None:
    odoo = Odoo()
    odoo.run(finding())
    odoo.done(rung(0, 0), f"Passed on. {FeedbackMarker.ESCALATED}")  # the close arrived, the next rung did not
    odoo.run(finding())
    assert odoo.open == {rung(0, 1)}


def test_who_has_no_user_is_reached_through_the_manager() -> None:
    odoo = Odoo()
    odoo.run(finding(asks={"manager": MANAGER}))
    assert odoo.activities[rung(0, 1)].user_id == MANAGER


def test_a_manager_who_is_the_employee_is_not_asked_twice() -> None:
    odoo = Odoo()
    own = finding(asks={"employee": EMPLOYEE, "manager": EMPLOYEE})
    odoo.run(own)
    odoo.run(own, today=days(2))
    assert odoo.activities[rung(0, 2)].user_id == PMO


def test_nobody_further_up_means_whoever_is_asked_stays_asked() -> None:
    odoo = Odoo()
    odoo.run(finding(asks={"employee": EMPLOYEE}))
    plan = reconcile(house(days(30), roles={}), [finding(asks={"employee": EMPLOYEE})], odoo.cases())
    assert plan.steps() == ()


def test_new_figures_refresh_the_text_unless_a_person_rewrote_it() -> None:
    odoo = Odoo()
    odoo.run(finding(missing="8"))
    odoo.run(finding(missing="4"))
    assert odoo.activities[rung(0, 0)].summary == "Missing timesheet: 4 h missing"
    odoo.activities[rung(0, 0)] = replace(odoo.activities[rung(0, 0)], summary="Ask Ada on Monday")
    odoo.run(finding(missing="2"))
    assert odoo.activities[rung(0, 0)].summary == "Ask Ada on Monday"
    assert odoo.memory[KEY].hours == Decimal(2)
    assert odoo.run(finding(missing="2")).steps() == ()


def test_without_a_desk_the_case_is_a_note_that_is_written_once_and_answered_once() -> None:
    odoo = Odoo()
    odoo.run(finding(desk=False))
    assert odoo.run(finding(desk=False), today=days(30)).steps() == ()
    odoo.run(Compliant(SUBJECT, WEEK))
    assert odoo.notes == {rung(0, 0), rung(0, 0) + "/ended"}
    assert odoo.run(Compliant(SUBJECT, WEEK)).steps() == ()


def test_a_run_that_would_end_most_cases_at_once_holds_until_released() -> None:
    odoo = Odoo()
    subjects = [Ref("hr.employee", n) for n in range(1, 31)]
    odoo.run(*[finding(s) for s in subjects])
    kept = [Compliant(s, WEEK) for s in subjects[:21]]
    held = odoo.run(*kept)
    assert "21 of 30" in held.held
    assert held.steps() == ()
    assert len(odoo.run(*kept, release_hold=True).closed) == 21


def test_twenty_endings_never_hold() -> None:
    odoo = Odoo()
    subjects = [Ref("hr.employee", n) for n in range(1, 21)]
    odoo.run(*[finding(s) for s in subjects])
    assert len(odoo.run(*[Compliant(s, WEEK) for s in subjects]).closed) == 20


def test_one_subject_judged_twice_is_a_mistake_of_the_control() -> None:
    with pytest.raises(Permanent, match="twice"):
        reconcile(house(), [finding(), Compliant(SUBJECT, WEEK)], {})


def test_text_from_data_cannot_become_markup() -> None:
    nasty = replace(finding(), summary="<script>alert(1)</script>")
    plan = reconcile(replace(house(), rule="a < b"), [nasty], {})
    change = plan.opened[0].change
    assert isinstance(change, Ensure)
    assert "a &lt; b" in str(change.values["note"])


@given(st.text(min_size=0, max_size=60))
def test_a_key_that_is_not_ours_is_never_read_as_one(text: str) -> None:
    parsed = CaseKey.parse_rung(text)
    assert parsed is None or parsed[0].rung(*parsed[1:]) == text


@given(st.dates(dt.date(2020, 1, 1), dt.date(2030, 1, 1)), st.integers(0, 400), st.sets(st.integers(0, 6)))
def test_working_days_are_counted_one_by_one(start: dt.date, count: int, weekdays: set[int]) -> None:
    end = start + dt.timedelta(days=count)
    slow = sum((start + dt.timedelta(days=i)).weekday() in weekdays for i in range(1, count + 1))
    assert working_days(start, end, frozenset(weekdays)) == slow


VERDICTS = st.one_of(
    st.just(finding()),
    st.just(finding(missing="3")),
    st.just(Compliant(SUBJECT, WEEK)),
    st.just(Exempt(SUBJECT, "x", WEEK)),
)


@given(st.lists(st.tuples(VERDICTS, st.sampled_from(["", "done", "cancel", "forget"]), st.integers(0, 6))))
def test_whatever_happens_at_most_one_rung_is_open_and_a_repeat_changes_nothing(
    story: list[tuple[Verdict, str, int]],
) -> None:
    odoo, today = Odoo(), MONDAY
    for verdict, deed, wait in story:
        odoo.run(verdict, today=today)
        assert odoo.run(verdict, today=today).steps() == ()
        assert len(odoo.open) <= 1
        if isinstance(verdict, (Compliant, Exempt)):
            assert odoo.open == set()
        for key in sorted(odoo.open):
            if deed == "done":
                odoo.done(key)
            if deed == "cancel":
                del odoo.activities[key]
        if deed == "forget":
            odoo.memory.clear()
        today += dt.timedelta(days=wait)


def attended(
    today: dt.date = MONDAY,
    *,
    absent: Collection[int] = (),
    gone: Collection[int] = (),
    stand_ins: Mapping[int, int] | None = None,
    returns: bool = False,
) -> EscalationPolicy:
    availability = Availability(absent=frozenset(absent), unreachable=frozenset(gone), stand_ins=stand_ins or {})
    return replace(
        house(today), availability=availability, asked_on_return=frozenset({"employee"} if returns else ())
    )


def asked_by(step: PlannedStep) -> tuple[int, str]:
    assert isinstance(step.change, Ensure)
    link = step.change.values["user_id"]
    assert isinstance(link, RecordLink)
    return link.ref.id, str(step.change.values["note"])


def test_somebody_absent_is_passed_over_for_the_next_on_the_ladder_and_the_question_says_why() -> None:
    (step,) = reconcile(attended(absent={EMPLOYEE}), [finding()], {}).opened
    who, note = asked_by(step)
    assert (who, step.memory and step.memory.rung) == (MANAGER, 1)
    assert "in the place of somebody who is absent today: employee" in note
    (step,) = reconcile(attended(absent={EMPLOYEE, MANAGER}), [finding()], {}).opened
    assert asked_by(step)[0] == PMO


def test_the_manager_stands_in_for_somebody_absent_before_the_next_rung() -> None:
    only = finding(asks={"employee": EMPLOYEE})
    (step,) = reconcile(attended(absent={EMPLOYEE}, stand_ins={EMPLOYEE: 77}), [only], {}).opened
    who, note = asked_by(step)
    assert (who, step.memory and step.memory.rung) == (77, 0)
    assert "in the place of somebody who is absent today" in note


def test_where_everybody_is_absent_the_person_is_asked_and_nothing_is_lost() -> None:
    (step,) = reconcile(attended(absent={EMPLOYEE, MANAGER, PMO}), [finding()], {}).opened
    who, note = asked_by(step)
    assert who == EMPLOYEE
    assert "absent today: this waits for your return" in note


def test_nobody_archived_is_asked_at_any_level() -> None:
    (step,) = reconcile(attended(gone={EMPLOYEE, MANAGER}), [finding()], {}).opened
    assert asked_by(step)[0] == PMO
    (step,) = reconcile(attended(gone={EMPLOYEE, MANAGER, PMO}), [finding()], {}).opened
    assert isinstance(step.change, Ensure)
    assert step.change.values["user_id"] is None


def test_a_role_takes_the_next_member_who_is_there() -> None:
    of = replace(attended(absent={1}), roles={"pmo": (0, 1, 2)})
    assert SUBJECT.id % 3 == 1
    (step,) = reconcile(of, [finding(asks={})], {}).opened
    assert asked_by(step)[0] == 2


def test_escalation_passes_over_who_is_absent_and_stays_where_nobody_further_up_is_there() -> None:
    odoo = Odoo()
    odoo.run(finding())
    later = MONDAY + dt.timedelta(days=2)
    first, _ = reconcile(attended(later, absent={MANAGER}), [finding()], odoo.cases()).escalated
    assert asked_by(first)[0] == PMO
    assert reconcile(attended(later, absent={MANAGER, PMO}), [finding()], odoo.cases()).escalated == ()


def test_who_alone_can_mend_it_is_asked_on_return_and_the_next_one_when_that_takes_too_long() -> None:
    monday, tuesday, wednesday = (dt.date(2026, 11, day) for day in (16, 17, 18))  # found since that Monday
    for day in (monday, tuesday):
        plan = reconcile(attended(day, absent={EMPLOYEE}, returns=True), [finding()], {})
        assert (plan.steps(), plan.postponed) == ((), (KEY,))
    (step,) = reconcile(attended(tuesday, returns=True), [finding()], {}).opened
    assert asked_by(step)[0] == EMPLOYEE
    (step,) = reconcile(attended(wednesday, absent={EMPLOYEE}, returns=True), [finding()], {}).opened
    assert asked_by(step)[0] == MANAGER
