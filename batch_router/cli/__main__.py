"""`python -m batch_router.cli`."""

from . import main

main()
