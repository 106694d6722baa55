"""Recover an assembly from its activity: what is learned, how, and how it is read out."""
