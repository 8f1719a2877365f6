// Draws ToonHead faces: a line of JSON options in, a line with the SVG document (a JSON string) out.
import { createInterface } from 'node:readline';
import { createAvatar } from '@dicebear/core';
import * as toonHead from '@dicebear/toon-head';

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(createAvatar(toonHead, JSON.parse(line)).toString()) + '\n');
}
