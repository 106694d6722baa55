"""A measured cortical circuit among random inhibition: responses of it and of nulls to a pulse."""
