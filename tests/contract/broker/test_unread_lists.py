"""Messages that lie on lists which no worker reads are named; lists of others are not."""

import redis
from kombu.connection import Connection

from config.queues import QUEUES, redis_lists
from workers.doctor.checks import unread_lists


def found_at(url: str) -> dict[str, int]:
    with Connection(url) as connection:  # type: ignore[no-untyped-call, unused-ignore]
        return unread_lists(connection)


def test_lists_of_other_priority_steps_and_separators_are_unread(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.lpush("events\x06\x164", "a", "b")
        client.lpush("apply:3", "c")
        assert found_at(redis_url) == {"events\x06\x164": 2, "apply:3": 1}


def test_lists_that_workers_read_and_lists_of_others_are_not_named(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        for name in (name for queue in QUEUES for name in redis_lists(queue)):
            client.lpush(name, "read")
        client.lpush("eventsourcing", "somebody else's")
        client.lpush("celery", "somebody else's")
        client.set("events\x06\x164", "no list")
        client.hset("events:pidbox", "no", "list")
        assert found_at(redis_url) == {}


def test_lists_are_not_looked_for_without_the_right_to_list_keys(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.lpush("events\x06\x164", "a")
        client.acl_setuser("sender", enabled=True, nopass=True, commands=["+@all", "-scan"], keys=["*"])
        try:
            address = redis_url.replace("redis://", "redis://sender:any@", 1)
            assert found_at(address) == {}
        finally:
            client.acl_deluser("sender")
