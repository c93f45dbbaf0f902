"""Answers of OpenAI's endpoints to results."""
