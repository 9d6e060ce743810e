import json
import shutil

import numpy as np
import pytest

from bench.errors import UserError
from bench.files import write_json
from bench.graph.nodes import upstream
from bench.records.record import _RESULT_FIELDS, parse_record
from bench.run.recomputing import Recomputing
from bench.run.verification import GROUPS, _stages_of, verify
from bench.stages import STAGES
from bench.store.integrity import describe, read_description
from bench.store.store import Store


@pytest.fixture
def store(small_run, tmp_path):
    """A copy of the store, to be changed."""
    return Store(shutil.copytree(small_run.store.root, tmp_path / "store"))


def artifact(store, record, stage):
    (key,) = (one.key for one in record.stages if one.stage == stage)
    return store.artifact(stage, key)


def snapshot(store):
    return {path: path.stat().st_mtime_ns for path in store.root.rglob("*")}


def groups(found):
    return {one.name: [difference.path for difference in one.differing] for one in found.checked}


def edited(record, edit):
    content = record.plain()
    edit(content)
    return parse_record(json.dumps(content), where="edited")


def test_every_result_is_of_a_group_or_named_as_left_out():
    named = {part for parts in GROUPS.values() for part in parts}
    assert set(_RESULT_FIELDS) - named == {"images", "gallery", "histories", "codesign"}


def test_the_numbers_of_a_policy_stand_and_edited_ones_do_not(small_run):
    record, before = small_run.record("policy: seed 0"), snapshot(small_run.store)
    found = verify(record, small_run.store)
    assert found.stands
    counts = {one.name: one.count for one in found.checked}
    assert {"settings", "metrics", "controls", "codebook", "protocol", "speeds", "images"} < set(
        counts
    )
    assert counts["metrics"] == len(record.metrics.root) - 1
    assert any("policy_time_share (measured" in line for line in found.left_out)

    def edit(content):
        content["metrics"]["mse"] = np.nextafter(content["metrics"]["mse"], 0)
        content["metrics"]["fd_lite0"] *= 1 - 2e-6
        content["metrics"]["rfid"] = 1.0
        content["metrics"]["policy_time_share"] = 0.0
        content["controls"]["shuffled"]["psnr"] -= 0.5
        del content["controls"]["oracle"]
        content["codebook"]["usage_by_position"][1] = 1.0
        content["protocol"]["versions"]["torch"] = "1.0"
        content["throughput"]["encode_images_per_second"]["median"] = 1e9

    found = verify(edited(record, edit), small_run.store)
    assert not found.stands
    assert {name: paths for name, paths in groups(found).items() if paths} == {
        "metrics": ["mse", "fd_lite0", "rfid"],
        "controls": ["shuffled.psnr", "oracle"],
        "codebook": ["codebook.usage_by_position[1]"],
        "protocol": ["protocol.versions.torch"],
        "speeds": ["encode_images_per_second.median"],
    }
    assert snapshot(small_run.store) == before


def test_a_curve_that_was_edited_does_not_stand(small_run):
    def edit(content):
        content["curve"][1]["ssim"] += 0.1
        content["trade_offs"]["oracle"][3][1] *= 2

    found = verify(edited(small_run.record("elastic"), edit), small_run.store)
    assert groups(found)["curve"] == ["curve[1].ssim", "trade_offs.oracle[3][1]"]
    assert [one.name for one in found.checked if one.differing] == ["curve"]


@pytest.mark.parametrize(
    "edit",
    [
        lambda content: content["settings"]["training"].update(steps=4000),
        lambda content: content["settings"]["tokenizer"]["lora"].update(rank=8),
        lambda content: content["stages"][-1].update(key="0" * 16),
        lambda content: content.update(images="evaluation/0/images.parquet"),
        lambda content: content.update(cell_key="0" * 16),
    ],
)
def test_settings_that_are_not_those_of_the_stages_do_not_stand(small_run, edit):
    record = edited(small_run.record("policy: seed 0"), edit)
    if record.stages[-1].key == "0" * 16:  # Whether another version made it cannot be told.
        with pytest.raises(UserError, match="lead to other stages here"):
            verify(record, small_run.store)
        return
    found = verify(record, small_run.store)
    assert [one.name for one in found.checked if one.differing] == ["settings"]
    assert "all numbers" in found.left_out[0]


def test_deep_finds_a_bank_that_its_tokenizer_does_not_give(small_run, store):
    """The bank's errors and hashes are edited, and the record with them."""
    record = small_run.record("fixed_at_mean")
    bank = artifact(store, record, "bank")
    np.save(bank / "mse.npy", np.load(bank / "mse.npy") / 2)
    np.save(bank / "ids.npy", np.load(bank / "ids.npy").astype(np.int32))  # As of old.
    about = read_description(bank)
    describe(bank, {name: value for name, value in about.items() if name != "files"})
    last, _ = _stages_of(record, store)
    result = Recomputing(store, store.root / "again", record.suite, {}).result(last)
    forged = edited(record, lambda content: content.update(result))
    assert forged.metrics.value("mse") == pytest.approx(record.metrics.value("mse") / 2)

    assert [one.name for one in verify(forged, store).checked if one.differing] == []
    found = groups(verify(forged, store, deep=True))
    assert "mse" in found["metrics"]
    (arrays,) = (paths for name, paths in found.items() if name.startswith("bank "))
    assert arrays == ["mse.npy"]


