"""The stages, each a function of a `StageContext` that fills its work folder.

Raise a stage's version when the same configuration means something else than before.
"""

STAGE_VERSIONS = {"data": 1, "tokenizer": 2, "bank": 2, "policy": 2, "evaluation": 3}
