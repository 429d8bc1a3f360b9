// What a page is given while it asks: never the answer to another question than the present one.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { createElement, render, type ContainerNode } from 'preact';
import { act } from 'preact/test-utils';
import { useGet, type Asked } from '../../src/api.ts';

type Given = Asked<{ of: string }>;
/** Every question that was asked and is not answered, the first one first. */
let open: { path: string; answer: (status: number, body: unknown) => Promise<void> }[] = [];
/** What was given at each rendering, and the question that was the present one. */
let given: { path: string | null; value: string | null; refused: boolean; busy: boolean }[] = [];
let last: Given;

// Who left does not hear the answer, but it may be on its way already: it comes as if nobody had.
globalThis.fetch = (path) =>
  new Promise((resolve) => {
    const answer = async (status: number, body: unknown): Promise<void> => {
      await act(async () => {
        resolve(new Response(JSON.stringify(body), { status }));
        // The body is read in several steps, each of which is done before anything that is begun later.
        await new Promise((done) => setImmediate(done));
      });
    };
    open.push({ path: String(path), answer });
  });
Object.assign(globalThis, { window: globalThis, document: {} });
/** A place for a component that draws nothing. */
const nowhere = { nodeType: 1, childNodes: [], firstChild: null, insertBefore: () => null, removeChild: () => null } as unknown as ContainerNode;

function Page({ path }: { path: string | null }): null {
  last = useGet<{ of: string }>(path);
  given.push({ path, value: last.value?.of ?? null, refused: last.problem !== null, busy: last.busy });
  return null;
}
const show = async (path: string | null): Promise<void> => act(() => render(createElement(Page, { path }), nowhere));
async function answer(path: string, status = 200): Promise<void> {
  const at = open.findIndex((asked) => asked.path === path);
  const [asked] = open.splice(at, 1);
  assert.ok(at >= 0 && asked, `${path} was asked`);
  await asked.answer(status, { of: path, detail: path });
}
const now = (): (typeof given)[number] => given[given.length - 1] as (typeof given)[number];

beforeEach(async () => {
  await act(() => render(null, nowhere));
  [open, given] = [[], []];
});

test('under a new question stands no answer until its own is there', async () => {
  await show('/a');
  assert.deepEqual(now(), { path: '/a', value: null, refused: false, busy: true });
  await answer('/a');
  assert.deepEqual(now(), { path: '/a', value: '/a', refused: false, busy: false });
  await show('/b');
  assert.deepEqual(now(), { path: '/b', value: null, refused: false, busy: true });
  await answer('/b');
  assert.deepEqual(now(), { path: '/b', value: '/b', refused: false, busy: false });
  await show(null);
  assert.deepEqual(now(), { path: null, value: null, refused: false, busy: false });
  // Not even in a rendering between.
  assert.ok(given.every(({ path, value }) => value === null || value === path), JSON.stringify(given));
});

test('answers and refusals that come late, or out of turn, are dropped', async () => {
  await show('/a');
  await show('/b');
  await show('/c');
  await answer('/c');
  await answer('/a');
  await answer('/b', 500);
  assert.deepEqual(now(), { path: '/c', value: '/c', refused: false, busy: false });
  await show('/a');
  await answer('/a', 403);
  assert.deepEqual(now(), { path: '/a', value: null, refused: true, busy: false });
  await show('/b');
  assert.deepEqual(now(), { path: '/b', value: null, refused: false, busy: true });
  assert.ok(given.every(({ path, value }) => value === null || value === path), JSON.stringify(given));
});

test('asked again, the answer stays until the next is there, and also when that is refused', async () => {
  await show('/a');
  await answer('/a');
  await act(() => last.again());
  assert.deepEqual(now(), { path: '/a', value: '/a', refused: false, busy: true });
  await answer('/a', 500);
  assert.deepEqual(now(), { path: '/a', value: '/a', refused: true, busy: false });
  await act(() => last.again());
  await answer('/a');
  assert.deepEqual(now(), { path: '/a', value: '/a', refused: false, busy: false });
});
