// Debian's Chromium with nothing reachable but the gateway, and what every page must hold.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';
import { PASSWORD } from './school.ts';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const IMAGES = new URL('../../../../docs/images/', import.meta.url).pathname;
const MOST_BYTES = 200_000;
export const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';

export const DESK = { width: 1366, height: 768 };
export const PHONE = { width: 360, height: 740 };

export async function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM,
    // Names lead nowhere: a page that asked for anything else would fail here.
    args: ['--no-sandbox', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'],
  });
}

export interface Visit {
  context: BrowserContext;
  page: Page;
  /** Requests to anywhere but the gateway, and errors that pages made; both are to stay empty. */
  strays: string[];
  faults: string[];
}

interface Options {
  viewport?: { width: number; height: number };
  lang?: 'zh-CN' | 'en-GB';
  touch?: boolean;
  dark?: boolean;
  reduced?: boolean;
}

/** A browser at a school, wherever it is served. */
export async function visit(browser: Browser, school: { url: string }, options: Options = {}): Promise<Visit> {
  const { viewport = DESK, lang = 'zh-CN', touch = false, dark = false, reduced = false } = options;
  const context = await browser.newContext({
    viewport,
    locale: lang,
    hasTouch: touch,
    isMobile: touch,
    colorScheme: dark ? 'dark' : 'light',
    reducedMotion: reduced ? 'reduce' : 'no-preference',
    // The certificate is of the gateway's own authority; its trust is tested where TLS is.
    ignoreHTTPSErrors: true,
    baseURL: school.url,
  });
  // The loader of these tests names functions by a helper that pages do not have.
  await context.addInitScript('globalThis.__name = (named) => named');
  const page = await context.newPage();
  const [strays, faults]: [string[], string[]] = [[], []];
  context.on('request', (asked) => {
    const url = asked.url();
    if (!url.startsWith(`${school.url}/`) && !/^(blob|data):/.test(url)) strays.push(url);
  });
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('console', (message) => {
    // What the policy for contents forbids is told here.
    if (/Content Security Policy|violates/i.test(message.text())) faults.push(message.text());
  });
  return { context, page, strays, faults };
}

export async function signIn({ page }: Visit, name: string, kiosk = false, path = '/'): Promise<void> {
  await page.goto(path);
  await page.fill('input[autocomplete="username"]', name);
  await page.fill('input[type="password"]', PASSWORD);
  if (kiosk) await page.check('input[type="checkbox"]');
  await page.click('button[type="submit"]');
  await page.waitForSelector('header.top', { timeout: 20_000 });
}

/** Goes to a page of the installation and waits until it is whole. */
export async function open(page: Page, path: string): Promise<void> {
  await page.goto(path);
  await page.waitForSelector('main h1, main .empty');
  await settled(page);
}

/** Nothing is loading any more. */
export async function settled(page: Page): Promise<void> {
  // Between who somebody is and what they see there is a moment without any contents.
  await page.waitForFunction(() => {
    const said = document.querySelector('main')?.textContent ?? '';
    return said !== '' && !/正在读取…|Loading…/.test(said);
  });
}

/** Names that people gave stay as they are. */
const NAMES = /(示例|示范|测试)小学[^·]*|(教学楼|食堂|宿舍楼|实验楼)\S*/g;

/** The words of a page are English. */
export async function speaksEnglish(page: Page, what: string): Promise<void> {
  const heads = await page.locator('main h2, main th, main .field label, main nav a, main button').allTextContents();
  for (const head of heads) assert.doesNotMatch(head.replace(NAMES, ''), /[\u4e00-\u9fff]/, `${what}: ${head}`);
}

/** Ends a visit: nothing went elsewhere, nothing broke. */
export async function leave({ context, strays, faults }: Visit): Promise<void> {
  await context.close();
  assert.deepEqual(strays, [], 'requests to anywhere but the gateway');
  assert.deepEqual(faults, [], 'errors in the page');
}

interface Violation {
  id: string;
  impact: string;
  help: string;
  nodes: { html: string; failureSummary: string }[];
}

/** No finding of axe-core that is serious or critical. */
export async function accessible(page: Page, what: string): Promise<void> {
  // Through the debugger: the policy for contents lets no page take in scripts.
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => {
    const axe = (window as unknown as { axe: { run: (options: unknown) => Promise<{ violations: Violation[] }> } }).axe;
    const { violations } = await axe.run({ resultTypes: ['violations'] });
    return violations.map(({ id, impact, help, nodes }) => ({ id, impact, help, nodes: nodes.map(({ html, failureSummary }) => ({ html, failureSummary })) }));
  });
  const serious = found.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  assert.deepEqual(serious, [], `axe on ${what}: ${JSON.stringify(serious, null, 1)}`);
}

/** No page is wider than its screen. */
export async function fits(page: Page, what: string): Promise<void> {
  const [wide, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  assert.ok((wide ?? 0) <= (screen ?? 0), `${what} is ${wide} px wide on a screen of ${screen} px`);
}

/** Keeps how a page looks for the documents, where IMAGES=1 asks for it. */
export async function picture(page: Page, name: string, full = false): Promise<void> {
  if (!process.env.IMAGES) return;
  mkdirSync(IMAGES, { recursive: true });
  const path = `${IMAGES}${name}.png`;
  await page.screenshot({ path, fullPage: full, animations: 'disabled' });
  assert.ok(statSync(path).size < MOST_BYTES, `${name}.png is larger than ${MOST_BYTES} bytes`);
}
