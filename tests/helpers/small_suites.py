"""Suites that compute within seconds, as their authors would write them."""

import yaml

TRAINING = """
training: &training
  {steps: 40, batch: 8, learning_rate: 1.0e-2, warmup_steps: 5, log_every: 10, checkpoint_every: 10}
"""
TOKENIZER = """
tokenizer: &tokenizer
  {budgets: [1, 2, 4], width: 16, encoder_depth: 1, decoder_depth: 1, attention_heads: 2}
"""
SMALL = """
suite: small
question: "Does letting the image choose\\n  beat not letting it?"
base:
  data: {kind: fluent_scenes, resolution: 32, train: 48, validation: 24}
  tokenizer:
    {<<: *tokenizer, quantizer: {kind: fsq, levels: [5, 5]}, lora: {rank: 2, alpha: 1.0}}
  training: *training
  bank: {extractor_resolution: 32, policy_images: 40, batch: 8, shard: 16}
arms:
  - name: elastic
  - name: policy
    set:
      policy: {candidates: [1, 2, 4], steps: 30, batch: 16, log_every: 10}
      policy.weighting: {kind: constraint, mean_budget: 2}
    sweep: {policy.seed: [0, 1]}
  - name: diverged
    set: {training.learning_rate: 1.0e+30}
    sweep: {evaluation.seed: [0, 1]}
  - name: fixed_at_mean
    set: {tokenizer.lora.rank: 0, tokenizer.budgets: {mean_budget_of: policy}}
"""
METHOD = """
suite: method
question: Does the harness do what the switches of the method say?
reference_arm: plain
base:
  data: {kind: fluent_scenes, resolution: 32, train: 48, validation: 24, calibration: 16}
  tokenizer:
    <<: *tokenizer
    quantizer: {kind: residual_vq, entries: 4, depth: 2, dimension: 6}
    lora: {rank: 0}
  training: *training
  bank: {extractor_resolution: 32, batch: 8, shard: 16}
arms:
  - name: plain
  - name: heads
    set:
      finetuning.trainable: heads
      finetuning.lora: {rank: 2, alpha: 1.0}
      finetuning.training: {<<: *training, steps: 20}
  - name: policy
    set:
      bank.budgets: [1, 2, 3, 4]
      bank.policy_perceptual: true
      policy: {candidates: [1, 3, 4], steps: 30, batch: 16, log_every: 10}
      policy.reward.perceptual_share: 0.5
      policy.weighting: {kind: constraint, mean_budget: 3}
    sweep: {policy.input: [quantized, pixels]}
"""
CODESIGN = """
suite: codesign
question: Does training at the policy's lengths pay?
base:
  data: {kind: fluent_scenes, resolution: 32, train: 48, validation: 24, calibration: 16}
  tokenizer: {<<: *tokenizer, quantizer: {kind: fsq, levels: [5]}, lora: {rank: 0}}
  training: {<<: *training, steps: 20}
  bank: {extractor_resolution: 32, batch: 8, shard: 16, policy_images: 40}
arms:
  - name: chosen
    set:
      policy: &policy
        candidates: [1, 2, 4]
        steps: 30
        batch: 16
        log_every: 10
        weighting: {kind: constraint, mean_budget: 2}
      codesign:
        rounds: 2
        training: {<<: *training, steps: 20, lengths: {distribution: policy}}
  - name: told
    set:
      tokenizer.encoding: told
      codesign:
        start: scratch
        training: {<<: *training, steps: 20, lengths: {distribution: policy, share: 1.0}}
        policy: {<<: *policy, candidates: [1, 4], input: quantized}
  - name: fixed
    set:
      tokenizer.budgets: {mean_budget_of: chosen}
      codesign: {training: {<<: *training, steps: 20}}
"""
GENERATION = """
suite: generation
question: What do the samples of a generator come to?
base:
  data: {kind: fluent_scenes, resolution: 32, train: 160, validation: 24}
  tokenizer:
    {<<: *tokenizer, quantizer: {kind: fsq, levels: [5, 5]}, lora: {rank: 2, alpha: 1.0}}
  training: *training
  bank: {extractor_resolution: 32, policy_images: 120, batch: 40, shard: 80}
  generation:
    generator: &shape {width: 16, depth: 1, attention_heads: 2}
    training: {<<: *training, steps: 30}
    images: 20
    batch: 8
arms:
  - name: fixed
    set: {generation.budget: 2, generation.labels: [0, 2]}
  - name: adaptive
    set:
      policy: &policy
        {candidates: [1, 2, 4], steps: 30, batch: 16, weighting: {kind: constraint, mean_budget: 2}}
      generation.generator: {<<: *shape, lengths: end_token}
      generation.classes: objects
      generation.sampling: {guidance: 1.5}
  - name: policy speed
    set:
      policy: *policy
      generation: null
      throughput:
        generator: *shape
        lengths: {kind: policy}
        classes: 5
        images: 12
        batches: [2, 4]
        guidance: [1.0, 2.0]
        repeats: 2
  - name: trained speed
    set:
      policy: *policy
      generation.generator: {<<: *shape, lengths: end_token}
      generation.classes: objects
      throughput:
        lengths: {kind: model}
        images: 12
        batches: [4]
        modes: [padded, refilled]
        pixels: false
        repeats: 1
"""


def suite(text):
    """The content of a suite; it may name `*training` and `*tokenizer`."""
    content = yaml.safe_load(TRAINING + TOKENIZER + text)
    return {key: value for key, value in content.items() if key not in ("training", "tokenizer")}
