"""Dead letters: stored messages that failed, their groups, edits, tombstones and transfer between stores."""
