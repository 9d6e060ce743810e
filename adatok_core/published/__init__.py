"""Published tokenizers, in an implementation of our own, loaded from the files people download."""
