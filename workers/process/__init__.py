"""A worker process: consumer, process pool, locks across a fork, leak detection and shutdown."""
