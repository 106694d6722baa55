"""What the subcommands of ``ngpipe`` do, each loaded when it is asked for."""
