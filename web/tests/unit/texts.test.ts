// Every text is there in both languages, is used, and no page asks for one that is not there.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { keys, lang, t, type Key } from '../../src/texts.ts';

const SRC = new URL('../../src/', import.meta.url).pathname;
const sources = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((name) => /\.tsx?$/.test(name) && !name.startsWith('texts'))
  .map((name) => readFileSync(join(SRC, name), 'utf8'))
  .join('\n');

function both(key: string): string[] {
  return (['zh', 'en'] as const).map((words) => {
    lang.set(words);
    return t(key as Key);
  });
}

test('no text is empty, and Chinese texts are Chinese', () => {
  for (const key of keys()) {
    const [zh, en] = both(key) as [string, string];
    assert.ok(zh.trim() && en.trim(), key);
    // The button for the other language is written in that one.
    if (key !== 'language') assert.doesNotMatch(en, /[\u4e00-\u9fff]/, key);
    if (key !== 'language' && !/^(unit|format)\./.test(key)) assert.match(zh, /[\u4e00-\u9fff【]/, key);
  }
});

test('both languages have the same gaps', () => {
  for (const key of keys()) {
    const [zh, en] = both(key).map((text) => [...text.matchAll(/\{(\w+)\}/g)].map((gap) => gap[1]).sort());
    assert.deepEqual(zh, en, key);
  }
});

test('every text is used: by its key, or by a group of words of the API', () => {
  const groups = new Set([...sources.matchAll(/(?:word|options)\(\s*'([\w.]+)'/g)].map((found) => found[1]));
  const unused = keys().filter((key) => {
    const group = key.includes('.') ? key.slice(0, key.lastIndexOf('.')) : '';
    return !sources.includes(`'${key}'`) && !groups.has(group);
  });
  assert.deepEqual(unused, []);
});

test('pages have no words of their own', () => {
  const found = sources
    .split('\n')
    .filter((line) => /[\u4e00-\u9fff]/.test(line) && !/^\s*(\/\/|\*|\/\*)/.test(line))
    // Problems that the pages make themselves carry both languages, and uPlot's formats of time are Chinese or not.
    .filter((line) => !/new Problem\(|detail_zh/.test(line) && !/\{(YYYY|M|HH)\}/.test(line) && !/join\('[，、]'\)/.test(line));
  assert.deepEqual(found, []);
});
