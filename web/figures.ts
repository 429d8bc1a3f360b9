// How fast the pages are in front of a real gateway with years of energy: one JSON object on standard output.
// Run in this directory by `npm run figures`; SCHOOLGATE_BIN names the gateway's program, CHROMIUM another Chromium.
import { existsSync } from 'node:fs';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { CHROMIUM, DESK, launch, open, signIn, visit } from './tests/browser/rig/browser.ts';
import { until } from './tests/browser/rig/process.ts';
import { BINARY, type School } from './tests/browser/rig/school.ts';
import { clock, lastYear, schoolWithYears } from './tests/browser/rig/year.ts';

const TIMES = 5;
const THROTTLE = 4;
const QUIET_MS = 1000;
const SIGN_IN = 'input[autocomplete="username"]';
/** The desk knows whether there is anything to do. */
const USABLE = '.calm, .alarm-card';
type State = Awaited<ReturnType<BrowserContext['storageState']>>;

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] ?? NaN) + (sorted[Math.floor(middle)] ?? NaN)) / 2;
}

/** Counts what comes over the wire, heads and bodies as they were sent. */
async function weigh(page: Page): Promise<() => number> {
  const debug = await page.context().newCDPSession(page);
  const bytes = new Map<string, number>();
  const add = (id: string, more: number): void => void bytes.set(id, (bytes.get(id) ?? 0) + Math.max(0, more));
  debug.on('Network.responseReceived', ({ requestId, response }) => add(requestId, response.encodedDataLength));
  debug.on('Network.dataReceived', ({ requestId, encodedDataLength }) => add(requestId, encodedDataLength));
  // The sum of a request that is over; the live stream never is.
  debug.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => void bytes.set(requestId, encodedDataLength));
  await debug.send('Network.enable');
  return () => [...bytes.values()].reduce((all, one) => all + one, 0);
}

/** What has come, kB, once nothing more does: a page may be used before all of it is there. */
async function quiet(sofar: () => number): Promise<number> {
  let [last, since] = [-1, performance.now()];
  return until('nothing is loading', () => {
    const bytes = sofar();
    if (bytes !== last) [last, since] = [bytes, performance.now()];
    return performance.now() - since > QUIET_MS ? bytes / 1000 : undefined;
  });
}

/** Bytes until somebody can sign in, and until the desk can be used; and what a browser keeps of having signed in. */
async function firstLoad(browser: Browser, school: School): Promise<{ signInKb: number; deskKb: number; state: State }> {
  const { page, context } = await visit(browser, school);
  const stranger = await weigh(page);
  await page.goto('/');
  await page.waitForSelector(SIGN_IN);
  const signInKb = await quiet(stranger);
  await context.close();
  // Again by a browser that knows nothing yet.
  const again = await visit(browser, school);
  const guard = await weigh(again.page);
  await signIn(again, 'guard');
  await again.page.waitForSelector(USABLE);
  const deskKb = await quiet(guard);
  const state = await again.context.storageState();
  await again.context.close();
  return { signInKb, deskKb, state };
}

/** Notes by the page's own clock when what matches is painted for the first time. */
function watchFor(selector: string): void {
  const look = (): void => {
    if (Reflect.get(window, 'usableAt') !== undefined || !document.querySelector(selector)) return;
    Reflect.set(window, 'usableAt', null);
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => Reflect.set(window, 'usableAt', performance.now());
      port2.postMessage(0);
    });
  };
  new MutationObserver(look).observe(document, { subtree: true, childList: true, attributes: true });
}

/** From the navigation of somebody who signed in before to a desk that can be used; nothing is kept of the pages. */
async function usable(browser: Browser, school: School, state: State, throttle: number): Promise<number> {
  const { page, context } = await visit(browser, school);
  await context.addCookies(state.cookies);
  await page.addInitScript(watchFor, USABLE);
  const debug = await context.newCDPSession(page);
  await debug.send('Emulation.setCPUThrottlingRate', { rate: throttle });
  await page.goto('/');
  const at = await page.waitForFunction(() => Reflect.get(window, 'usableAt') as number | null | undefined);
  const ms = Number(await at.jsonValue());
  await context.close();
  return ms / 1000;
}

