#!/usr/bin/env python3
"""What `smalti bench` measures, in PyTorch: the same shapes under the same names, one JSON object a line.

    python3 tools/bench/torch_reference.py engine [--only NAME]
    python3 tools/bench/torch_reference.py paint --size 256 --cuts 32 --iters 4
    python3 tools/bench/torch_reference.py gan --game wgan-gp --batch 64 --iters 4

Architectures as published, random weights: the decoder of VQGAN f16 with 16384 codes (Esser et al. 2021), CLIP's ViT-B/32
(Radford et al. 2021), DCGAN's networks (Radford et al. 2016) with WGAN-GP's loss (Gulrajani et al. 2017). Debian's
packages python3-torch and libopenblas0-pthread; without the latter, matrix products run on the reference BLAS and every
comparison is worthless: `blas` prints what there is.
"""
import argparse
import json
import math
import os
import resource
import time

import torch
import torch.nn.functional as F
from torch import nn

now = time.perf_counter


def say(**fields):
    print(json.dumps(fields), flush=True)


def peak_rss():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


# --- single operations -------------------------------------------------------------------------------------------------

def best_of(f, runs, seconds=0.3):
    for _ in range(3):
        f()
    best, begin, done = math.inf, now(), 0
    while done < runs or now() - begin < seconds:
        t = now()
        f()
        best, done = min(best, now() - t), done + 1
    return best, done


def cases():
    """Pairs of (name, shape, work, unit, function). Gradients are timed by themselves, as torch's own functions for them."""
    for m, k, n in ((1600, 768, 3072), (1600, 3072, 768), (1024, 1024, 1024), (2048, 2048, 2048), (256, 256, 256)):
        a, b = torch.randn(m, k), torch.randn(k, n)
        yield 'matmul', f'{m}x{k}x{n}', 2 * m * k * n, 'GFLOP/s', lambda a=a, b=b: a @ b
    for h, w, i, o in ((16, 16, 512, 512), (32, 32, 512, 512), (64, 64, 256, 256), (128, 128, 128, 128), (256, 256, 128, 128), (63, 61, 96, 160)):
        yield from conv_cases(h, w, i, o)
    x = torch.randn(4 << 20)
    yield 'swish', f'{4 << 20}', 8 * x.numel(), 'GB/s', lambda x=x: F.silu(x)
    x = torch.randn(1, 128, 256, 256)
    g = nn.GroupNorm(32, 128, 1e-6)
    yield 'groupnorm+swish', '1x256x256x128', 8 * x.numel(), 'GB/s', lambda x=x: F.silu(g(x))
    x = torch.randn(1600, 768)
    norm = nn.LayerNorm(768)
    yield 'softmax', '1600x768', 8 * x.numel(), 'GB/s', lambda x=x: torch.softmax(x, -1)
    yield 'layernorm', '1600x768', 8 * x.numel(), 'GB/s', lambda x=x: norm(x)
    x = torch.randn(1600, 3072)
    yield 'gelu', '1600x3072', 8 * x.numel(), 'GB/s', lambda x=x: F.gelu(x)
    yield 'quickgelu', '1600x3072', 8 * x.numel(), 'GB/s', lambda x=x: x * torch.sigmoid(1.702 * x)
    yield from attention_cases(32, 50, 12, 64)
    yield conv_transposed_case(64, 32, 64, 32)


def conv_cases(h, w, i, o):
    shape, work = f'{h}x{w} {i}->{o}', 18 * h * w * i * o
    x, k, dy = torch.randn(1, i, h, w), torch.randn(o, i, 3, 3), torch.randn(1, o, h, w)

    def backward(mask):
        return lambda x, k, dy: torch.ops.aten.convolution_backward(dy, x, k, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, mask)

    for name, f in (('forward', lambda x, k, dy: F.conv2d(x, k, padding=1)), ('input gradient', backward([True, False, False])),
                    ('weight gradient', backward([False, True, False]))):
        yield 'conv3x3 ' + name, shape, work, 'GFLOP/s', either_layout(f, x, k, dy)


def either_layout(f, *tensors):
    """Whichever of torch's two memory layouts is faster: the caller must get torch's best."""
    plain = tensors
    last = tuple(t.contiguous(memory_format=torch.channels_last) for t in tensors)
    fast = min((plain, last), key=lambda args: best_of(lambda: f(*args), 2, 0.05)[0])
    return lambda: f(*fast)


