"""What prompts change in a photograph: hair, beards, glasses, age, clothes, the place."""
