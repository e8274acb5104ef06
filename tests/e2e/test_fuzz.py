"""Mutated messages go through a worker of each pool: none ends it, each is done or kept, and memory stays flat."""

import os
from pathlib import Path

import pytest

from tests.e2e.fuzzing import fuzz

pytestmark = [pytest.mark.slow, pytest.mark.redis, pytest.mark.timeout(0 if "FUZZ_MESSAGES" in os.environ else 120)]


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_no_mutated_message_stops_a_worker_and_each_is_done_or_kept(
    pool: str, redis_url: str, tmp_path: Path
) -> None:
    fuzz(pool, 400, {"PURSER_BROKER_URL": redis_url}, tmp_path)
