"""The folder of a report and its page."""
