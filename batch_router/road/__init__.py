"""The road of a batch: the kernel that claims, runs and commits one step, and the steps."""
