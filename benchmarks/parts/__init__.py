"""What the programs share: people and their measurements, tables, and where results lie."""
