import pytest

from bench.records.sections.codesign import codesigned
from bench.run.verification import verify
from bench.stages.lengths import read_lengths
from bench.tracker.stages import Stages, labelled


def by_name(record):
    return {one.name: one for one in record.codesign.trainings}


def test_a_record_tells_the_rounds_and_what_they_took_together(codesign_run):
    record = codesign_run.record("chosen")
    rounds = by_name(record)
    assert list(rounds) == ["tokenizer", "codesign_1", "codesign_2"]
    for one in rounds.values():
        assert (one.steps, one.images_seen, one.decoder_passes) == (20, 160, 160)
    whole = record.codesign
    assert (whole.steps, whole.images_seen, whole.decoder_passes) == (60, 480, 480)
    assert rounds["tokenizer"].mean_tokens is rounds["tokenizer"].shares is None
    for name, path in (("codesign_1", "tokenizer/start"), ("codesign_2", "tokenizer")):
        lengths = read_lengths(codesign_run.artifact("chosen", f"{path}/lengths"))
        assert rounds[name].mean_tokens == lengths.mean()
        assert rounds[name].shares == {str(k): (lengths == k).mean() for k in {*lengths.tolist()}}


@pytest.mark.parametrize(
    ("encoding", "lengths", "result", "passes"),
    [
        ("one_pass", {}, {}, 160),
        ("halting", {}, {}, 320),
        ("one_pass", {"decodes": "sandwich", "drawn": 2}, {}, 640),
        ("one_pass", {}, {"decoder_passes": 7}, 7),
    ],
)
def test_what_older_trainings_decoded_follows_from_their_settings(
    encoding, lengths, result, passes
):
    training = {
        **{"stage": "tokenizer", "key": "k", "inputs": {}},
        "config": {
            "tokenizer": {"encoding": encoding},
            "training": {"steps": 20, "lengths": lengths},
        },
        "result": {"images_seen": 160, **result},
    }
    found = codesigned([training])
    assert found["decoder_passes"] == found["trainings"][0]["decoder_passes"] == passes


def test_a_continuation_without_a_policy_has_no_shares(codesign_run):
    rounds = by_name(codesign_run.record("fixed"))
    assert list(rounds) == ["tokenizer", "codesign_1"]
    assert all(one.shares is None for one in rounds.values())
    (source,) = (r for r in codesign_run.result.records if r.label == "chosen")
    (budget,) = codesign_run.record("fixed").config.tokenizer.budgets
    assert budget == round(source.metrics.number("mean_tokens"))


def test_each_training_has_a_history_of_its_own(codesign_run):
    chosen, told = (codesign_run.record(label) for label in ("chosen", "told"))
    assert set(chosen.histories) == {
        *("tokenizer", "codesign_1", "codesign_2"),
        *("codesign_1_policy", "codesign_2_policy", "policy"),
    }
    own = codesign_run.spec("chosen", "policy")
    described = codesign_run.store.description("policy", own.key)["result"]
    assert [row.plain() for row in chosen.histories["policy"]] == described["history"]
    # A cell of a curve has no policy of its own.
    assert set(told.histories) == {"tokenizer", "codesign_1", "codesign_1_policy"}
    labels = labelled(Stages(codesign_run.store).of(chosen))
    assert [one for one in labels if one.startswith("tokenizer")] == [
        *("tokenizer", "tokenizer.codesign", "tokenizer.codesign.2"),
    ]


def test_a_record_without_rounds_has_no_part_of_them(small_run):
    assert "codesign" not in small_run.content("elastic")
    assert small_run.record("elastic").codesign is None


@pytest.mark.parametrize("label", ["chosen", "fixed"])
def test_numbers_after_rounds_stand(codesign_run, label):
    assert verify(codesign_run.record(label), codesign_run.store).stands
