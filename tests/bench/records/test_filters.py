import pytest

from bench.errors import UserError
from bench.records.filters import conditions, values_of


def settings(policy=None, rank=0, seed=0):
    return {
        "tokenizer": {"budgets": [1, 2], "lora": {"rank": rank}, "tail": "hidden"},
        "training": {"seed": seed, "learning_rate": 0.001, "on": True},
        "policy": policy,
    }


@pytest.fixture
def records(made_record):
    policy = {"seed": 1, "weighting": {"kind": "fixed"}, "prefix": None}
    return [
        made_record(arm="elastic", settings=settings()),
        made_record(arm="elastic", settings=settings(rank=8)),
        made_record(arm="chosen", settings=settings(policy=policy)),
    ]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ((), [0, 1, 2]),
        (("lora.rank=8",), [1]),
        (("tokenizer.lora.rank=8.0",), [1]),
        (("rank=0",), [0, 2]),
        (("rank=0", "arm=elastic"), [0]),
        (("budgets=[1, 2]",), [0, 1, 2]),
        (("budgets=[1]",), []),
        (("policy=null",), [0, 1]),
        (("prefix=null",), [2]),
        (("weighting.kind=fixed",), [2]),
        (("learning_rate=1e-3",), [0, 1, 2]),
        (("on=true",), [0, 1, 2]),
        (("on=1",), []),
        (("training.seed=false",), []),
        (("tail=hidden",), [0, 1, 2]),
        (("tail=1e-3",), []),
        (("lora={rank: 8}",), [1]),
    ],
)
def test_what_holds(records, texts, expected):
    asked = conditions(texts, records)
    found = [n for n, one in enumerate(records) if all(c.holds(one) for c in asked)]
    assert found == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lora.rnk=8", "--where lora.rnk: no setting is called so; did you mean 'lora.rank'?"),
        ("tokenzer.lora.rank=8", "did you mean 'tokenizer.lora.rank'?"),
        ("seed=0", "is the end of training.seed and of policy.seed; give more of it"),
        ("ank=8", "no setting"),
        ("rank", "write PATH=VALUE"),
        ("=8", "write PATH=VALUE"),
        ("rank=[8", "not valid YAML"),
    ],
)
def test_what_is_refused(records, text, expected):
    with pytest.raises(UserError) as error:
        conditions([text], records)
    assert expected in str(error.value)


def test_a_whole_path_is_itself_though_others_end_so(made_record):
    one = made_record(settings={"rank": 1, "lora": {"rank": 2}})
    (condition,) = conditions(["rank=1"], [one])
    assert condition.path == "rank"


def test_values_are_told_once_each(records):
    assert values_of("tokenizer.lora.rank", records) == [0, 8]
    assert values_of("policy.seed", records) == [1]
