"""Tools of drawing that panels share."""
