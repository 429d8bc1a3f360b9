// The sheets keep to what Chromium 70 knows: what it does not know it drops in silence.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const SRC = new URL('../../src/', import.meta.url).pathname;
const LATER = /(?:\b(?:min|max|clamp)\(|:(?:is|where|has|not)\([^)]*,|:(?:is|where|has)\(|\binset\b|aspect-ratio|accent-color|@layer|@container|\blh\b|dvh|color-mix|place-items|content-visibility)/;
/** May be missing: what it does is a nicety there. */
const NICETIES = /focus:not\(:focus-visible\)/;

for (const name of readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.css'))) {
  test(`${name} has nothing that is younger than Chromium 70`, () => {
    const sheet = readFileSync(join(SRC, name), 'utf8').replace(/\/\*[\s\S]*?\*\//g, '');
    for (const line of sheet.replace(/minmax\(/g, '').split('\n')) {
      if (!NICETIES.test(line)) assert.doesNotMatch(line, LATER);
    }
    for (const [block] of sheet.matchAll(/\{[^{}]*\}/g)) {
      if (/(?:^|[\s;{])(?:row-|column-)?gap:/.test(block)) assert.match(block, /grid/, `gap outside of a grid: ${block}`);
    }
  });
}
