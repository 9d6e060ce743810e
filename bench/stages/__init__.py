"""The stages, each a function of a `StageContext` that fills its work folder.

Raise a stage's version when the same configuration means something else than before.
"""

STAGE_VERSIONS = {
    "manifest": 1,
    "data": 1,
    "tokenizer": 2,
    "bank": 3,
    "policy": 2,
    "png_sizes": 1,
    "evaluation": 4,
}
