"""The public functions of connectome_interpreter that are its own: tables, paths, older forms."""