def test_deep_the_true_record_stands_without_its_bank(small_run, store):
    record = small_run.record("fixed_at_mean")
    shutil.rmtree(artifact(store, record, "bank"))
    with pytest.raises(UserError, match=r"bank/\w+/stage.json is missing"):
        verify(record, store)
    found = verify(record, store, deep=True)
    assert found.stands
    assert any(line.startswith("the arrays of bank") for line in found.left_out)
    assert any("encode_images_per_second" in line for line in found.left_out)
    assert "speeds" not in groups(found)


def test_a_per_image_table_that_is_another_does_not_stand(small_run, store):
    record = small_run.record("fixed_at_mean")
    evaluation = artifact(store, record, "evaluation")
    shutil.copy(small_run.artifact("policy: seed 0") / "images.parquet", evaluation)
    found = verify(record, store)
    assert any("the per-image table (images.parquet is damaged" in one for one in found.left_out)
    about = read_description(evaluation)
    describe(evaluation, {name: value for name, value in about.items() if name != "files"})
    assert any(path.startswith("rows.") for path in groups(verify(record, store))["images"])


def test_what_cannot_be_computed_is_refused(small_run, store):
    record = small_run.record("policy: seed 0")
    with pytest.raises(UserError, match="the cell has no result"):
        verify(small_run.record("diverged: seed 0"), store)
    with (artifact(store, record, "policy") / "policy.safetensors").open("r+b") as file:
        file.write(b"damaged")
    with pytest.raises(UserError, match=r"policy\.safetensors is damaged"):
        verify(record, store)
    bank = small_run.artifact("elastic", "bank")
    copied = store.artifact("bank", bank.name)
    older = {**read_description(bank), "version": STAGES["bank"].version - 1}
    describe(copied, {name: value for name, value in older.items() if name != "files"})
    with pytest.raises(UserError, match=r"its bank is of version 2, and this .* version 3; run"):
        verify(record, store)


def test_a_device_that_is_not_here_is_refused(small_run, store, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)

    def edit(content):
        for stage in content["stages"]:
            stage["resources"]["device"] = "cuda" if stage["stage"] == "bank" else "cpu"

    record = edited(small_run.record("fixed_at_mean"), edit)
    with pytest.raises(UserError, match="bank: device cuda"):
        verify(record, store, deep=True)


def test_samples_are_drawn_again_and_speeds_refused(generation_run):
    record = generation_run.record("fixed")

    def edit(content):
        content["generation"]["by_length"][0]["gfd_lite0"] += 1
        content["metrics"]["nats_per_token"] += 1
        content["metrics"]["chd"] += 1
        content["code_histograms"]["by_position"][1]["distance"] = 0.0

    found = verify(edited(record, edit), generation_run.store)
    assert {name: paths for name, paths in groups(found).items() if paths} == {
        "metrics": ["nats_per_token", "chd"],
        "samples": ["by_length[0].gfd_lite0"],
        "code histograms": ["by_position[1].distance"],
    }
    with pytest.raises(UserError, match="speeds are measured, not computed"):
        verify(generation_run.record("trained speed"), generation_run.store)


def test_a_record_from_before_a_diagnostic_is_held_against_the_rest(generation_run):
    record = generation_run.record("fixed")

    def edit(content):
        content["stages"] = [one for one in content["stages"] if one["stage"] != "code_histograms"]

    last, extras = _stages_of(edited(record, edit), generation_run.store)
    assert (last.stage, extras) == ("samples", ())
    assert [one.stage for one in _stages_of(record, generation_run.store)[1]] == ["code_histograms"]


def test_a_folder_of_images_need_not_be_there_any_more(small_run, store, vary_record):
    """Its content is known by the manifest in the store."""
    record = small_run.record("elastic")
    settings = json.loads(json.dumps(record.settings))
    settings["data"] = {
        **{"kind": "image_folder", "path": "/no/such/folder", "resolution": 32},
        **{"calibration_fraction": 0.0},
    }
    about = {"version": 1, "config": {"fingerprint": "f"}, "inputs": {}}
    manifest = store.artifact("manifest", "0" * 16)
    manifest.mkdir(parents=True)
    write_json(manifest / "x.json", {})
    describe(manifest, {"stage": "manifest", "key": "0" * 16, **about})
    cost = {**record.plain()["stages"][0], "stage": "manifest", "key": "0" * 16}
    folder = vary_record(record, settings=settings, stages=[cost, *record.plain()["stages"]])
    last, _ = _stages_of(folder, store)
    named = [node.config["fingerprint"] for node in upstream(last) if node.stage == "manifest"]
    assert named == ["f"]
    shutil.rmtree(manifest)
    with pytest.raises(UserError, match="manifest of its images is not in"):
        _stages_of(folder, store)
