from types import SimpleNamespace

from bench.compare.elastic_arms import differences_in_recipe, recipe, series_of

TRAINING = {"steps": 2000, "learning_rate": 1e-3, "lengths": {"distribution": "candidates"}}
AT_CHOICES = {**TRAINING, "lengths": {"distribution": "policy"}}


def made(*, codesign=None, policy=None, **training):
    settings = {
        "data": {"train": 8, "seed": 3},
        "tokenizer": {"budgets": [1, 2], "width": 64},
        "training": {**TRAINING, "seed": 5, **training},
        "codesign": codesign,
        "policy": policy,
    }

    def setting(path):
        value = settings
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        return value

    return SimpleNamespace(setting=setting)


def rounds(training, *, number=1, policy=None):
    return {"rounds": number, "start": "warm", "training": training, "policy": policy}


def test_a_plain_continuation_is_a_longer_training_and_a_round_at_choices_is_another_recipe():
    once = series_of(made())
    longer = {**TRAINING, "steps": 500, "learning_rate": 1e-4, "seed": 9}
    assert series_of(made(steps=4000)) == once
    assert series_of(made(codesign=rounds(longer, number=2))) == once
    chosen = series_of(made(codesign=rounds(AT_CHOICES), policy={"steps": 7}))
    assert chosen != once
    assert series_of(made(codesign=rounds(AT_CHOICES, number=3), policy={"steps": 7})) != once
    assert series_of(made(learning_rate=2e-3)) != once


def test_the_cells_policy_belongs_to_the_tokenizer_where_its_choices_are_trained_at():
    def of(codesign, **policy):
        return recipe(made(codesign=codesign, policy=policy))

    assert of(None, width=1) == of(None, width=2)
    own = rounds(AT_CHOICES)
    assert of(own, width=1) != of(own, width=2)
    assert of(own, width=1, seed=0) == of(own, width=1, seed=1)
    given = rounds(AT_CHOICES, policy={"width": 3})
    assert of(given, width=1) == of(given, width=2)
    assert of(rounds(TRAINING), width=1) == of(rounds(TRAINING), width=2)


def test_cost_tuning_and_lengths_are_no_differences_between_recipes():
    tuned = made(steps=9, learning_rate=1.0, lengths={"distribution": "all"}, log_every=3)
    assert differences_in_recipe(made(), tuned) == 0
    assert differences_in_recipe(made(), made(perceptual=0.5, pixel_loss="l1")) == 2
