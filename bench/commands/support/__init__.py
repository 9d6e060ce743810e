"""What subcommands share: options, how they end, completion, sections of the help."""
