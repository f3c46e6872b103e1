"""What a model is: one contract, the stack, and the models that fulfil it."""
