# Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
"""Translates with a run that attend trained, in PyTorch: the same weights, search and batches.

  python3 torch_translate.py RUN SOURCES OUT --beam 4 --threads 1 [--batch 64] [--dtype bf16] [--rounds 3]

RUN      folder with config.json, model.safetensors and spm.model (model.kind transformer, positions relative, GELU)
SOURCES  one sentence a line
OUT      the translations, one a line

What a careful user of PyTorch writes: inference mode, a cache that is moved with the beam, cross-attention keys made
once per sentence and shared by its hypotheses, search in tensor operations, sentences sorted by length, finished ones
taken out of the batch. Loading is not timed. Prints one JSON line. Needs sentencepiece."""
import argparse
import json
import math
import pathlib
import struct
import time

import sentencepiece
import torch
import torch.nn.functional as F

PAD, UNKNOWN, MASK, START, END = range(5)


def load_weights(path):
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    body = bytearray(data[8 + size:])
    weights = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        weights[name] = torch.frombuffer(body, dtype=torch.float32, count=(end - begin) // 4,
                                         offset=begin).view(entry["shape"]).clone()
    return weights


def bucket(distance, buckets, reach, causal):
    """Raffel et al. 2020: exact when near, logarithmic when far."""
    first = 0
    if not causal:
        buckets //= 2
        first = buckets if distance > 0 else 0
    steps = -min(distance, 0) if causal else abs(distance)
    exact = buckets // 2
    if steps < exact:
        return first + steps
    share = math.log(steps / exact) / math.log(reach / exact)
    return first + min(exact + int(share * (buckets - exact)), buckets - 1)


