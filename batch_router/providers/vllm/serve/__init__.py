"""The engine `vllm serve`: a server, here or elsewhere, to which rows go over HTTP."""
