"""A reward program: reads one request a line, answers each with one line, in order (docs/tasks.md).

To use it: language: (…, program: (command: ["python3", "reward_program.py"], timeout_secs: 10)).
"""
import json
import sys

for line in sys.stdin:
    request = json.loads(line)
    # Here: a completion is worth 1 if it is an even number of at most two digits.
    text = request["completion"].strip()
    good = text.isdecimal() and len(text) <= 2 and int(text) % 2 == 0
    reply = {"id": request["id"], "reward": 1.0 if good else 0.0, "label": text if good else None}
    print(json.dumps(reply), flush=True)
