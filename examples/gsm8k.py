"""Turn the GSM8K questions into requests: `python examples/gsm8k.py gsm8k_test.jsonl > requests.jsonl`.

Each line of the input is `{"question": ..., "answer": ...}`; its number becomes the `custom_id`, so that results and
answers can be laid side by side.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

PROMPT = "Solve the problem step by step. End with a line '#### ' and the number."


def requests(questions: Path) -> Iterator[dict[str, object]]:
    """One request per question."""
    with questions.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            question = msgspec.json.decode(line)["question"]
            yield {"custom_id": f"gsm8k-{number}", "system_prompt": PROMPT, "prompt": question}


if __name__ == "__main__":
    for request in requests(Path(sys.argv[1])):
        sys.stdout.buffer.write(msgspec.json.encode(request) + b"\n")