def attention_cases(n, tokens, heads, d):
    shape, work = f'{heads}x{tokens}x{d} batch {n}', 4 * n * heads * tokens * tokens * d
    qkv, dy = torch.randn(n, tokens, 3 * heads * d), torch.randn(n, tokens, heads * d)

    def forward(qkv):
        q, k, v = qkv.reshape(n, tokens, 3, heads, d).permute(2, 0, 3, 1, 4)
        y = torch.softmax(q @ k.transpose(-1, -2) * d ** -0.5, -1) @ v
        return y.transpose(1, 2).reshape(n, tokens, heads * d)

    yield 'attention', shape, work, 'GFLOP/s', lambda: forward(qkv)
    yield 'attention forward+backward', shape, 3 * work, 'GFLOP/s', with_gradient(forward, [qkv], dy)


def conv_transposed_case(n, side, i, o):
    x, k, dy = torch.randn(n, i, side, side), torch.randn(i, o, 4, 4), torch.randn(n, o, 2 * side, 2 * side)
    step = with_gradient(lambda x, k: F.conv_transpose2d(x, k, stride=2, padding=1), [x, k], dy)
    return 'convT forward+backward', f'{i}->{o} {side}x{side} batch {n}', 3 * 32 * n * side * side * i * o, 'GFLOP/s', step


def with_gradient(f, tensors, dy):
    leaves = [t.clone().requires_grad_(True) for t in tensors]

    def step():
        with torch.enable_grad():
            torch.autograd.grad(f(*leaves), leaves, dy)
    return step


def engine(args):
    with torch.no_grad():
        for name, shape, work, unit, f in cases():
            if args.only in name:
                seconds, runs = best_of(f, args.runs)
                say(name=name, shape=shape, seconds=seconds, rate=work / seconds * 1e-9, unit=unit, runs=runs)


# --- an iteration of a painting ----------------------------------------------------------------------------------------

class Block(nn.Module):
    """Residual block of two convolutions after group norm and swish."""

    def __init__(self, i, o):
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(32, i, 1e-6), nn.SiLU(), nn.Conv2d(i, o, 3, padding=1))
        self.second = nn.Sequential(nn.GroupNorm(32, o, 1e-6), nn.SiLU(), nn.Conv2d(o, o, 3, padding=1))
        self.skip = nn.Conv2d(i, o, 1) if i != o else nn.Identity()

    def forward(self, x):
        return self.skip(x) + self.second(self.first(x))


class PixelAttention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.norm, self.qkv, self.out = nn.GroupNorm(32, c, 1e-6), nn.Conv2d(c, 3 * c, 1), nn.Conv2d(c, c, 1)

    def forward(self, x):
        n, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(n, 3, c, h * w).unbind(1)
        weights = torch.softmax(q.transpose(1, 2) @ k * c ** -0.5, -1)
        return x + self.out((v @ weights.transpose(1, 2)).reshape(n, c, h, w))


def decoder(ch=128, mult=(1, 1, 2, 2, 4), blocks=2, z=256):
    """VQGAN's decoder from the codes' vectors to the picture; attention in the middle and at the coarsest level."""
    c = ch * mult[-1]
    net = [nn.Conv2d(z, z, 1), nn.Conv2d(z, c, 3, padding=1), Block(c, c), PixelAttention(c), Block(c, c)]
    for level in range(len(mult) - 1, -1, -1):
        for _ in range(blocks + 1):
            net.append(Block(c, ch * mult[level]))
            c = ch * mult[level]
            if level == len(mult) - 1:
                net.append(PixelAttention(c))
        if level > 0:
            net += [nn.Upsample(scale_factor=2, mode='nearest'), nn.Conv2d(c, c, 3, padding=1)]
    return nn.Sequential(*net, nn.GroupNorm(32, c, 1e-6), nn.SiLU(), nn.Conv2d(c, 3, 3, padding=1))


