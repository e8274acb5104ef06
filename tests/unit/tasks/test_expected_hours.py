"""A career tells of each day whether it is worked and by which calendar, however a week is asked about."""

import datetime as dt
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from purser import Period
from tasks.expected_hours import EmploymentHistory

MONDAY = dt.date(2026, 11, 2)
WEEKS = [Period.week_of(MONDAY + dt.timedelta(weeks=n)) for n in range(4)]
days = st.integers(-3, 30).map(lambda n: MONDAY + dt.timedelta(days=n))
calendars = st.sampled_from([None, 1, 2])
ends = st.one_of(days, st.just(dt.date.max))
careers = st.builds(
    EmploymentHistory,
    versions=st.lists(st.tuples(days, calendars), min_size=1, max_size=3).map(
        lambda versions: sorted(versions, key=lambda one: one[0])
    ),
    contracts=st.lists(st.tuples(days, ends), max_size=3),
    last_day=st.one_of(ends, st.just(dt.date.min)),
)


@given(careers, st.sampled_from(WEEKS))
def test_the_spells_of_a_week_are_its_days_one_by_one(career: EmploymentHistory, week: Period) -> None:
    one_by_one: dict[int | None, list[dt.date]] = defaultdict(list)
    for day in (week.first + dt.timedelta(days=n) for n in range(7)):
        if career.employed_on(day):
            one_by_one[career.calendar_on(day)].append(day)
    assert {calendar: list(held) for calendar, held in career.spells(week)} == one_by_one


def test_a_week_in_which_nothing_changes_is_one_spell_shared_by_all_who_live_it() -> None:
    veteran = EmploymentHistory([(dt.date(2020, 1, 1), 1)], [], dt.date.max)
    under_contract = EmploymentHistory([(MONDAY, 1)], [(MONDAY, WEEKS[0].last)], dt.date.max)
    leaving = EmploymentHistory([(dt.date(2026, 1, 1), 2), (MONDAY, 1)], [], WEEKS[0].last)
    assert veteran.spells(WEEKS[0]) == under_contract.spells(WEEKS[0]) == leaving.spells(WEEKS[0])
    assert [len(spells) for spells in map(veteran.spells, WEEKS)] == [1, 1, 1, 1]
    assert [len(spells) for spells in map(leaving.spells, WEEKS)] == [1, 0, 0, 0]
