"""A login is checked once, slowly and beside the loop, and known from then on."""

import asyncio
import hashlib
import hmac
import secrets
from base64 import b64decode
from collections.abc import Callable, Container
from concurrent.futures import ThreadPoolExecutor

from config.console_users import ConsoleRole, ConsoleUser, ConsoleUsers
from console.flower.login_attempts import LoginAttempts

Check = Callable[[str, str], ConsoleUser | None]

MAX_PENDING_CHECKS = 20
"""So many logins may wait to be checked; one more is told no. Guessing gets as far as one thread does."""
_MOST_KNOWN = 1000


def single_user(user: str, password: str) -> Check:
    """Check the single login, which may all."""
    person = ConsoleUser(user, ConsoleRole.EDITOR)
    wanted = f"{user}:{password}".encode()

    def check(name: str, given: str) -> ConsoleUser | None:
        told = f"{name}:{given}".encode("utf-8", "surrogatepass")
        return person if hmac.compare_digest(told, wanted) else None

    return check


def all_users(people: ConsoleUsers) -> Check:
    """Check the logins of a file of people."""
    return people.check


class LoginCache:
    """Those who may come in, by what their browsers send."""

    def __init__(self, check: Check, names: Container[str] = (), attempts: LoginAttempts | None = None) -> None:
        self._check = check
        self._names = names
        self._attempts = attempts or LoginAttempts()
        self._key = secrets.token_bytes(32)
        self._known: dict[bytes, ConsoleUser] = {}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="logins")
        self._waiting = 0

    def known(self, header: str) -> ConsoleUser | None:
        """Return who sent this header before and was let in."""
        return self._known.get(self._digest(header))

    def wait(self, header: str, origin: str, machine: str) -> float:
        """Return the seconds for which whoever sends this header must wait, for too many passwords were wrong."""
        login = _read(header)
        return 0.0 if login is None else self._attempts.wait(self._counted(login[0]), origin, machine)

    async def ask(self, header: str, origin: str = "", machine: str = "") -> ConsoleUser | None:
        """Return who sends this header from `origin`; None for whoever is not to come in."""
        login = _read(header)
        if login is None or self._waiting >= MAX_PENDING_CHECKS:
            return None
        counted = (self._counted(login[0]), origin, machine)
        self._attempts.begin(*counted)
        self._waiting += 1
        try:
            person = await asyncio.get_running_loop().run_in_executor(self._thread, self._check, *login)
        finally:
            self._waiting -= 1
        if person is not None:
            self._attempts.succeed(*counted)
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[self._digest(header)] = person
        return person

    def close(self) -> None:
        """Let the thread go."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _counted(self, name: str) -> str:
        """Names that nobody has count as one, so that they neither fill the memory nor hide a guess."""
        return name if name in self._names else ""

    def _digest(self, header: str) -> bytes:
        return hmac.digest(self._key, header.encode("utf-8", "surrogatepass"), hashlib.sha256)


def _read(header: str) -> tuple[str, str] | None:
    scheme, _, encoded = header.strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:
        return None
    return (name, password) if colon else None
