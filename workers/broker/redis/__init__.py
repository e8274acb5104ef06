"""The Redis transport: leases, blocking waits and their Lua scripts."""
