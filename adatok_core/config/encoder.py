"""Declarations of the encoders; their settings are the tokenizer's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from adatok_core.choices import Built, NameOf
from adatok_core.registry import Registry


@dataclass(frozen=True, kw_only=True)
class EncoderChoice(Built):
    """`build(config, image_size=px)` gives an `adatok_core.encoders.Encoder`.

    `nested`: the tokens of a shorter budget are the first of a longer one's. `tokenizer` builds the
    tokenizer around it, with the same arguments.
    """

    about: str
    nested: bool = False
    tokenizer: str = "adatok_core.tokenizer:ElasticTokenizer"


ENCODERS: Registry[EncoderChoice] = Registry(
    "encoding", group="adatok_bench.encoders", expects=EncoderChoice
)
ENCODERS.add(
    "one_pass",
    EncoderChoice(
        about="Patches and N learned queries attend to each other; only the queries are kept",
        build="adatok_core.encoders.one_pass:OnePass",
        nested=True,
    ),
)
ENCODERS.add(
    "grid",
    EncoderChoice(
        about="A ViT without queries: what becomes of each patch is its token, rows first",
        build="adatok_core.encoders.grid:Grid",
        nested=True,
    ),
)
ENCODERS.add(
    "told",
    EncoderChoice(
        about="Each query carries a learned vector that says whether its token is kept or dropped",
        build="adatok_core.encoders.told:Told",
    ),
)
ENCODERS.add(
    "recurrent",
    EncoderChoice(
        about="Roll-out r appends N / R queries to the latents so far and reads the patches again",
        build="adatok_core.encoders.recurrent:Recurrent",
    ),
)
ENCODERS.add(
    "halting",
    EncoderChoice(
        about="A target token beside patches and queries; a halting logit for each latent",
        build="adatok_core.encoders.halting:Halting",
        tokenizer="adatok_core.halting:HaltingTokenizer",
    ),
)

Encoding = Annotated[str, NameOf(ENCODERS)]
