"""From pictures and sound to records: faces, identities, speech features."""
