"""Recovery in closed form: the problem is linear but for psi, and for psi a few rows suffice."""
