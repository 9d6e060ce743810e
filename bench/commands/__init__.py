"""The subcommands of `adatok-bench`, a file each; they import what is slow only when they run."""
