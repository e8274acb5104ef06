"""What the guide to Redis promises is read from the guide."""

from pathlib import Path

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "redis.md"


def rights_in_the_guide() -> list[list[str]]:
    """Return the rules that the guide shows: for the broker, and for the ledger beside it."""
    text = GUIDE.read_text(encoding="utf-8").replace("\\\n", "")
    return [line.split()[2:] for line in text.splitlines() if line.startswith("ACL SETUSER purser ")]
