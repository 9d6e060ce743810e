import hashlib
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as parquet
import pytest
import torch
from PIL import Image

from adatok_core.build import build_tokenizer
from adatok_core.config import TokenizerConfig
from adatok_core.tokenizer import to_float, to_uint8
from bench.artifacts.bank import Bank
from bench.data.decoding import load_image
from bench.data.image_set import read_image_set
from bench.errors import UserError
from bench.models import translation
from bench.models.export import export_cell
from bench.models.exported_model import ExportedModel
from bench.models.token_files import TokenFile
from bench.models.translation import decode_file, encode_folder

BATCH = 8  # Of the small suite's bank: another one may move the last bit of a latent.


@pytest.fixture(scope="session")
def exported(small_run, tmp_path_factory):
    """`exported(label)`: the folder of that cell of the small run."""
    folder = tmp_path_factory.mktemp("exported")

    def exported(label):
        out = folder / label.replace(" ", "_")
        if not out.exists():
            export_cell(f"small:{label}", small_run.store, out)
        return out

    return exported


@pytest.fixture
def model(exported):
    return ExportedModel.load(exported("policy: seed 0"))


@pytest.fixture
def validation(small_run, tmp_path):
    """The validation images of the small run as PNG files, in their order."""
    images = read_image_set(small_run.artifact("elastic", "bank/images"))
    folder = tmp_path / "validation"
    for n, pixels in enumerate(images.pixels):
        path = folder / f"half{n // 12}" / f"{n:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.transpose(1, 2, 0)).save(path)
    return folder


