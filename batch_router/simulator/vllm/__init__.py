"""A stand-in for the `vllm` executable: `python -m batch_router.simulator.vllm run-batch ...` or `... serve NAME`.

Like the real one, `run-batch` reads all rows first and refuses the file for one bad row, answers in input order,
flushes each answer, writes errors of single rows in both of the real forms, and ends on SIGINT. Like the real one, it
has an engine process that lives on when the command is killed or gets a SIGTERM.

The file that `BATCH_ROUTER_VLLM_SCENARIO` names has the scenario; there `latency.validating` is the time to load the
model, `latency.in_progress` the time for all rows of a run together (of `serve`: for 100 rows).
"""
