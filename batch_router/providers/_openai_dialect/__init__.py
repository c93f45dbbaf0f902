"""The wire format of OpenAI's endpoints, which vLLM shares: bodies, batch rows, answers. Pure."""
