"""The project's workers, who are people."""

OWNER = "the shop"
