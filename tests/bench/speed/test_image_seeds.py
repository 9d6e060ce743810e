import torch

from bench.speed.image_seeds import image_seed


def test_images_and_seeds_have_random_numbers_of_their_own():
    def first(seed, index):
        return torch.rand(2, generator=torch.Generator().manual_seed(image_seed(seed, index)))

    drawn = {tuple(first(seed, index).tolist()) for seed in range(4) for index in range(50)}
    drawn |= {tuple(first(2**31 - 1, index).tolist()) for index in range(50)}
    assert len(drawn) == 250
