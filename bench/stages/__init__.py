"""The stages, each a function of a `StageContext` that fills its work folder.

Raise a stage's version when the same configuration means something else than before.
"""

STAGE_VERSIONS = {"data": 1, "tokenizer": 1, "bank": 1, "policy": 1, "evaluation": 1}
