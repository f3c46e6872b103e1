"""Damage files at random and read them: seeds, mutations, readers, and the process that does it."""
