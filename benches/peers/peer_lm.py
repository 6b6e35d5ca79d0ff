#!/usr/bin/env python3
"""Peer baseline: one policy-gradient step (REINFORCE/RLOO + KL) of a Llama model in
PyTorch eager + transformers, f32, CPU.

    peer_lm.py [--config tiny|small|smol|answer|embedded|all] [--reps N] [--threads N] [--lora R] [--share] [--json FILE]

Random weights (timing only).  Parts of a step, each reported as a median in ms:

  sample      hand-written decode loop with KV cache, temperature 1
  generate    the same batch by transformers' generate() (second figure)
  ref         log-probs of the sampled tokens under the frozen reference, no grad
  fwd_bwd     policy forward, REINFORCE + k3-KL loss, backward (gradients zeroed before)
  adamw       torch.optim.AdamW step (best of the foreach / fused implementations)

With --share the prompt (the same for the whole batch) is run once: its KV cache is expanded
over the batch for sampling, for the reference and (with autograd through it) for training.

Loss per batch, with a_b the leave-one-out advantage of completion b, lp/ref the token
log-probs of the policy / reference:
  L = mean_b[-a_b * sum_t lp_bt] + beta * mean_bt[exp(ref-lp) - (ref-lp) - 1]
"""
import argparse
import json
import statistics
import time

import torch
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM

BETA = 0.05
CONFIGS = {
    # d, layers, heads, kv heads, ffn, vocab, prompt tokens, sampled tokens, batch, tied
    "tiny": dict(d=128, layers=4, heads=4, kv=4, ffn=384, vocab=64, prompt=1, new=64, batch=64, tied=False),
    "small": dict(d=256, layers=6, heads=8, kv=8, ffn=768, vocab=64, prompt=1, new=64, batch=64, tied=False),
    "smol": dict(d=576, layers=30, heads=9, kv=3, ffn=1536, vocab=49152, prompt=40, new=4, batch=32, tied=True),
    "answer": dict(d=576, layers=30, heads=9, kv=3, ffn=1536, vocab=49152, prompt=40, new=2, batch=32, tied=True),
    "embedded": dict(d=96, layers=3, heads=4, kv=4, ffn=288, vocab=96, prompt=24, new=6, batch=64, tied=True),
}


def build(c, seed):
    torch.manual_seed(seed)
    cfg = LlamaConfig(
        hidden_size=c["d"], num_hidden_layers=c["layers"], num_attention_heads=c["heads"],
        num_key_value_heads=c["kv"], intermediate_size=c["ffn"], vocab_size=c["vocab"],
        max_position_embeddings=8192, tie_word_embeddings=c["tied"], rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 100000.0},
        attn_implementation="sdpa", bos_token_id=None, eos_token_id=None, pad_token_id=0,
    )
    return LlamaForCausalLM(cfg).float()


def expand_cache(cache, b):
    cache.batch_repeat_interleave(b)
    return cache


@torch.inference_mode()
def sample(model, prompt, new, share=False):
    """Decode `new` tokens after `prompt` [B, P]; returns [B, P + new]."""
    b = prompt.shape[0]
    cache, x, out = DynamicCache(config=model.config), prompt[:1] if share else prompt, [prompt]
    for i in range(new):
        logits = model(input_ids=x, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1]
        if share and i == 0:
            logits, cache = logits.expand(b, -1), expand_cache(cache, b)
        x = torch.multinomial(torch.softmax(logits, -1), 1)
        out.append(x)
    return torch.cat(out, 1)


@torch.inference_mode()
def generate(model, prompt, new):
    return model.generate(input_ids=prompt, attention_mask=torch.ones_like(prompt), do_sample=True,
                          top_k=0, top_p=1.0, temperature=1.0, min_new_tokens=new, max_new_tokens=new)


def token_logps(model, ids, new, share=False):
    """Log-probs of the last `new` tokens of ids [B, T] -> [B, new]; the prompt's logits are not formed."""
    b, t = ids.shape
    if share:
        cache = DynamicCache(config=model.config)
        first = model(input_ids=ids[:1, :t - new], past_key_values=cache, use_cache=True, logits_to_keep=1).logits
        rest = model(input_ids=ids[:, t - new:-1], past_key_values=expand_cache(cache, b), use_cache=True).logits
        logits = torch.cat([first.expand(b, -1, -1), rest], 1)
    else:
        logits = model(input_ids=ids[:, :-1], use_cache=False, logits_to_keep=new).logits
    chosen = torch.gather(logits, -1, ids[:, -new:, None]).squeeze(-1)
    return chosen - torch.logsumexp(logits, -1)


