"""The pages that Purser adds to Flower's menu."""
