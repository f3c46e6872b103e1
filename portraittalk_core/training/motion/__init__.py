"""Train what moves a face: structure maps and the idle motion of the prior."""
