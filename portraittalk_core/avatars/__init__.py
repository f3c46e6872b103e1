"""Procedural portraits: data that is nobody's likeness."""
