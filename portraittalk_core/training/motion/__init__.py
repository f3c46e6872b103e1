"""Train what moves a face: `structure.train_structure`, and `idle.train_prior` for the motion of a head at rest."""
