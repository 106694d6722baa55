"""Subcommands of ``ngpipe``, each loaded when it is called."""