class Layer(nn.Module):
    """A layer of CLIP's transformer with its quick GELU."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        n, t, w = x.shape
        q, k, v = self.qkv(self.norm1(x)).reshape(n, t, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        y = torch.softmax(q @ k.transpose(-1, -2) * (w // self.heads) ** -0.5, -1) @ v
        x = x + self.out(y.transpose(1, 2).reshape(n, t, w))
        h = self.up(self.norm2(x))
        return x + self.down(h * torch.sigmoid(1.702 * h))


class Tower(nn.Module):
    """CLIP's ViT-B/32."""

    def __init__(self, size=224, patch=32, width=768, layers=12, heads=12, out=512):
        super().__init__()
        tokens = (size // patch) ** 2 + 1
        self.patches = nn.Conv2d(3, width, patch, patch, bias=False)
        self.cls = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.place = nn.Parameter(torch.randn(tokens, width) * 0.02)
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.layers = nn.Sequential(*[Layer(width, heads) for _ in range(layers)])
        self.project = nn.Parameter(torch.randn(width, out) * width ** -0.5)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(len(x), -1, -1), x], 1) + self.place
        return self.after(self.layers(self.before(x))[:, 0]) @ self.project


class Nearest(torch.autograd.Function):
    """Passes the gradient of the nearest codes straight to what was quantised."""

    @staticmethod
    def forward(ctx, codes, z):
        return codes

    @staticmethod
    def backward(ctx, grad):
        return None, grad


def quantise(z, book):
    n, c, h, w = z.shape
    flat = z.movedim(1, 3).reshape(-1, c)
    distance = flat.square().sum(1, keepdim=True) + book.square().sum(1) - 2 * flat @ book.T
    return Nearest.apply(book[distance.argmin(1)].view(n, h, w, c).movedim(3, 1), z)


def augment(view, cuts):
    """The 'pooled' scheme: affine map, perspective, colours, an erased rectangle, noise; each cut its own."""
    size = view.shape[-1]
    angle, move, some = (torch.rand(cuts) - 0.5) * math.pi / 6, (torch.rand(cuts, 2) - 0.5) * 0.2, (torch.rand(cuts) < 0.7).float()
    angle, move = angle * some, move * some[:, None]
    theta = torch.stack([torch.stack([angle.cos(), -angle.sin(), move[:, 0]], 1), torch.stack([angle.sin(), angle.cos(), move[:, 1]], 1)], 1)
    x = F.grid_sample(view.expand(cuts, -1, -1, -1), F.affine_grid(theta, (cuts, 3, size, size), align_corners=False), align_corners=False)
    bend = torch.eye(3) + (torch.rand(cuts, 3, 3) - 0.5) * 0.2
    line = torch.linspace(-1, 1, size)
    points = torch.stack([line.expand(size, size), line[:, None].expand(size, size), torch.ones(size, size)], -1).reshape(1, -1, 3)
    warped = points @ bend.transpose(1, 2)
    x = F.grid_sample(x, (warped[..., :2] / warped[..., 2:]).view(cuts, size, size, 2), align_corners=False)
    colours = torch.eye(3) + (torch.rand(cuts, 3, 3) - 0.5) * 0.1
    x = torch.einsum('nij,njhw->nihw', colours, x) + (torch.rand(cuts, 3, 1, 1) - 0.5) * 0.1
    keep = torch.ones(cuts, 1, size, size)
    for i in range(cuts):
        top, left, high, wide = (torch.rand(4) * size * 0.5).long().tolist()
        keep[i, :, top:top + high, left:left + wide] = 0
    return x * keep + torch.rand(cuts, 1, 1, 1) * 0.1 * torch.randn_like(x)


def paint(args):
    net, tower = decoder().eval().requires_grad_(False), Tower().eval().requires_grad_(False)
    book, side = torch.randn(16384, 256), args.size // 16
    low, high = book.min(0).values[None, :, None, None], book.max(0).values[None, :, None, None]
    z = book[torch.randint(0, len(book), (side * side,))].view(1, side, side, 256).permute(0, 3, 1, 2).contiguous().requires_grad_(True)
    adam = torch.optim.Adam([z], 0.1)
    target = F.normalize(torch.randn(1, 512), dim=-1)
    mean, std = torch.tensor([0.481, 0.458, 0.408]).view(1, 3, 1, 1), torch.tensor([0.269, 0.261, 0.276]).view(1, 3, 1, 1)
    for i in range(args.iters):
        start = now()
        x = ((net(quantise(z, book)) + 1) / 2).clamp(0, 1)
        decoded = now()
        view = (F.adaptive_avg_pool2d(x, 224) + F.adaptive_max_pool2d(x, 224)) / 2
        cuts = augment(view, args.cuts)
        cut = now()
        distance = (F.normalize(tower((cuts - mean) / std), dim=-1) - target).norm(dim=-1).div(2).arcsin().square().mul(2).mean()
        looked = now()
        adam.zero_grad()
        distance.backward()
        back = now()
        adam.step()
        with torch.no_grad():
            z.copy_(z.maximum(low).minimum(high))
        say(iter=i, total=now() - start, decode=decoded - start, cuts=cut - decoded, clip=looked - cut, backward=back - looked, rss_mb=peak_rss())


