"""`python -m batch_router.simulator.vllm`: runs as the `vllm` executable would."""

from .command import main

main()
