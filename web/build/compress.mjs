// Compresses what was built once and for all, so that the gateway spends no time on it; tells the size of a first load.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const root = new URL('../dist/', import.meta.url).pathname;
const MOST_KB = 300;
const sizes = new Map();

for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
  const file = join(entry.parentPath ?? entry.path, entry.name);
  if (!entry.isFile() || !/\.(html|js|css|svg|json|webmanifest)$/.test(file)) continue;
  const bytes = readFileSync(file);
  const br = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } });
  const gz = gzipSync(bytes, { level: 9 });
  writeFileSync(`${file}.br`, br);
  writeFileSync(`${file}.gz`, gz);
  sizes.set(file.slice(root.length), { gz: gz.length, br: br.length });
}

// What index.html names is fetched before anything can be seen.
const html = readFileSync(join(root, 'index.html'), 'utf8');
if (/<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=/i.test(html)) throw new Error('index.html has something inline');
const first = ['index.html', ...[...html.matchAll(/(?:src|href)="\/(assets\/[^"]+)"/g)].map((found) => found[1])];
const kb = (name) => (sizes.get(name)?.gz ?? 0) / 1000;
const load = first.reduce((sum, name) => sum + kb(name), 0);
const all = [...sizes.keys()].reduce((sum, name) => sum + kb(name), 0);
console.log(`first load ${load.toFixed(1)} kB, all pages ${all.toFixed(1)} kB, compressed by gzip`);
if (load > MOST_KB) throw new Error(`a first load of ${load.toFixed(0)} kB is more than ${MOST_KB} kB`);
