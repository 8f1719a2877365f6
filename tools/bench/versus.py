#!/usr/bin/env python3
"""Runs `smalti bench` and its PyTorch twin in turns and prints the ratios of their best times: make bench-vs-torch.

    versus.py [--smalti ./smalti] [--python python3] [--parts engine,paint,gan] [--rounds 2] [--iters 4] ...

Both use the same number of threads. A round runs ours, then PyTorch's, each in a process of its own, so that the peak
memory is each one's own. A ratio above 1 means that smalti is faster, or needs less memory.
"""
import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def lines(command, env):
    """The JSON objects that a command prints."""
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f'{" ".join(command)} ended with {done.returncode}')
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{')]


class Pair:
    """smalti and PyTorch, run in turns."""

    def __init__(self, args):
        self.args = args
        n = str(args.threads)
        self.env = dict(os.environ, OMP_NUM_THREADS=n, OPENBLAS_NUM_THREADS=n)
        self.torch = [args.python, str(HERE / 'torch_reference.py')]

    def ours(self, *words):
        return lines([self.args.smalti, 'bench', *words, '--json', '--quiet', '--threads', str(self.args.threads)], self.env)

    def theirs(self, *words):
        return lines([*self.torch, *words, '--threads', str(self.args.threads)], self.env)

    def rounds(self, ours, theirs):
        """What both printed in all rounds, together."""
        mine, other = [], []
        for i in range(self.args.rounds):
            print(f'# {ours[0]}: round {i + 1} of {self.args.rounds}', file=sys.stderr, flush=True)
            mine += self.ours(*ours)
            other += self.theirs(*theirs)
        return mine, other


def best(rows, key):
    """The row with the least time for each key."""
    out = {}
    for r in rows:
        k, t = key(r)
        if k not in out or t < key(out[k])[1]:
            out[k] = r
    return out


def engine(pair):
    a = pair.args
    words = ['engine', '--only', a.only, '--runs', str(a.runs)]
    mine, other = pair.rounds(words, words)
    key = lambda r: ((r['name'], r['shape']), r['seconds'])
    mine, other = best(mine, key), best(other, key)
    print('| case | shape | smalti ms | rate | % of limit | PyTorch ms | ratio |\n|---|---|---|---|---|---|---|')
    for k, r in mine.items():
        limit = f'{r["percent"]:.0f} % {r["of"]}' if r['peak'] else '-'
        theirs = f'{1e3 * other[k]["seconds"]:.3f} | {other[k]["seconds"] / r["seconds"]:.2f}' if k in other else '- | -'
        print(f'| {k[0]} | {k[1]} | {1e3 * r["seconds"]:.3f} | {r["rate"]:.1f} {r["unit"]} | {limit} | {theirs} |')


def iterations(title, mine, other, parts):
    """Best times of each part over all iterations but each process's first, which compiles and warms up."""
    least = lambda rows, part: min((r[part] for r in rows if r['iter'] > 0), default=float('nan'))
    peak = lambda rows: max(r['rss_mb'] for r in rows)
    print(f'| {title} | smalti | PyTorch | ratio |\n|---|---|---|---|')
    for part in parts:
        m, o = least(mine, part), least(other, part)
        print(f'| {part} s | {m:.3f} | {o:.3f} | {o / m:.2f} |' if m else f'| {part} s | {m:.3f} | {o:.3f} | - |')
    print(f'| peak memory MB | {peak(mine)} | {peak(other)} | {peak(other) / peak(mine):.2f} (ours is {peak(mine) / peak(other):.2f} of it) |')


def paint(pair):
    a = pair.args
    for precision in a.precision.split(','):
        size = ['--size', str(a.size), '--cuts', str(a.cuts), '--iters', str(a.iters)]
        mine, other = pair.rounds(['paint', *size, '--precision', precision], ['paint', *size])
        iterations(f'painting, {a.size}x{a.size}, {a.cuts} cuts, {precision}', mine, other, ['total', 'decode', 'cuts', 'clip', 'backward'])
        warm = [r for r in mine if r['iter'] > 0]
        if warm:
            print(f'\ncompilation {max(r["compile"] for r in mine):.2f} s; {min(r["allocs"] for r in warm)} Go allocations '
                  f'({min(r["alloc_mb"] for r in warm):.1f} MB) a warm iteration')


def gan(pair):
    a = pair.args
    size = ['--batch', str(a.batch), '--iters', str(a.iters)]
    mine, other = pair.rounds(['gan', *size], ['gan', *size])
    iterations(f'WGAN-GP step, 64x64, batch {a.batch}', mine, other, ['total', 'critic', 'generator'])


def cpu():
    try:
        for line in open('/proc/cpuinfo'):
            if line.startswith('model name'):
                return line.split(':', 1)[1].strip()
    except OSError:
        pass
    return 'unknown CPU'


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--smalti', default='./smalti')
    p.add_argument('--python', default=sys.executable)
    p.add_argument('--threads', type=int, default=os.cpu_count())
    p.add_argument('--parts', default='engine,paint,gan')
    p.add_argument('--rounds', type=int, default=2)
    p.add_argument('--only', default='')
    p.add_argument('--runs', type=int, default=20)
    p.add_argument('--size', type=int, default=256)
    p.add_argument('--cuts', type=int, default=32)
    p.add_argument('--iters', type=int, default=4)
    p.add_argument('--batch', type=int, default=64)
    p.add_argument('--precision', default='f32', help='of the painting, several with commas')
    args = p.parse_args()
    if subprocess.run([args.python, '-c', 'import torch'], stderr=subprocess.DEVNULL).returncode:
        print(f'skipped: {args.python} has no torch (on Debian: apt-get install python3-torch libopenblas0-pthread, and PYTHON=/usr/bin/python3)')
        return
    pair = Pair(args)
    torch, = pair.theirs('blas')
    if not torch['real_blas']:
        print(f'skipped: PyTorch multiplies at {torch["sgemm_gflops"]:.0f} GFLOP/s, on a slow BLAS or a busy machine (apt-get install libopenblas0-pthread)')
        return
    load = os.getloadavg()[0]
    print(f'{cpu()}, {args.threads} threads; PyTorch {torch["torch"]}, sgemm {torch["sgemm_gflops"]:.0f} GFLOP/s; load {load:.1f} before, best of {args.rounds} rounds\n')
    for part in args.parts.split(','):
        {'engine': engine, 'paint': paint, 'gan': gan}[part](pair)
        print(flush=True)


if __name__ == '__main__':
    main()
