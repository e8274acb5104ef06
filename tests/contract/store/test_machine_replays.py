"""Whatever happens in whatever order, a replay risks one letter first, sends each once, and ends with all accounted
for."""

from collections import Counter

import redis
import structlog
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from store import DeadLetterState, LetterOutcome, Replay, ReplayStage, ReplayState
from tests.unit.workers.replaying import LOCKED, World
from workers.dead_letters.replay_one import PART_OF, part_of
from workers.dead_letters.replay_stages import stage_quota

LETTERS = 25
pick = st.integers(0, 99)
holders = st.sampled_from(["w1", "w2"])
seconds = st.sampled_from([0.1, 0.5, 0.5, 0.5, 11.0])


class Replaying(RuleBasedStateMachine):
    """Two replays of the same letters, workers that die, and people who pause, resume and cancel."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__()
        self.world = World(client)
        self.ids: list[str] = []
        self.replays: list[str] = []
        self.resumed: set[str] = set()
        self.deaths = 0

    @initialize(careful=st.booleans())
    def begin(self, careful: bool) -> None:
        self.ids = self.world.die(LETTERS)
        self.replays = [self.world.start(self.ids).id, self.world.start(self.ids, careful=careful).id]

    def now(self, id_: str) -> Replay:
        found = self.world.ledger.replays.get(id_)
        assert found is not None
        return found

    # -- the workers

    @rule(number=pick, by=holders, after=seconds)
    def step(self, number: int, by: str, after: float) -> None:
        self.world.step(self.now(self.replays[number % 2]), by=by, after=after)

    @rule(number=pick, by=holders, before=st.booleans())
    def die_in_a_step(self, number: int, by: str, before: bool) -> None:
        sent = len(self.world.sent)
        with self.world.dying(before=before):
            self.world.step(self.now(self.replays[number % 2]), by=by)
        self.deaths += len(self.world.sent) - sent

    @precondition(lambda self: self.world.queue)
    @rule(
        many=st.integers(1, 10),
        ending=st.sampled_from([LetterOutcome.DONE, LetterOutcome.DONE, LetterOutcome.REFUSED]),
    )
    def end_some(self, many: int, ending: LetterOutcome) -> None:
        for _ in range(min(many, len(self.world.queue))):
            self.world.end(self.world.queue.pop(0), ending)

    @precondition(lambda self: self.world.queue)
    @rule(number=pick, text=st.sampled_from([LOCKED, "fault a", "fault b"]))
    def fail_one(self, number: int, text: str) -> None:
        self.world.fail(self.world.queue.pop(number % len(self.world.queue)), text)

    @precondition(lambda self: self.world.queue)
    @rule(number=pick)
    def park_one(self, number: int) -> None:
        self.world.park(self.world.queue.pop(number % len(self.world.queue)))

    @rule()
    def what_waits_goes_on(self) -> None:
        self.world.go_on()

    @rule()
    def nobody_is_there_for_long(self) -> None:
        self.world.pass_(minutes=6)
        self.world.ledger.letters.count()  # whoever looks wakes letters whose sender is gone

    # -- the people

    @rule(number=pick, act=st.sampled_from(["pause", "resume", "resume", "cancel"]))
    def a_person_acts(self, number: int, act: str) -> None:
        replay = self.replays[number % 2]
        does = getattr(self.world.ledger.replays, act)
        was = self.now(replay).state
        if does(replay, who="ada", note="why") and act == "resume" and was is ReplayState.STOPPED:
            self.resumed.add(replay)

    @rule(number=pick)
    def discard(self, number: int) -> None:
        self.world.ledger.letters.discard([self.ids[number % LETTERS]], who="bob", note="why")

    @rule(is_paused=st.booleans(), is_away=st.booleans())
    def the_fleet_is_held_back_or_not(self, is_paused: bool, is_away: bool) -> None:
        self.world.is_away = is_away
        if is_paused:
            self.world.ledger.pauses.pause("all", who="ada", note="why")
        else:
            self.world.ledger.pauses.resume("all", who="ada", note="why")

    # -- what holds

    @invariant()
    def no_stage_sends_more_than_its_letters(self) -> None:
        for id_ in self.replays:
            progress = self.world.ledger.replaying.look(id_)
            replay = progress.replay
            assert progress.stage_sent <= stage_quota(replay.stage, replay.total)
            if replay.stage is ReplayStage.CANARY and id_ not in self.resumed:
                assert replay.sent <= 1
            if replay.stage is not ReplayStage.CANARY and replay.careful:
                assert replay.sent >= 1, "no stage but the first begins with nothing tried"
            assert replay.done + replay.refused + replay.failed + replay.out <= replay.sent <= replay.total
            assert replay.sent + progress.left <= replay.total <= replay.sent + progress.left + replay.skipped
            assert replay.waiting <= replay.out

    @invariant()
    def a_letter_is_sent_once_in_a_replay(self) -> None:
        sent = Counter((message.headers[PART_OF], message.id) for message in self.world.sent)
        assert sum(count - 1 for count in sent.values()) <= self.deaths, "only a death sends one twice, under one id"
        parts = Counter(
            (told[0], message.id) for message in self.world.sent if (told := part_of(message.headers)) is not None
        )
        assert sum(count - 1 for count in parts.values()) <= self.deaths

    @invariant()
    def a_letter_that_was_not_sent_is_where_it_was_or_about_to_be_sent(self) -> None:
        sent = {message.id for message in self.world.sent}
        for id_ in self.ids:
            letter = self.world.ledger.letters.get(id_)
            assert letter is not None
            if id_ not in sent:
                assert letter.state in (DeadLetterState.DEAD, DeadLetterState.DISCARDED, DeadLetterState.REPLAYING), (
                    id_
                )

    def teardown(self) -> None:
        """All is well again: what is resumed ends by itself, and every letter is accounted for."""
        if not self.replays:
            return
        self.world.is_away = False
        self.world.ledger.pauses.resume("all", who="ada", note="why")
        self.world.pass_(minutes=1)
        for _ in range(40):
            self.world.go_on()
            self.world.work()
            for id_ in self.replays:
                self.world.ledger.replays.resume(id_, who="ada", note="why")
                self.world.step(self.now(id_), by="last")
        assert not self.world.ledger.replaying.running()
        for id_ in self.replays:
            replay = self.now(id_)
            assert replay.state in (ReplayState.DONE, ReplayState.CANCELLED)
            assert replay.out == replay.waiting == 0
            ended = replay.done + replay.refused + replay.failed + replay.skipped
            assert ended == replay.total or replay.state is ReplayState.CANCELLED
        assert not self.world.in_state(DeadLetterState.REPLAYING, self.ids)


RUNS = settings(
    max_examples=25,
    stateful_step_count=30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def test_a_replay_accounts_for_every_letter_whatever_happens(redis_url: str) -> None:
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    with redis.Redis.from_url(redis_url) as client:
        run_state_machine_as_test(lambda: Replaying(client), settings=RUNS)  # type: ignore[arg-type]
    structlog.reset_defaults()
