import pytest
import torch

from adatok_core.encoders.one_pass import latents_apart


@pytest.mark.parametrize("patch_size", [2, 4])
def test_a_patch_of_the_image_is_a_patch_of_the_sequence(tokenizer_of, images, patch_size):
    encoder = tokenizer_of(patch_size=patch_size).encoder
    side = 16 // patch_size
    seen = []
    encoder.embed.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    row, column = 1, side - 1
    changed = images.clone()
    rows = slice(row * patch_size, (row + 1) * patch_size)
    columns = slice(column * patch_size, (column + 1) * patch_size)
    changed[:, :, rows, columns] += 1
    encoder(images)
    encoder(changed)
    moved = (seen[0] != seen[1]).any(-1).any(0)
    assert moved.nonzero().flatten().tolist() == [row * side + column]
    torch.testing.assert_close(seen[0].amin(), images.amin() * 2 - 1)


@pytest.mark.parametrize("latent_attention", ["full", "patches"])
def test_latents_are_the_queries_that_saw_the_image(tokenizer_of, images, latent_attention):
    encoder = tokenizer_of(latent_attention=latent_attention).encoder
    for corner in ((0, 0), (15, 15)):
        changed = images.clone()
        changed[:, :, corner[0], corner[1]] += 0.5
        assert ((encoder(changed) - encoder(images)).abs() > 1e-6).any(-1).all()
    with torch.no_grad():
        encoder.transformer.blocks[0].attention.out.weight.zero_()
        before = encoder(images)
        assert torch.equal(before[0], before[1])  # without attention they see nothing
        encoder.queries[2] += torch.linspace(-1, 1, 16)
        moved = (encoder(images) != before).any(-1).any(0)
    assert moved.nonzero().flatten().tolist() == [2]


def test_apart_queries_see_the_patches_and_themselves():
    assert latents_apart(2, 3).int().tolist() == [
        [1, 0, 1, 1, 1],
        [0, 1, 1, 1, 1],
        [0, 0, 1, 1, 1],
        [0, 0, 1, 1, 1],
        [0, 0, 1, 1, 1],
    ]


@pytest.mark.parametrize("i", [0, 3, 6])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_with_attention_to_patches_a_query_makes_its_own_token_only(
    tokenizer_of, images, i, precision
):
    model = tokenizer_of(latent_attention="patches", encoder_depth=3)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        ids, latents = model.encode(images)
        model.encoder.queries[i] += 5 * torch.linspace(-1, 1, 16)
        other_ids, other_latents = model.encode(images)
    moved = (other_latents != latents).any(-1).any(0)
    assert moved.nonzero().flatten().tolist() == [i]
    assert (other_ids != ids).any(0).nonzero().flatten().tolist() == [i]


def test_with_full_attention_a_query_reaches_all_tokens(tokenizer_of, images):
    encoder = tokenizer_of(latent_attention="full", encoder_depth=3).encoder
    with torch.no_grad():
        before = encoder(images)
        encoder.queries[3] += 5 * torch.linspace(-1, 1, 16)
        assert (encoder(images) != before).any(-1).any(0).all()


@pytest.mark.parametrize("latent_attention", ["full", "patches"])
def test_the_mask_is_no_part_of_the_weights(tokenizer_of, latent_attention):
    assert "encoder.mask" not in tokenizer_of(latent_attention=latent_attention).state_dict()
