"""A measured cortical circuit among random inhibition: how it, and nulls, answer a pulse."""
