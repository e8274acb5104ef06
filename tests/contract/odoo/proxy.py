"""A proxy stands between client and Odoo and misbehaves, once, at the call a test names."""

from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from tests.unit.odoo_client.canned import Answer, Asked, Canned, Play, Silence

_HOP = {"content-length", "connection", "transfer-encoding", "content-encoding", "server", "date", "keep-alive"}


@dataclass
class Proxy:
    """A server in front of another. `forwarded` counts what reached it."""

    target: str
    server: Canned = field(init=False)
    forwarded: int = 0
    _tricks: list[tuple[str, Play]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.server = Canned(self._play)

    @property
    def url(self) -> str:
        return self.server.url

    def at(self, method: str, play: Play) -> None:
        """Play a trick at the next call of this method of any model."""
        self._tricks.append((method, play))

    def afterwards(self, then: Answer | Silence) -> Play:
        """Let Odoo carry the request out, and answer something else."""

        def play(asked: Asked) -> Answer | Silence:
            self.forward(asked)
            return then

        return play

    def between(self, before: Callable[[], object]) -> Play:
        """Let something happen just before the request goes on to Odoo."""

        def play(asked: Asked) -> Answer | Silence:
            before()
            return self.forward(asked)

        return play

    def forward(self, asked: Asked) -> Answer:
        headers = {
            key: value for key, value in asked.headers.items() if key not in {"host", "accept-encoding"} | _HOP
        }
        answer = httpx.request(
            asked.method, self.target + asked.path, content=asked.body, headers=headers, timeout=60
        )
        self.forwarded += 1
        kept = {key: value for key, value in answer.headers.items() if key.lower() not in _HOP}
        return Answer(answer.status_code, answer.content, kept)

    def _play(self, asked: Asked) -> Answer | Silence:
        for trick in self._tricks:
            method, play = trick
            if asked.path.endswith(f"/{method}") or f'"{method}"'.encode() in asked.body:
                self._tricks.remove(trick)
                return play(asked)
        return self.forward(asked)


def instead(answer: Answer | Silence) -> Play:
    """Answer without asking Odoo."""
    return lambda _: answer
