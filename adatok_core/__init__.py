"""The method: elastic tokenizer, budget policy and their training. Needs torch and numpy only."""
