# Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
"""Sliding-window attention in PyTorch, which has no kernel for it: scaled_dot_product_attention with a dense mask.

Runs beside the peers' programs (it uses their harness, hb): --window W --shape BxHxNxD --threads 1,2
"""
import argparse

import hb
import torch

parser = argparse.ArgumentParser()
parser.add_argument("--window", type=int, required=True)
parser.add_argument("--shape", required=True)
parser.add_argument("--threads", default="1,2")
arguments = parser.parse_args()

shape = hb.Shape(arguments.shape)
torch.manual_seed(0)
query, key, value = (torch.randn(shape.B, shape.H, shape.N, shape.D) for _ in range(3))
distance = torch.arange(shape.N)[:, None] - torch.arange(shape.N)[None, :]
for causal in (False, True):
    seen = distance.le(arguments.window) & distance.ge(0 if causal else -arguments.window)
    mask = torch.zeros(shape.N, shape.N).masked_fill_(~seen, float("-inf"))
    gflop = 4.0 * shape.B * shape.H * int(seen.sum()) * shape.D / 1e9
    name = f"fwd_sdpa_f32_{'causal' if causal else 'full'}_window{arguments.window}_{shape.s}"
    for threads in arguments.threads.split(","):
        torch.set_num_threads(int(threads))
        with torch.inference_mode():
            timing = hb.measure(
                lambda: torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask))
        hb.line("torch-" + torch.__version__.split("+")[0], name, int(threads), timing, gflop)
