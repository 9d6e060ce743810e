"""Settings that are refused, and what is said of them, as a suite's author reads and writes it."""

import re

import yaml


def refusals(text, **named):
    """Pairs `(settings, message)` of text: lines of YAML without braces, then an indented message.

    Settings may name others, `*fixed` of `fixed="{budget: 4}"`. A line after `#` is a heading.
    """
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    cases = re.findall(r"((?:^\S.*\n)+)((?:^ .*\n?)+)", "\n".join(lines), re.MULTILINE)
    anchors = "".join(f"&{name} {value}, " for name, value in named.items())
    return [
        (yaml.safe_load(f"[{anchors}{{{given}}}]")[-1], " ".join(said.split()))
        for given, said in cases
    ]
