import pytest
import torch
from safetensors.torch import save_file

from adatok_core.published.checkpoint import read_checkpoint
from adatok_core.published.llamagen import llamagen
from adatok_core.published.titok import titok


class Code:
    """Runs a command when it is unpickled without care."""

    def __reduce__(self):
        return print, ("ran",)


TENSORS = {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(4)}


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (TENSORS, "w.bin"),
        ({"model": TENSORS, "steps": 1}, "w.pt"),
        ({"state_dict": {"model": TENSORS}}, "w.ckpt"),
        ({f"module._orig_mod.{name}": value for name, value in TENSORS.items()}, "w.pth"),
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_torch_files_are_read_however_nested(tmp_path, content, name, zipped):
    torch.save(content, tmp_path / name, _use_new_zipfile_serialization=zipped)
    tensors = read_checkpoint(tmp_path / name).tensors
    assert {name: value.tolist() for name, value in tensors.items()} == {
        name: value.tolist() for name, value in TENSORS.items()
    }


def test_a_folder_gives_its_one_weight_file(tmp_path):
    save_file(TENSORS, tmp_path / "other.safetensors")
    assert read_checkpoint(tmp_path).path.name == "other.safetensors"
    torch.save(TENSORS, tmp_path / "more.bin")
    with pytest.raises(ValueError, match=r"holds more.bin, other.safetensors; name the file"):
        read_checkpoint(tmp_path)
    torch.save(TENSORS, tmp_path / "pytorch_model.bin")
    assert read_checkpoint(tmp_path).path.name == "pytorch_model.bin"


def test_code_in_a_pickle_is_refused_and_not_run(tmp_path, capsys):
    torch.save({"model": TENSORS, "hook": Code()}, tmp_path / "w.bin")
    with pytest.raises(ValueError, match=r"w.bin: its pickle asks for \S*print, which could run"):
        read_checkpoint(tmp_path / "w.bin")
    assert capsys.readouterr().out == ""


def damage(path, kind):
    data = path.read_bytes()
    path.write_bytes({"cut": data[: len(data) // 2], "noise": bytes(range(1, 256))}[kind])


@pytest.mark.parametrize("kind", ["cut", "noise"])
@pytest.mark.parametrize("name", ["w.bin", "w.safetensors", "old.pt"])
def test_damaged_files_are_refused_in_a_line(tmp_path, name, kind):
    path = tmp_path / name
    if name.endswith("safetensors"):
        save_file(TENSORS, path)
    else:
        torch.save(TENSORS, path, _use_new_zipfile_serialization=name == "w.bin")
    damage(path, kind)
    with pytest.raises(ValueError, match=name) as raised:
        read_checkpoint(path)
    assert "\n" not in str(raised.value)


def test_what_is_no_checkpoint_is_named(tmp_path):
    pointer = tmp_path / "pointer.bin"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\n")
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"\x89PNG")
    number = tmp_path / "number.pt"
    torch.save(torch.ones(2), number)
    empty = tmp_path / "empty.pt"
    torch.save({"model": {"steps": 3}}, empty)
    for path, said in (
        (pointer, "is a text, not the weights"),
        (picture, "is neither a torch file"),
        (number, "holds a Tensor and no tensors by name"),
        (empty, "holds no tensors by name"),
    ):
        with pytest.raises(ValueError, match=said):
            read_checkpoint(path)
    with pytest.raises(FileNotFoundError, match="download the weights to it"):
        read_checkpoint(tmp_path / "absent.bin")


def test_lacking_further_and_misshapen_tensors_are_told_in_one_line(filled, layouts, saved):
    tensors = filled(layouts["titok"]())
    del tensors["encoder.transformer.1.ln_2.bias"], tensors["pixel_decoder.conv_in.bias"]
    tensors["decoder.class_embedding"] = torch.zeros(1, 7)
    tensors["quantize.embedding.weight"] = torch.zeros(32, 5, dtype=torch.int64)
    for number in range(5):
        tensors[f"extra.{number}"] = torch.zeros(1)
    with pytest.raises(ValueError, match="not the weights of TiTok") as raised:
        titok(saved(tensors))
    said = str(raised.value)
    assert "2 missing: encoder.transformer.1.ln_2.bias, pixel_decoder.conv_in.bias;" in said
    assert "2 of another shape: " in said
    assert "decoder.class_embedding is [1, 7] float32, must be [1, 128] float" in said
    assert "5 not known: extra.0, extra.1, extra.2 and 2 more" in said
    assert said.endswith("the names look like TiTok or One-D-Piece")
    assert "\n" not in said


def test_every_name_of_a_file_is_needed(filled, layouts, saved):
    repeated = ("transformer.0.", "up.2.", "up.0.")
    for stages in (1, 2):
        tensors = filled(layouts["titok"](stages=stages))
        for name in tensors:
            if any(part in name for part in repeated) or (stages == 1 and "transformer" in name):
                continue
            rest = {other: value for other, value in tensors.items() if other != name}
            with pytest.raises(ValueError, match=name.replace(".", r"\.")):
                titok(saved(rest))


def test_each_family_refuses_the_others_and_says_which_it_is(filled, layouts, saved):
    files = {name: saved(filled(shapes()), f"{name}.bin") for name, shapes in layouts.items()}
    with pytest.raises(ValueError, match=r"weights of TiTok: .*look like LlamaGen's VQ tokenizer"):
        titok(files["llamagen"])
    with pytest.raises(ValueError, match=r"of LlamaGen's .*look like TiTok or One-D-Piece"):
        llamagen(files["titok"])
    with pytest.raises(ValueError, match=r"of MaskGIT's VQGAN: .*look like LlamaGen's"):
        titok(files["titok"], pixel_decoder=files["llamagen"])
    with pytest.raises(ValueError, match="names are of no known family"):
        titok(saved(TENSORS))