# --- a step of a GAN ---------------------------------------------------------------------------------------------------

def networks(wgan, width=64, latent=100):
    c = width * 8
    g = [nn.ConvTranspose2d(latent, c, 4, 1, 0, bias=False), nn.BatchNorm2d(c), nn.ReLU()]
    for _ in range(3):
        g += [nn.ConvTranspose2d(c, c // 2, 4, 2, 1, bias=False), nn.BatchNorm2d(c // 2), nn.ReLU()]
        c //= 2
    g += [nn.ConvTranspose2d(c, 3, 4, 2, 1, bias=False), nn.Tanh()]
    d = [nn.Conv2d(3, c, 4, 2, 1, bias=wgan), nn.LeakyReLU(0.2)]
    for _ in range(3):
        norm = nn.InstanceNorm2d(2 * c, affine=True) if wgan else nn.BatchNorm2d(2 * c)
        d += [nn.Conv2d(c, 2 * c, 4, 2, 1, bias=wgan), norm, nn.LeakyReLU(0.2)]
        c *= 2
    d.append(nn.Conv2d(c, 1, 4, 1, 0, bias=wgan))
    return nn.Sequential(*g), nn.Sequential(*d)


def critic_loss(critic, real, fake):
    mix = torch.rand(len(real), 1, 1, 1)
    mixed = (mix * real + (1 - mix) * fake).requires_grad_(True)
    slope, = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
    return critic(fake).mean() - critic(real).mean() + 10 * (slope.flatten(1).norm(dim=1) - 1).square().mean()


def gan(args):
    wgan = args.game == 'wgan-gp'
    g, d = networks(wgan)
    betas = (0.0, 0.9) if wgan else (0.5, 0.999)
    adam_g, adam_d = torch.optim.Adam(g.parameters(), 1e-4, betas), torch.optim.Adam(d.parameters(), 1e-4, betas)
    real = torch.rand(args.batch, 3, 64, 64) * 2 - 1
    for i in range(args.iters):
        start = now()
        fake = g(torch.randn(args.batch, 100, 1, 1)).detach()
        if wgan:
            loss = critic_loss(d, real, fake)
        else:
            loss = F.softplus(-d(real)).mean() + F.softplus(d(fake)).mean()
        adam_d.zero_grad()
        loss.backward()
        adam_d.step()
        judged = now()
        score = d(g(torch.randn(args.batch, 100, 1, 1)))
        loss = -score.mean() if wgan else F.softplus(-score).mean()
        adam_g.zero_grad()
        loss.backward()
        adam_g.step()
        end = now()
        say(iter=i, total=end - start, critic=judged - start, generator=end - judged, rss_mb=peak_rss())


def blas(args):
    a = torch.randn(1024, 1024)
    seconds, _ = best_of(lambda: a @ a, 10)
    rate = 2 * 1024 ** 3 / seconds * 1e-9
    say(torch=torch.__version__, threads=torch.get_num_threads(), sgemm_gflops=rate, real_blas=rate > 20 * torch.get_num_threads())


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('what', choices=['engine', 'paint', 'gan', 'blas'])
    p.add_argument('--threads', type=int, default=0, help='0 is every processor')
    p.add_argument('--only', default='', help='engine: cases whose names contain this')
    p.add_argument('--runs', type=int, default=20)
    p.add_argument('--size', type=int, default=256)
    p.add_argument('--cuts', type=int, default=32)
    p.add_argument('--iters', type=int, default=4)
    p.add_argument('--batch', type=int, default=64)
    p.add_argument('--game', choices=['wgan-gp', 'gan'], default='wgan-gp')
    args = p.parse_args()
    torch.set_num_threads(args.threads or os.cpu_count())
    torch.manual_seed(0)
    {'engine': engine, 'paint': paint, 'gan': gan, 'blas': blas}[args.what](args)


if __name__ == '__main__':
    main()
