"""One file, one reaction to a fact."""
