"""The people benchmark: people with their truth, variants, edits, and the page."""
