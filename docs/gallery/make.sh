#!/usr/bin/env bash
# Makes every picture of docs/play.md again, with nothing but the program: make gallery
set -euo pipefail
smalti=$(realpath "${1:-./smalti}")
out=$(realpath "$(dirname "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
run() { echo "smalti $*"; "$smalti" "$@" --quiet || [ "$1" = diff ]; } # which tells by its exit code that pictures differ

run data sample shapes -n 16 --size 128 --seed 3 -o shapes
cp shapes/000008.png star.png
cp shapes/000013.png ring.png
cp shapes/000014.png pentagon.png
cp shapes/000009.png heart.png

run morph star.png ring.png pentagon.png heart.png --grid 5x3 -o morph-tokens.png
run morph star.png ring.png pentagon.png heart.png --grid 5x3 --mode slerp --soft -o morph-soft.png
run morph star.png heart.png --mode slerp --soft --frames 24 --loop bounce -o morph.gif
run morph star.png heart.png --mode clip --frames 24 --steps 6 -o morph-clip.gif
run lab swap heart.png --code 661=939 -o lab-swap.png
run lab mix star.png ring.png -o lab-mix.png
run lab brush pentagon.png ring.png --region circle:64,64,34 --feather 10 -o lab-brush.png
run lab arith star.png --with ring.png --without pentagon.png --t 0.7 -o lab-arith.png
run lab walk star.png --frames 24 --scale 0.8 --soft -o lab-walk.gif
run sample "a heart" --best-of 16 --seed 1 -o sample.png
run lab map -o lab-map.png
run lab neighbours 12 -o lab-neighbours.png
run lab dream star.png "fire" --steps 24 --pull 0.3 --every 2 --seed 2 -o lab-dream.gif
run story "a forest ^ the sea" --frames 24 --steps 40 --frame-steps 4 --cuts 4 --zoom 1.04 --rotate 2 --size 96 --seed 5 -o story.gif
run paint "pebbles" --tile xy --size 64 --seed 4 --steps 80 -o tile.png
run paint "a purple flower" --filter mirror:square --seed 3 --steps 80 -o mirror.png
run paint "a sunset" --filter pixelart:8 --filter posterise:1a1c2c,b13e53,ef7d57,ffcd75,38b764,41a6f6,f4f4f4 --seed 3 --steps 80 -o pixelart.png
run paint "a blue sea" --loss edge:5:ffffff:0.12 --seed 3 --steps 80 -o edge.png
run paint "a red apple" --init ring.png --mask circle:64,64,24 --seed 2 --steps 60 -o mask.png
run paint "fire" --init star.png --outpaint 32,32,32,32 --seed 2 --steps 60 -o outpaint.png
run paint "a green meadow" --region-prompt "rect:0,0,64,128=a red apple" --region-prompt "rect:64,0,64,128=a blue fish" --seed 2 --steps 80 -o regions.png
run clip heat heart.png "a purple heart" -o heat.png
run paint "a red apple" --init heart.png --mask-words "a purple heart" --seed 2 --steps 60 -o mask-words.png
run vqgan reconstruct heart.png -o reconstruct.png
run diff heart.png reconstruct.png -o difference.png
run vqgan encode heart.png -o heart.json
run vqgan decode heart.json -o decoded.png
run clip search shapes "a pink thing" -n 4 --index-here --sheet search.png
run data sample shapes -n 160 --size 128 --seed 5 -o many
mkdir pink rest
for f in many/*.txt; do
	if grep -q 'pink\|purple' "$f"; then cp "${f%.txt}.png" pink/; else cp "${f%.txt}.png" rest/; fi
done
run clip head pink rest -o pink.safetensors
run paint "a flower" --loss aesthetic:0.03:pink.safetensors --seed 3 --steps 80 -o aesthetic.png
run paint "a flower" --seed 3 --steps 80 -o aesthetic-without.png
cp -- *.png *.gif "$out"
