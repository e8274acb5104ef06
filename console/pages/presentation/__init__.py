"""How values are shown on the pages: formatting, masking, payloads, names and links."""