interface Drawn {
  ms: number;
  apiMs: number;
}

/** From the click on the year, away from a month, to its chart on the screen, and how much of that the gateway took to answer. */
async function yearChart(page: Page): Promise<Drawn> {
  await page.evaluate(() => {
    performance.clearResourceTimings();
    Reflect.deleteProperty(window, 'drawn');
    let begun = 0;
    addEventListener('click', (click) => (begun = click.timeStamp), { capture: true, once: true });
    const asked = (): PerformanceResourceTiming | undefined =>
      (performance.getEntriesByType('resource') as PerformanceResourceTiming[]).find(({ name }) => name.includes('/energy/series?') && !name.includes('place='));
    // The months of the year are there with its answer; the canvas that is put in then is its chart.
    const seen = new Set(document.querySelectorAll('.chart canvas'));
    const look = new MutationObserver(() => {
      const canvas = document.querySelector('.chart canvas');
      if (!begun || !canvas || seen.has(canvas)) return;
      const months = [...document.querySelectorAll('main section table')].some((table) => table.querySelectorAll('tbody tr').length === 12);
      if (!months) return void seen.add(canvas);
      look.disconnect();
      requestAnimationFrame(() => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = () => Reflect.set(window, 'drawn', { ms: performance.now() - begun, apiMs: asked()?.duration ?? NaN });
        port2.postMessage(0);
      });
    });
    look.observe(document, { subtree: true, childList: true });
  });
  await page.getByRole('button', { name: '年', exact: true }).click();
  const drawn = await page.waitForFunction(() => Reflect.get(window, 'drawn') as Drawn | undefined);
  await calm(page);
  // Back, so that the next one begins as this one did.
  const month = page.waitForResponse((answer) => answer.url().includes('/energy/series?') && !answer.url().includes('place='));
  await page.getByRole('button', { name: '月', exact: true }).click();
  await month;
  await calm(page);
  return (await drawn.jsonValue()) as Drawn;
}

/** The chart is there, and all buildings have been asked for. */
async function calm(page: Page): Promise<void> {
  await page.waitForFunction(() => document.querySelector('.chart canvas') && !document.querySelector('[aria-busy="true"]'));
}

async function repeated<T>(measure: () => Promise<T>): Promise<T[]> {
  const all: T[] = [];
  while (all.length < TIMES) all.push(await measure());
  return all;
}

async function measure(browser: Browser, school: School): Promise<Record<string, number | number[]>> {
  const { signInKb, deskKb, state } = await firstLoad(browser, school);
  const throttled = await repeated(() => usable(browser, school, state, THROTTLE));
  const free = await repeated(() => usable(browser, school, state, 1));
  const seen = await visit(browser, school, { viewport: DESK });
  await signIn(seen, 'admin');
  await open(seen.page, `/energy?unit=month&day=${clock(lastYear().from).slice(0, 10)}`);
  await calm(seen.page);
  const drawn = await repeated(() => yearChart(seen.page));
  await seen.context.close();
  return {
    first_load_kb: deskKb,
    first_load_sign_in_kb: signInKb,
    usable_s_throttled: median(throttled),
    usable_s_throttled_all: throttled,
    usable_s: median(free),
    year_chart_ms: median(drawn.map(({ ms }) => ms)),
    year_chart_ms_all: drawn.map(({ ms }) => ms),
    year_chart_api_ms: median(drawn.map(({ apiMs }) => apiMs)),
  };
}

async function main(): Promise<void> {
  for (const program of [BINARY, CHROMIUM]) if (!existsSync(program)) throw new Error(`${program} is not there`);
  const browser = await launch();
  try {
    const school = await schoolWithYears();
    try {
      console.log(JSON.stringify(await measure(browser, school)));
    } finally {
      await school.stop();
    }
  } finally {
    await browser.close();
  }
}

await main();
