"""What is true: the store, its contract, and the table of states."""
