"""Whether a Redis that refuses will answer the same question later."""

import pytest
import redis
from redis import exceptions as fault

from workers.broker.redis.server_state import is_server_state


@pytest.mark.parametrize(
    "error",
    [
        fault.ReadOnlyError("You can't write against a read only replica."),
        fault.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        fault.BusyLoadingError("Redis is loading the dataset in memory"),
        redis.ResponseError("NOREPLICAS Not enough good replicas to write."),
        redis.ResponseError("MISCONF Redis is configured to save RDB snapshots"),
        redis.ResponseError("BUSY Redis is busy running a script."),
        redis.ResponseError("UNBLOCKED force unblock from blocking operation"),
        redis.ResponseError("SOMENEWSTATE of a later release"),
        redis.ResponseError("Command # 1 (SADD k v) of pipeline caused error: NOREPLICAS Not enough good replicas"),
    ],
)
def test_a_state_of_the_server_passes(error: Exception) -> None:
    assert is_server_state(error) or isinstance(error, redis.ConnectionError)


@pytest.mark.parametrize(
    "error",
    [
        redis.ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
        redis.ResponseError("unknown command 'X'"),
        redis.ResponseError("FENCED this consumer's lease has ended"),
        fault.NoPermissionError("this user has no permissions to run the 'sadd' command"),
        ValueError("MISCONF"),
    ],
)
def test_a_wrong_question_does_not(error: Exception) -> None:
    assert not is_server_state(error)
