"""What is true of the neurons, whatever the method: drifts and their integration."""
