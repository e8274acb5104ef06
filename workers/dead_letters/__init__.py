"""Dead letters at work: capture, edit, preview, replay and retention."""
