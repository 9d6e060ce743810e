"""The group of all commands, whose help lists them by what they are for."""

from __future__ import annotations

import click

from bench.commands.support.ends import Interrupted, PipeClosed

SECTIONS = {
    "Find your way": ("list", "completion"),
    "Run suites": ("validate", "plan", "run"),
    "Look at results": ("results", "compare", "report", "verify", "ui", "sync", "check-store"),
    "Prepare images": ("shards",),
    "Use a tokenizer": ("check", "bank", "export", "encode", "decode"),
}
OTHER = "Of other packages"


class Sections(click.Group):
    """A group that shows its commands under `SECTIONS`, and last those that are in none."""

    def invoke(self, context: click.Context) -> object:
        """Run the command, whose ends `click` would make of what it knows: blank lines, a 1."""
        try:
            return super().invoke(context)
        except BrokenPipeError as error:
            raise PipeClosed from error
        except KeyboardInterrupt as error:
            raise Interrupted from error

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """A list of names and short helps for each section."""
        placed = {name for names in SECTIONS.values() for name in names}
        others = tuple(name for name in self.list_commands(context) if name not in placed)
        width = formatter.width - 6 - max(map(len, self.commands))
        for title, names in {**SECTIONS, OTHER: others}.items():
            rows = [
                (name, self.commands[name].get_short_help_str(width))
                for name in names
                if name in self.commands
            ]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
