"""A Redis that refuses for a state of its own (read only, no replicas, no disk, no memory, loading) is waited for."""

import redis
from redis import exceptions as fault

_OF_THE_SERVER = (
    fault.ReadOnlyError,
    fault.OutOfMemoryError,
    fault.BusyLoadingError,
    fault.TryAgainError,
    fault.ClusterDownError,
    fault.MasterDownError,
    fault.NoScriptError,
    fault.ExecAbortError,
)
_OF_THE_CALLER = frozenset({"ERR", "WRONGTYPE", "NOPERM", "NOAUTH", "WRONGPASS", "NOPROTO", "FENCED"})
"""The code words that say that the question was wrong. Any other tells of the server."""


class ServerStateError(redis.ConnectionError):
    """Redis answers and refuses for a state of its own: to a consumer that is a connection to be made anew."""


def is_server_state(error: BaseException) -> bool:
    """Return whether Redis refused because of its own state, so that the same question may be answered later."""
    if not isinstance(error, redis.ResponseError) or isinstance(error, fault.NoPermissionError):
        return False
    word = str(error).rpartition("caused error: ")[2].partition(" ")[0]  # what a pipeline puts in front
    return isinstance(error, _OF_THE_SERVER) or (word.isalpha() and word.isupper() and word not in _OF_THE_CALLER)
