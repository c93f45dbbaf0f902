"""How rows come in: the dialects' readers, the check of each row, the search for repeated ids."""
