"""One module for each verb: what `incamera VERB` does, step by step."""