def loss_fn(model, ids, new, adv, ref, share=False):
    lp = token_logps(model, ids, new, share)
    diff = ref - lp
    return (-(adv[:, None] * lp).sum(1)).mean() + BETA * (diff.exp() - diff - 1).mean()


def med(f, reps, warm=2):
    for _ in range(warm):
        f()
    ts = []
    for _ in range(reps):
        t = time.perf_counter()
        f()
        ts.append((time.perf_counter() - t) * 1e3)
    return statistics.median(ts)


def with_lora(model, r):
    from peft import LoraConfig, get_peft_model
    return get_peft_model(model, LoraConfig(r=r, lora_alpha=2 * r, target_modules=["q_proj", "v_proj"], lora_dropout=0.0))


def run(name, reps, lora, share):
    c = CONFIGS[name]
    big = name in ("smol", "answer")
    reps = max(3, reps // 3) if big else reps
    ref, policy = build(c, 1).eval(), build(c, 0)
    ref.requires_grad_(False)
    params = sum(p.numel() for p in policy.parameters())
    if lora:
        policy = with_lora(policy, lora)
    train = [p for p in policy.parameters() if p.requires_grad]
    B, P, N = c["batch"], c["prompt"], c["new"]
    prompt = torch.randint(1, c["vocab"], (1, P)).expand(B, P).contiguous()
    rewards = torch.randn(B)
    adv = rewards - (rewards.sum() - rewards) / (B - 1)
    r = {"config": name, "params": params, "trained": sum(p.numel() for p in train),
         "threads": torch.get_num_threads(), "lora": lora, "share": share, "batch": B, "prompt": P, "new": N}
    warm = 1 if big else 2
    r["sample"] = med(lambda: sample(policy, prompt, N, share), reps, warm)
    if not lora and not share:
        r["generate"] = med(lambda: generate(policy, prompt, N), max(2, reps // 2), 1)
    ids = sample(policy, prompt, N).clone()
    with torch.inference_mode():
        r["ref"] = med(lambda: token_logps(ref, ids, N, share), reps, warm)
    with torch.no_grad():
        ref_lp = token_logps(ref, ids, N)

    def fwd_bwd():
        for p in train:
            p.grad = None
        loss_fn(policy, ids, N, adv, ref_lp, share).backward()
    r["fwd_bwd"] = med(fwd_bwd, reps, warm)
    r["fwd_only"] = med(lambda: loss_fn(policy, ids, N, adv, ref_lp, share), reps, 1)
    kinds = {}
    for kind in ("foreach", "fused"):
        opt = torch.optim.AdamW(train, lr=1e-5, **{kind: True})
        kinds[kind] = med(opt.step, reps, warm)
        del opt
    r["adamw_kinds"] = kinds
    r["adamw"] = min(kinds.values())
    r["step"] = r["sample"] + r["ref"] + r["fwd_bwd"] + r["adamw"]
    r["sample_tok_s"] = B * N / r["sample"] * 1e3
    r["train_tok_s"] = B * (P + N - 1) / r["fwd_bwd"] * 1e3
    return r


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--config", default="all", choices=[*CONFIGS, "all"])
    a.add_argument("--reps", type=int, default=9)
    a.add_argument("--threads", type=int, default=2)
    a.add_argument("--lora", type=int, default=0)
    a.add_argument("--share", action="store_true")
    a.add_argument("--json")
    a = a.parse_args()
    torch.set_num_threads(a.threads)
    rows = []
    for name in CONFIGS if a.config == "all" else [a.config]:
        r = run(name, a.reps, a.lora, a.share)
        rows.append(r)
        print(" ".join(f"{k}={v:.1f}" if isinstance(v, float) else f"{k}={v}" for k, v in r.items()), flush=True)
    if a.json:
        json.dump({"torch": torch.__version__, "rows": rows}, open(a.json, "w"), indent=1)


if __name__ == "__main__":
    main()
