"""Whoever is chosen to be asked may be asked and is there today, or nobody else is left."""

import datetime as dt

from purser import Row
from purser.testing import snapshot
from tasks.people import PersonIndex
from tasks.queries.availability import (
    ASKING,
    AbsentManagerToday,
    AbsentToday,
    AskableUser,
    ManagerRecord,
    ManagerWorkRecord,
    WorkRecord,
)

AS_OF = dt.datetime(2026, 11, 23, 8, tzinfo=dt.UTC)
DAY = {"date_from": AS_OF.replace(hour=0), "date_to": AS_OF.replace(hour=23)}
ANN, BEN, BOSS = 1, 2, 3
STAFF = (AskableUser(id=ANN), AskableUser(id=BEN))
ANNS = WorkRecord(id=11, user_id=ANN, resource_id=111, manager_id=33)
AWAY = AbsentToday(id=1, resource_id=111, **DAY)
MANAGER = (ManagerRecord(id=33, user_id=BOSS), ManagerWorkRecord(id=33, user_id=BOSS, resource_id=133))


def people(*rows: Row) -> PersonIndex:
    return PersonIndex(snapshot(AS_OF, *rows, reads=ASKING))


def test_the_first_who_is_there_is_asked() -> None:
    assert people(*STAFF, ANNS).first(ANN, BEN) == ANN
    assert people(*STAFF, ANNS, AWAY).first(ANN, BEN) == BEN
    assert people(*STAFF).first(None, 99, BEN) == BEN
    assert people().first(ANN) is None


def test_a_manager_who_is_there_stands_in() -> None:
    assert people(*STAFF, ANNS, AWAY, *MANAGER).first(ANN) == BOSS
    away_too = AbsentManagerToday(id=2, resource_id=133, **DAY)
    assert people(*STAFF, ANNS, AWAY, *MANAGER, away_too).first(ANN) == ANN


def test_somebody_with_two_records_is_absent_only_where_both_are() -> None:
    second = WorkRecord(id=12, user_id=ANN, resource_id=112)
    assert not people(*STAFF, ANNS, second, AWAY).is_absent(ANN)
    assert people(*STAFF, ANNS, second, AWAY, AbsentToday(id=3, resource_id=112, **DAY)).is_absent(ANN)
