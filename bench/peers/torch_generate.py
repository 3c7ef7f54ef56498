# Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
"""PyTorch beside `attend bench --what generate`: the same decoder with a key/value cache, greedy.

  python3 torch_generate.py --threads 1,2 --dtype f32,bf16,int8 --batch 1,2,4,8,16,32,64

What PyTorch's users do to decode quickly: inference mode, one product for query, key and value, a cache that is
allocated once, SDPA, and nothing that waits for Python but the loop over layers. int8 is its dynamic quantisation of
linear layers. --compile adds torch.compile where a C++ compiler is there. Needs hb.py on PYTHONPATH."""
import argparse

import torch
import torch.nn.functional as F
from torch import nn

import hb

HIDDEN, HEADS, LAYERS, FEED_FORWARD, VOCABULARY = 512, 8, 7, 2048, 6000
CONTEXT, STEPS = 256, 32
DIM = HIDDEN // HEADS


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(HIDDEN), nn.LayerNorm(HIDDEN)
        self.input, self.output = nn.Linear(HIDDEN, 3 * HIDDEN), nn.Linear(HIDDEN, HIDDEN)
        self.up, self.down = nn.Linear(HIDDEN, FEED_FORWARD), nn.Linear(FEED_FORWARD, HIDDEN)

    def forward(self, x, cosine, sine, cache, begin: int):
        batch, length, _ = x.shape
        heads = self.input(self.attention_norm(x)).view(batch, length, 3, HEADS, DIM).permute(2, 0, 3, 1, 4)
        turned = heads[:2]
        half = torch.cat((-turned[..., DIM // 2:], turned[..., :DIM // 2]), -1)
        turned = turned * cosine + half * sine
        cache[0, :batch, :, begin:begin + length] = turned[1]
        cache[1, :batch, :, begin:begin + length] = heads[2]
        end = begin + length
        mixed = F.scaled_dot_product_attention(turned[0], cache[0, :batch, :, :end], cache[1, :batch, :, :end],
                                               is_causal=begin == 0)
        x = x + self.output(mixed.transpose(1, 2).reshape(batch, length, HIDDEN))
        return x + self.down(F.gelu(self.up(self.feed_forward_norm(x))))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, HIDDEN)
        nn.init.normal_(self.embedding.weight, 0, HIDDEN ** -0.5)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.final_norm = nn.LayerNorm(HIDDEN)
        self.logits = nn.Linear(HIDDEN, VOCABULARY)
        self.logits.weight = self.embedding.weight
        frequency = 10000 ** (-torch.arange(DIM // 2, dtype=torch.float64) / (DIM // 2))
        angle = torch.arange(CONTEXT + STEPS)[:, None] * frequency
        angle = torch.cat((angle, angle), 1)
        self.register_buffer("cosine", angle.cos().float())
        self.register_buffer("sine", angle.sin().float())

    def forward(self, tokens, caches, begin: int):
        x = self.embedding(tokens) * HIDDEN ** 0.5
        cosine, sine = self.cosine[begin:begin + tokens.shape[1]], self.sine[begin:begin + tokens.shape[1]]
        for block, cache in zip(self.blocks, caches):
            x = block(x, cosine, sine, cache, begin)
        return self.logits(self.final_norm(x[:, -1]))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--dtype", default="f32,bf16,int8")
    parser.add_argument("--batch", default="1,2,4,8,16,32,64")
    parser.add_argument("--compile", action="store_true")
    flags = parser.parse_args()
    peer = "torch-" + torch.__version__.split("+")[0]
    torch.manual_seed(0)
    for threads in map(int, flags.threads.split(",")):
        torch.set_num_threads(threads)
        for dtype in flags.dtype.split(","):
            model = Model().eval()
            kind = torch.bfloat16 if dtype == "bf16" else torch.float32
            if dtype == "bf16":
                model = model.to(kind)
            if dtype == "int8":
                model = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
            way = "compiled" if flags.compile else "eager"
            run = torch.compile(model, dynamic=True) if flags.compile else model
            parameters = sum(p.numel() for p in Model().parameters())
            for batch in map(int, flags.batch.split(",")):
                caches = torch.zeros(LAYERS, 2, batch, HEADS, CONTEXT + STEPS, DIM, dtype=kind)
                context = torch.randint(5, VOCABULARY, (batch, CONTEXT))
                with torch.inference_mode():
                    first = model(context, caches, 0).argmax(-1, keepdim=True)

                    def generate():
                        tokens = first
                        for step in range(STEPS):
                            tokens = run(tokens, caches, CONTEXT + step).argmax(-1, keepdim=True)

                    timing = hb.measure(generate)
                for key in ("ms_min", "ms_median"):
                    timing[key] = round(timing[key] / STEPS, 4)
                gflop = batch * (2 * parameters + 4.0 * LAYERS * HIDDEN * CONTEXT) / 1e9
                size = 2 if dtype == "bf16" else 4
                weights = parameters * {"f32": 4, "bf16": 2, "int8": 1}[dtype]
                read = weights + 2.0 * LAYERS * HIDDEN * (CONTEXT + (STEPS + 1) / 2) * batch * size
                hb.line(peer, f"generate_{way}_{dtype}_{batch}", threads, timing, gflop,
                        tokens_per_s=round(1e3 * batch / timing["ms_min"]),
                        tokens_per_s_median=round(1e3 * batch / timing["ms_median"]),
                        read_mb=round(read / 1e6, 1), read_gbs=round(read / timing["ms_min"] / 1e6, 2))


if __name__ == "__main__":
    main()
