"""What names may consist of that become part of a path, a variable or a key of the store."""

import re
from typing import Final

#: Of a batch.
BATCH_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")

#: Of a provider; it is a folder of the storage.
PROVIDER: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")

#: Of a key. Each makes a variable of its own: `team-a` makes `OPENAI_API_KEY_TEAM_A`. Keys themselves, which begin with
#: `sk-`, would end up in the state.
CREDENTIAL: Final = re.compile(r"(?!sk-)[a-z0-9-]{1,64}")

#: Of a queue of the broker.
QUEUE: Final = re.compile(r"[A-Za-z0-9_.-]{1,100}")

#: Of a job at a provider: random, so that no other deployment has it.
LABEL: Final = re.compile(r"[0-9a-f]{16}")
