"""Loads folders that Modescope wrote with transformers and peft, and prints what they make of them.

Standard input: one JSON object per line {"folder", "adapter" or null, "text", "tokens", "messages" or null}.
Standard output: one JSON object per line {"tokens", "decoded", "log_probs", "chat" or null, "problems"}.
"""
import json
import sys

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

for line in sys.stdin:
    case = json.loads(line)
    model, info = AutoModelForCausalLM.from_pretrained(
        case["folder"], dtype=torch.float32, output_loading_info=True
    )
    problems = [key for kind in ("missing_keys", "unexpected_keys", "mismatched_keys") for key in map(str, info[kind])]
    if case["adapter"]:
        model = PeftModel.from_pretrained(model, case["adapter"])
    tokenizer = AutoTokenizer.from_pretrained(case["folder"])
    tokens = torch.tensor([case["tokens"]])
    with torch.no_grad():
        rows = torch.log_softmax(model.eval()(tokens).logits[0].double(), dim=-1)
    chat = None
    if case["messages"]:
        chat = tokenizer.apply_chat_template(case["messages"], tokenize=False, add_generation_prompt=True)
    print(json.dumps({
        "tokens": tokenizer(case["text"])["input_ids"],
        "decoded": tokenizer.decode(case["tokens"]),
        "log_probs": [rows[i, t].item() for i, t in enumerate(case["tokens"][1:])],
        "chat": chat,
        "end": tokenizer.eos_token_id,
        "problems": problems,
    }), flush=True)