@pytest.fixture
def photos(tmp_path):
    """Images of several sizes and formats, and one that is torn."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "photos"
    (folder / "train").mkdir(parents=True)
    (folder / "val").mkdir()
    for name, size in {
        "wide.png": (40, 90),
        "train/small.webp": (9, 7),
        "val/tall.jpg": (80, 33),
        "wide.jpg": (50, 50),
    }.items():
        Image.fromarray(rng.integers(0, 255, (*size, 3), np.uint8)).save(folder / name)
    (folder / "torn.png").write_bytes((folder / "wide.png").read_bytes()[:200])
    return folder


def bank_of(small_run, label="policy: seed 0"):
    return Bank.read(small_run.artifact(label, "bank"))


def reconstructions(model, ids, budget):
    """As the bank makes them: a batch at a time, through the merged decoder."""
    decoder = model.tokenizer.merged_decoder(budget)
    with torch.inference_mode():
        return torch.cat(
            [
                to_uint8(decoder(model.tokenizer.quantizer.decode(part[:, :budget])))
                for part in torch.from_numpy(ids.astype(np.int64)).split(BATCH)
            ]
        ).numpy()


def decoded(folder, names):
    images = []
    for name in names:
        with Image.open(folder / name) as image:
            images.append(np.asarray(image).transpose(2, 0, 1))
    return np.stack(images)


@pytest.mark.parametrize("budget", [1, 2, 4])
def test_there_and_back_is_the_banks_reconstruction_bit_for_bit(
    small_run, model, validation, tmp_path, budget
):
    tokens, out = tmp_path / "t.parquet", tmp_path / "out"
    encode_folder(validation, model, tokens, budget=budget, batch=BATCH)
    assert decode_file(tokens, model, out, batch=BATCH) == 24
    bank = bank_of(small_run)
    ids = np.array(bank.array("ids"))
    rows = list(TokenFile.open(tokens).rows())
    assert [row.tokens for row in rows] == ids[:, :budget].tolist()
    images = decoded(out, [row.path for row in rows])
    np.testing.assert_array_equal(images, reconstructions(model, ids, budget))
    # The same errors as the bank's, so the same pixels as it measured.
    originals = read_image_set(small_run.artifact("elastic", "bank/images")).pixels
    errors = ((images / 255.0 - originals / 255.0) ** 2).mean((1, 2, 3))
    column = bank.about["budgets"].index(budget)
    np.testing.assert_allclose(errors, bank.per_budget("mse")[:, column], rtol=1e-5)


def test_the_policy_chooses_as_it_was_judged(small_run, model, validation, tmp_path):
    tokens, out = tmp_path / "t.parquet", tmp_path / "out"
    encoded = encode_folder(validation, model, tokens, batch=BATCH)
    judged = pd.read_parquet(small_run.artifact("policy: seed 0") / "images.parquet")
    table = parquet.read_table(tokens).to_pandas()
    assert table["budget"].tolist() == judged["budget"].tolist()
    assert table["sha256"].tolist() == judged["sha256"].tolist()
    assert encoded.budgets == Counter(judged["budget"])
    ids = np.array(bank_of(small_run).array("ids"))
    assert [list(t) for t in table["tokens"]] == [
        ids[n, :k].tolist() for n, k in enumerate(table["budget"])
    ]
    decode_file(tokens, model, out, batch=BATCH)
    images = decoded(out, table["path"])
    for budget in set(table["budget"]):
        mine = (table["budget"] == budget).to_numpy()
        np.testing.assert_array_equal(images[mine], reconstructions(model, ids, budget)[mine])


def test_images_are_read_as_the_data_stage_reads_them(model, photos, tmp_path):
    tokens = tmp_path / "t.parquet"
    encode_folder(photos, model, tokens, budget=2, max_unreadable=0.2)
    rows = list(TokenFile.open(tokens).rows())
    paths = ["train/small.webp", "val/tall.jpg", "wide.jpg", "wide.png"]
    assert [row.path for row in rows] == paths
    for row in rows:
        pixels = load_image(photos / row.path, resolution=32)
        assert row.sha256 == hashlib.sha256(pixels.tobytes()).hexdigest()
        content = (photos / row.path).read_bytes()
        assert row.file_sha256 == hashlib.sha256(content).hexdigest()
    out = tmp_path / "out"
    decode_file(tokens, model, out)
    names = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png"))
    assert names == ["train/small.png", "val/tall.png", "wide.jpg.png", "wide.png"]


@pytest.mark.parametrize("batch", [1, 2, 64])
def test_too_many_unreadable_files_leave_nothing(model, photos, tmp_path, batch):
    with pytest.raises(UserError) as error:
        encode_folder(photos, model, tmp_path / "t.parquet", budget=2, batch=batch)
    assert "of 5 images are unreadable" in str(error.value)
    assert "torn.png" in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_unreadable_files_are_told(model, photos, tmp_path):
    encoded = encode_folder(
        photos, model, tmp_path / "t.parquet", budget=2, batch=1, max_unreadable=0.2
    )
    assert [file.path for file in encoded.unreadable] == ["torn.png"]
    assert encoded.budgets == {2: 4}


def test_progress_is_told_file_by_file(model, photos, tmp_path):
    told = []

    def started(total):
        told.append(total)
        return told.append

    tokens = tmp_path / "t.parquet"
    encode_folder(photos, model, tokens, budget=2, max_unreadable=0.2, started=started)
    assert told == [5, 1, 1, 1, 1, 1]
    told.clear()
    decode_file(tokens, model, tmp_path / "out", started=started)
    assert told == [4, 1, 1, 1, 1]


def test_no_more_than_a_batch_is_at_hand(model, validation, tmp_path, monkeypatch):
    """The largest part of images that is encoded or decoded at once."""
    sizes = []
    encode, decoded = ExportedModel.encode, ExportedModel._decoded

    def counted_encode(self, pixels, budget):
        sizes.append(len(pixels))
        return encode(self, pixels, budget)

    def counted_decode(self, queue, decoders):
        sizes.append(len(queue))
        return decoded(self, queue, decoders)

    monkeypatch.setattr(ExportedModel, "encode", counted_encode)
    monkeypatch.setattr(ExportedModel, "_decoded", counted_decode)
    encode_folder(validation, model, tmp_path / "t.parquet", batch=5)
    assert sizes == [5, 5, 5, 5, 4]
    sizes.clear()
    decode_file(tmp_path / "t.parquet", model, tmp_path / "out", batch=5)
    assert max(sizes) <= 5
    assert sum(sizes) == 24


def test_tokens_of_another_model_are_refused(exported, model, validation, tmp_path):
    encode_folder(validation, model, tmp_path / "t.parquet", budget=2)
    other = ExportedModel.load(exported("fixed_at_mean"))
    with pytest.raises(UserError, match="tokens of another model"):
        decode_file(tmp_path / "t.parquet", other, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    # The policy is another one, the tokenizer is not.
    sibling = ExportedModel.load(exported("policy: seed 1"))
    assert decode_file(tmp_path / "t.parquet", sibling, tmp_path / "out") == 24


def test_an_existing_folder_is_refused(model, validation, tmp_path):
    encode_folder(validation, model, tmp_path / "t.parquet", budget=2)
    out = tmp_path / "out"
    decode_file(tmp_path / "t.parquet", model, out)
    (tmp_path / "empty").mkdir()
    for there in (out, tmp_path / "empty"):
        before = sorted(there.rglob("*"))
        with pytest.raises(UserError, match="is there already"):
            decode_file(tmp_path / "t.parquet", model, there)
        assert sorted(there.rglob("*")) == before


def test_a_decoding_that_fails_leaves_nothing(model, validation, tmp_path, monkeypatch):
    encode_folder(validation, model, tmp_path / "t.parquet", budget=2)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(translation.Image.Image, "save", full)
    with pytest.raises(UserError, match="No space left"):
        decode_file(tmp_path / "t.parquet", model, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.parquet", "validation"]


def test_budgets_that_cannot_be_had_are_refused(exported, model):
    assert model.check_budget(None) is None
    assert model.check_budget(2) is None
    assert "never drew" in model.check_budget(3)
    with pytest.raises(UserError, match=r"--budget 5: is outside 1\.\.4"):
        model.check_budget(5)
    without = ExportedModel.load(exported("elastic"))
    with pytest.raises(UserError, match="give --budget"):
        without.check_budget(None)


def test_what_the_tokens_are_of(model):
    source = model.source(None)
    weights = (model.folder / "tokenizer.safetensors").read_bytes()
    assert source.tokenizer_sha256 == hashlib.sha256(weights).hexdigest()
    assert source.policy_sha256 is not None
    assert (source.codebook_size, source.max_tokens, source.resolution) == (25, 4, 32)
    assert model.source(2) == replace(source, policy_sha256=None, budget=2)


def test_a_changed_or_foreign_folder_is_refused(exported, tmp_path):
    with pytest.raises(UserError, match="is no exported model"):
        ExportedModel.load(tmp_path)
    folder = exported("elastic")
    (tmp_path / "SHA256SUMS").write_text((folder / "SHA256SUMS").read_text())
    for path in folder.iterdir():
        content = path.read_bytes()
        if path.name == "tokenizer.safetensors":
            content = content[:-1] + bytes([content[-1] ^ 1])
        if path.name != "SHA256SUMS":
            (tmp_path / path.name).write_bytes(content)
    with pytest.raises(UserError, match=r"tokenizer\.safetensors: is not the file"):
        ExportedModel.load(tmp_path)


def test_tokens_that_are_not_nested_are_encoded_for_their_budget(tmp_path):
    config = TokenizerConfig(
        budgets=(1, 2, 4), width=16, encoder_depth=1, decoder_depth=1, attention_heads=2,
        encoding="told",
    )  # fmt: skip
    torch.manual_seed(0)
    tokenizer = build_tokenizer(config, image_size=32).eval()
    with torch.no_grad():
        for parameter in tokenizer.encoder.parameters():  # What says "kept" starts at nothing.
            parameter.add_(torch.randn_like(parameter))
    model = ExportedModel("here", tokenizer, None, "0" * 64)
    pixels = np.random.default_rng(0).integers(0, 255, (8, 3, 32, 32), np.uint8)
    with torch.inference_mode():
        expected = tokenizer.encode(to_float(torch.from_numpy(pixels)), 2)[0].numpy()
        prefix = tokenizer.encode(to_float(torch.from_numpy(pixels)))[0][:, :2].numpy()
    np.testing.assert_array_equal(np.stack(model.encode(pixels, 2)), expected)
    assert (expected != prefix).any()
