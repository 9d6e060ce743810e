"""Trainings of all kinds as one of several processes: `ranks_training.py RANK COUNT FOLDER`.

Leaves the states of all cases in `FOLDER/RANK-COUNT.safetensors` and their histories beside it.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from tiny_training import IMAGES, TOKENIZER, trainer_of
from torch.nn import functional as F

from adatok_core.config import (
    LFQ,
    VQ,
    Adversarial,
    Distillation,
    GeneratorConfig,
    GeneratorTraining,
    LengthSampling,
    LoRA,
    ResidualVQ,
    TrainingConfig,
)
from adatok_core.generator.sequences import Vocabulary
from adatok_core.generator.training import GeneratorTrainer
from adatok_core.losses import perceptual_distance

COUNT, STOP = len(IMAGES), 7
TRAINING = TrainingConfig(steps=20, batch=8, warmup_steps=2, ema_decay=0.9, log_every=5)
# A code is dead after four steps without a draw.
REVIVING = {"dimension": 4, "usage_decay": 0.8, "revive_below": 0.5}
CHOSEN = torch.arange(COUNT) % 3 + 1
PAIRS = LengthSampling(decodes="pairs", distillation=Distillation(), weights="inverse_distortion")
SANDWICH = LengthSampling(
    decodes="sandwich", drawn=2, distillation=Distillation(of="features"), self_alignment=0.5
)
POLICY = LengthSampling(distribution="policy", share=0.5, weights="policy")
HALTING = {"encoding": "halting", "lora": LoRA(rank=0)}
SEPARATE = {"decoders": "per_budget", "lora": LoRA(rank=0)}
ADVERSARIAL = Adversarial(width=4, start_step=5, lecam=0.5)

# By name: changes of the tokenizer and of its training.
CASES = {
    "fsq": ({}, {}),
    "vq": ({"quantizer": VQ(codebook_size=32, **REVIVING)}, {}),
    "vq_micro": ({"quantizer": VQ(codebook_size=32, **REVIVING)}, {"accumulate": 2}),
    "residual_vq": ({"quantizer": ResidualVQ(entries=16, depth=2, **REVIVING)}, {}),
    "lfq": ({"quantizer": LFQ(bits=5, entropy_weight=0.1)}, {}),
    "lfq_micro": ({"quantizer": LFQ(bits=5, entropy_weight=0.1)}, {"accumulate": 2}),
    "losses": ({}, {"perceptual": 0.5, "adversarial": ADVERSARIAL, "pixel_loss": "l1"}),
    "per_batch": (
        {"latent_attention": "patches"},
        {"lengths": LengthSampling(per="batch", full_share=0.25)},
    ),
    "pairs": ({"tail": "null_vectors"}, {"lengths": PAIRS, "accumulate": 2}),
    "sandwich": ({"quantizer": VQ(codebook_size=32, **REVIVING)}, {"lengths": SANDWICH}),
    "policy": ({"tail": "dropped"}, {"lengths": POLICY, "perceptual": 0.5}),
    "halting": ({**HALTING, "quantizer": LFQ(bits=5, entropy_weight=0.1)}, {}),
    "told": ({"encoding": "told"}, {"lengths": LengthSampling(decodes="pairs")}),
    "recurrent": ({"encoding": "recurrent", "rollouts": 4}, {}),
    # A rank may have no image for a decoder, and neither may the whole batch.
    "separate": (SEPARATE, {"batch": 2}),
}


def perceptual_loss(decoded, original):
    """The distance by one map of a network with fixed weights."""
    weight = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(1))
    maps = ([F.conv2d(images, weight).relu()] for images in (decoded, original))
    return perceptual_distance(*maps)


def trainer_for(case):
    """A trainer of the named case."""
    if case == "generator":
        generator = torch.Generator().manual_seed(5)
        return GeneratorTrainer(
            GeneratorConfig(lengths="end_token", width=16, depth=1, attention_heads=2),
            GeneratorTraining(steps=20, batch=8, warmup_steps=2, log_every=5),
            vocabulary=Vocabulary(codes=11, budgets=(1, 2, 4), lengths="end_token", classes=3),
            ids=torch.randint(11, (COUNT, 4), generator=generator),
            lengths=torch.tensor([1, 2, 4]).repeat(8),
            labels=torch.randint(3, (COUNT,), generator=generator),
        )
    tokenizer, training = CASES[case]
    training = replace(TRAINING, **training)
    return trainer_of(
        replace(TOKENIZER, **tokenizer),
        training,
        perceptual_loss=perceptual_loss,
        chosen=CHOSEN if training.lengths.needs_chosen else None,
    )


def main(rank, count, folder):
    """Train all cases; go on with one of them from a state in its midst."""
    torch.set_num_threads(1)
    if count > 1:
        dist.init_process_group(
            "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=count
        )
    tensors, histories, stopped = {}, {}, None
    for case in (*CASES, "generator", "resumed"):
        trainer = trainer_for("vq" if case == "resumed" else case)
        if case == "resumed":
            trainer.load_state(stopped)
        for step in trainer.run():
            if case == "vq" and step == STOP:
                stopped = trainer.state()
        state = trainer.state()
        tensors |= {f"{case}/{name}": tensor.clone() for name, tensor in state.tensors.items()}
        histories[case] = state.history
    save_file(tensors, Path(folder) / f"{rank}-{count}.safetensors")
    (Path(folder) / f"{rank}-{count}.json").write_text(json.dumps(histories))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
