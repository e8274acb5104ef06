"""One file, one model whose records are looked at when they changed; what they then amount to is told as a fact."""
