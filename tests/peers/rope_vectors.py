"""Writes tests/vectors/rope.json: inverse frequencies and attention factors of transformers for configurations.

Run with a Python that has transformers; prints to standard output. transformers computes in single precision.
"""
import copy
import json

import torch
import transformers
from transformers import AutoConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

LLAMA = {"model_type": "llama", "vocab_size": 64, "hidden_size": 256, "intermediate_size": 48, "num_hidden_layers": 1,
         "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64, "rms_norm_eps": 1e-5, "hidden_act": "silu",
         "max_position_embeddings": 4096, "tie_word_embeddings": True}
QWEN2 = {**LLAMA, "model_type": "qwen2", "head_dim": 128, "max_position_embeddings": 32768, "rope_theta": 1000000.0}
QWEN3 = {**QWEN2, "model_type": "qwen3", "max_position_embeddings": 40960}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024}

CASES = [
    # As the model cards of Qwen2.5 and Qwen3 say it.
    ("qwen2.5, old spelling", {**QWEN2, "rope_scaling": {
        "type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}}),
    ("qwen3, rope_type", {**QWEN3, "rope_scaling": {
        "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}}),
    ("new spelling", {**QWEN2, "rope_theta": None, "rope_parameters": {**YARN, "rope_theta": 500000.0}}),
    ("not truncated", {**LLAMA, "rope_theta": 10000.0, "rope_scaling": {**YARN, "truncate": False}}),
    ("attention factor given", {**LLAMA, "rope_theta": 10000.0, "rope_scaling": {**YARN, "attention_factor": 0.75}}),
    ("mscale", {**LLAMA, "rope_theta": 10000.0, "rope_scaling": {
        **YARN, "factor": 40.0, "mscale": 1.0, "mscale_all_dim": 0.707}}),
    ("mscale alone", {**LLAMA, "rope_theta": 10000.0, "rope_scaling": {**YARN, "factor": 40.0, "mscale": 0.707}}),
    ("betas", {**LLAMA, "rope_theta": 10000.0, "rope_scaling": {**YARN, "beta_fast": 8.0, "beta_slow": 2.5}}),
    ("betas of nothing", {**LLAMA, "rope_theta": 10000.0, "rope_scaling": {**YARN, "beta_fast": None, "beta_slow": 0}}),
    ("factor below one", {**LLAMA, "rope_theta": 10000.0, "rope_scaling": {**YARN, "factor": 0.5}}),
    ("factor from the contexts", {**LLAMA, "rope_theta": 10000.0, "rope_scaling": {**YARN, "factor": None}}),
    ("no original context", {**LLAMA, "rope_theta": 10000.0, "rope_scaling": {"rope_type": "yarn", "factor": 2.0}}),
    ("original context beside", {**LLAMA, "rope_theta": 10000.0, "original_max_position_embeddings": 512,
                                 "rope_scaling": {**YARN, "factor": 8.0}}),
    ("one frequency wide", {**LLAMA, "rope_theta": 10000.0, "rope_scaling": {
        **YARN, "beta_fast": 1.0, "beta_slow": 1.0, "truncate": False}}),
    ("short original context", {**LLAMA, "rope_theta": 10000.0, "rope_scaling": {
        **YARN, "original_max_position_embeddings": 4}}),
    ("long original context", {**LLAMA, "rope_theta": 3.0, "rope_scaling": {
        **YARN, "original_max_position_embeddings": 1000000}}),
    ("dynamic", {**LLAMA, "rope_theta": 10000.0, "rope_scaling": {"type": "dynamic", "factor": 4.0}}),
    ("linear", {**LLAMA, "rope_theta": 10000.0, "rope_scaling": {"type": "linear", "factor": 2.5}}),
    ("llama 3", {**LLAMA, "rope_theta": 500000.0, "rope_scaling": {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192}}),
]

transformers.logging.set_verbosity_error()
rows = []
for name, given in CASES:
    given = {key: value for key, value in given.items() if value is not None}
    # transformers writes into what it is given.
    config = AutoConfig.for_model(**copy.deepcopy(given))
    kind = config.rope_parameters["rope_type"]
    frequencies, attention = ROPE_INIT_FUNCTIONS[kind](config, "cpu")
    rows.append({"name": name, "config": given, "inv_freq": frequencies.tolist(), "attention_factor": attention})
print("{\"origin\": \"transformers %s, torch %s, tests/peers/rope_vectors.py\",\n\"cases\": [" % (
    transformers.__version__, torch.__version__))
print(",\n".join(json.dumps(row) for row in rows) + "\n]}")