class Translator:
    def __init__(self, run, dtype):
        config = json.loads((run / "config.json").read_text())
        self.model, self.decode = config["model"], config["decode"]
        if self.model["kind"] != "transformer" or self.model["positions"] != "relative" \
                or self.model["activation"] != "gelu" or not self.model["tied_output"]:
            raise SystemExit("torch_translate.py: only tied GELU transformers with relative positions")
        self.weights = load_weights(run / "model.safetensors")
        self.pieces = sentencepiece.SentencePieceProcessor(model_file=str(run / "spm.model"))
        self.max_source = config["text"]["max_length"]
        self.hidden, self.heads = self.model["hidden_size"], self.model["heads"]
        self.layers = self.model["layers"]
        self.decoder_layers = self.model["decoder_layers"] or self.layers
        self.dim = self.hidden // self.heads
        self.embedding = self.weights["embedding.weight"]
        longest = max(self.max_source + 1, int(self.decode["max_ratio"] * self.max_source) + self.decode["max_extra"])
        reach = self.model["relative_distance"]
        for side, causal in (("encoder", False), ("decoder", True)):
            rows = torch.tensor([bucket(max(-reach, min(reach, d)), 32, reach, causal)
                                 for d in range(-longest, longest + 1)])
            for layer in range(self.layers if side == "encoder" else self.decoder_layers):
                name = f"{side}.block_{layer}.attention."
                self.weights[name + "distance"] = self.weights[name + "relative.table"][rows].t().contiguous()
                self.join(name, ("query", "key", "value"))
                if side == "decoder":
                    self.join(f"{side}.block_{layer}.cross_attention.", ("key", "value"))
        self.longest = longest
        self.dtype = dtype
        self.weights = {name: weight.to(dtype) for name, weight in self.weights.items()}
        self.embedding = self.weights["embedding.weight"]

    def join(self, name, parts):
        for kind in ("weight", "bias"):
            self.weights[name + "joined." + kind] = torch.cat([self.weights[f"{name}{part}.{kind}"] for part in parts])

    def linear(self, x, name):
        return F.linear(x, self.weights[name + ".weight"], self.weights[name + ".bias"])

    def norm(self, x, name):
        return F.layer_norm(x, (self.hidden,), self.weights[name + ".weight"], self.weights[name + ".bias"])

    def split(self, x, parts):
        batch, length, _ = x.shape
        return x.view(batch, length, parts, self.heads, self.dim).permute(2, 0, 3, 1, 4)

    def join_heads(self, x):
        return x.transpose(1, 2).reshape(x.shape[0], x.shape[2], self.hidden)

    def feed_forward(self, x, block):
        inner = F.gelu(self.linear(self.norm(x, block + "feed_forward_norm"), block + "feed_forward.up"))
        return x + self.linear(inner, block + "feed_forward.down")

    def encode(self, tokens, hidden_keys):
        x = self.embedding[tokens] * math.sqrt(self.hidden)
        length = tokens.shape[1]
        at = torch.arange(length)
        at = at[None, :] - at[:, None] + self.longest
        for layer in range(self.layers):
            block = f"encoder.block_{layer}."
            query, key, value = self.split(
                self.linear(self.norm(x, block + "attention_norm"), block + "attention.joined"), 3)
            bias = self.weights[block + "attention.distance"][:, at][None] + hidden_keys
            mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
            x = x + self.linear(self.join_heads(mixed), block + "attention.output")
            x = self.feed_forward(x, block)
        return self.norm(x, "encoder.final_norm")

    def step(self, tokens, caches, memory, hidden_keys, position, beam):
        """tokens [sentences * beam] -> logits [sentences * beam, vocabulary]"""
        x = (self.embedding[tokens] * math.sqrt(self.hidden))[:, None]
        for layer in range(self.decoder_layers):
            block = f"decoder.block_{layer}."
            query, key, value = self.split(
                self.linear(self.norm(x, block + "attention_norm"), block + "attention.joined"), 3)
            caches[layer][0][:, :, position] = key[:, :, 0]
            caches[layer][1][:, :, position] = value[:, :, 0]
            distance = self.weights[block + "attention.distance"]
            bias = distance[:, self.longest - position:self.longest + 1][None, :, None]
            mixed = F.scaled_dot_product_attention(query, caches[layer][0][:, :, :position + 1],
                                                   caches[layer][1][:, :, :position + 1], attn_mask=bias)
            x = x + self.linear(self.join_heads(mixed), block + "attention.output")
            query = self.linear(self.norm(x, block + "cross_norm"), block + "cross_attention.query")
            query = query.view(-1, beam, self.heads, self.dim).transpose(1, 2)
            mixed = F.scaled_dot_product_attention(query, memory[layer][0], memory[layer][1], attn_mask=hidden_keys)
            mixed = mixed.transpose(1, 2).reshape(-1, 1, self.hidden)
            x = x + self.linear(mixed, block + "cross_attention.output")
            x = self.feed_forward(x, block)
        return F.linear(self.norm(x[:, 0], "decoder.final_norm"), self.embedding)

    @torch.inference_mode()
    def translate(self, sentences, beam):
        """Token ids of each of a batch of sources -> those of its translation."""
        count, vocabulary = len(sentences), self.embedding.shape[0]
        lengths = torch.tensor([len(one) + 1 for one in sentences])
        source = torch.full((count, int(lengths.max())), PAD)
        for row, one in zip(source, sentences):
            row[:len(one) + 1] = torch.tensor([START] + one)
        hidden_keys = torch.zeros(source.shape, dtype=self.dtype).masked_fill(
            torch.arange(source.shape[1]) >= lengths[:, None], -math.inf)[:, None, None]
        encoded = self.encode(source, hidden_keys)
        memory = [self.split(self.linear(encoded, f"decoder.block_{layer}.cross_attention.joined"), 2)
                  for layer in range(self.decoder_layers)]
        limits = (self.decode["max_ratio"] * (lengths - 1)).long() + self.decode["max_extra"]
        longest, penalty = int(limits.max()), self.decode["length_penalty"]
        caches = [torch.empty(2, count * beam, self.heads, longest, self.dim, dtype=self.dtype)
                  for _ in range(self.decoder_layers)]
        results, numbers = [None] * count, torch.arange(count)
        tokens = torch.full((count * beam,), START)
        written = torch.full((count, beam, longest), PAD)
        scores = torch.full((count, beam), -math.inf)
        scores[:, 0] = 0
        ended, ended_scores = written.clone(), torch.full((count, beam), -math.inf)
        forbidden = torch.tensor([PAD, UNKNOWN, MASK, START])
        for position in range(longest):
            logits = self.step(tokens, caches, memory, hidden_keys, position, beam).float()
            logits[:, forbidden] = -math.inf  # what may not be said has no probability either
            total = scores[:, :, None] + F.log_softmax(logits, -1).view(-1, beam, vocabulary)
            values, places = total.flatten(1).topk(2 * beam)
            rows, chosen = places // vocabulary, places % vocabulary
            grown = written.gather(1, rows[:, :, None].expand(-1, -1, longest))
            grown[:, :, position] = chosen
            length = (position + 1) ** penalty
            at_limit = (position + 1 >= limits)[:, None]
            ends = (chosen == END) & (torch.arange(2 * beam) < beam)
            live_rank = (chosen == END).long().sort(dim=1, stable=True).indices[:, :beam]
            cut = torch.zeros_like(ends).scatter(1, live_rank, True) & at_limit
            new_scores = torch.where(ends | cut, values / length, -math.inf)
            all_scores = torch.cat((ended_scores, new_scores), 1)
            ended_scores, best = all_scores.topk(beam)
            ended = torch.cat((ended, grown), 1).gather(1, best[:, :, None].expand(-1, -1, longest))
            scores = values.gather(1, live_rank)
            written = grown.gather(1, live_rank[:, :, None].expand(-1, -1, longest))
            tokens = chosen.gather(1, live_rank)
            rows = rows.gather(1, live_rank)
            worst = ended_scores[:, -1]
            done = at_limit[:, 0] | (torch.isfinite(worst) & (scores[:, 0] / length <= worst))
            if done.any():
                for at in done.nonzero()[:, 0].tolist():
                    results[numbers[at]] = [t for t in ended[at, 0].tolist() if t not in (PAD, END)]
                kept = (~done).nonzero()[:, 0]
                if len(kept) == 0:
                    break
                rows = rows[kept] + kept[:, None] * beam
                numbers, limits, scores, written, tokens = (
                    x[kept] for x in (numbers, limits, scores, written, tokens))
                ended, ended_scores, hidden_keys = ended[kept], ended_scores[kept], hidden_keys[kept]
                memory = [both[:, kept] for both in memory]
            else:
                rows = rows + torch.arange(len(numbers))[:, None] * beam
            rows, tokens = rows.flatten(), tokens.flatten()
            moved = position + 1
            for layer, cache in enumerate(caches):
                fresh = torch.empty(2, len(rows), self.heads, longest, self.dim, dtype=self.dtype)
                fresh[:, :, :, :moved] = cache[:, rows, :, :moved]
                caches[layer] = fresh
        return results


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("sources", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--beam", type=int, default=4)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", choices=("f32", "bf16"), default="f32")
    parser.add_argument("--rounds", type=int, default=3)
    flags = parser.parse_args()
    torch.set_num_threads(flags.threads)
    translator = Translator(flags.run, torch.bfloat16 if flags.dtype == "bf16" else torch.float32)
    lines = flags.sources.read_text(encoding="utf-8").splitlines()
    seconds, texts = [], []
    for _ in range(flags.rounds):
        begin = time.perf_counter()
        sources = [translator.pieces.encode(line)[:translator.max_source] for line in lines]
        order = sorted(range(len(lines)), key=lambda row: len(sources[row]))
        texts = [""] * len(lines)
        for first in range(0, len(order), flags.batch):
            batch = order[first:first + flags.batch]
            for row, ids in zip(batch, translator.translate([sources[row] for row in batch], flags.beam)):
                texts[row] = translator.pieces.decode(ids)
        seconds.append(time.perf_counter() - begin)
    flags.out.write_text("\n".join(texts) + "\n", encoding="utf-8")
    print(json.dumps({"peer": "torch-" + torch.__version__.split("+")[0],
                      "case": f"translate_{flags.dtype}_beam{flags.beam}_{len(lines)}", "threads": flags.threads,
                      "ms_min": round(1e3 * min(seconds), 1),
                      "ms_median": round(1e3 * sorted(seconds)[len(seconds) // 2], 1),
                      "sentences_per_s": round(len(lines) / min(seconds), 1)}))


if __name__ == "__main__":
    main()
