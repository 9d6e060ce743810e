"""The generator over token ids: model, sequences, sampling, training, decoding."""
