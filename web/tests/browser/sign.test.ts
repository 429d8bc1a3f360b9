// First use, signing in and out, and what each role may see.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Browser } from 'playwright-core';
import { accessible, DESK, fits, launch, leave, PHONE, picture, signIn, visit } from './rig/browser.ts';
import { PASSWORD, ROLES, School } from './rig/school.ts';

let browser: Browser;
let school: School;
before(async () => {
  browser = await launch();
  school = await School.fresh();
});
after(async () => {
  await browser?.close();
  await school?.stop();
});

test('whoever has the claim code becomes the administrator, and nobody else', async () => {
  const seen = await visit(browser, school);
  const { page } = seen;
  await page.goto('/alarms');
  await page.waitForSelector('input[autocomplete="one-time-code"]');
  await accessible(page, 'claim');
  await picture(page, 'claim');
  const passwords = page.locator('input[type="password"]');
  const fill = async (code: string): Promise<void> => {
    await page.fill('input[autocomplete="one-time-code"]', code);
    await page.fill('input[autocomplete="username"]', 'admin');
    await passwords.nth(0).fill(PASSWORD);
    await passwords.nth(1).fill(PASSWORD);
    await page.click('button[type="submit"]');
  };
  await fill('0000-0000-0000-0000-0000');
  const refusal = page.locator('.refusal');
  await refusal.waitFor();
  assert.match((await refusal.textContent()) ?? '', /认领码/);
  await fill(school.code().toLowerCase().replace(/-/g, ' '));
  await page.waitForSelector('header.top');
  assert.match((await page.textContent('header.top')) ?? '', /管理员/);
  for (const role of ROLES) {
    if (role !== 'admin') await school.post('/api/v1/accounts', { name: role, role, password: PASSWORD, actor: 'test' });
  }
  await leave(seen);
});

test('a wrong password is refused in both languages; the right one opens, and signing out closes', async () => {
  const seen = await visit(browser, school);
  const { page } = seen;
  await page.goto('/');
  await page.waitForSelector('form');
  await accessible(page, 'sign-in');
  await picture(page, 'sign-in');
  await page.fill('input[autocomplete="username"]', 'guard');
  await page.fill('input[type="password"]', 'not the password');
  await page.click('button[type="submit"]');
  const refusal = page.locator('.refusal');
  await refusal.waitFor();
  const said = (await refusal.textContent()) ?? '';
  assert.match(said, /[\u4e00-\u9fff]/);
  assert.match(said, /[a-z]{4}/);
  await page.fill('input[type="password"]', PASSWORD);
  await page.click('button[type="submit"]');
  await page.waitForSelector('.desk');
  await page.reload();
  await page.waitForSelector('.desk');
  await page.click('text=退出登录');
  await page.waitForSelector('input[type="password"]');
  await page.reload();
  await page.waitForSelector('input[type="password"]');
  await leave(seen);
});

/** Paths of the navigation by role: of the pages of the desk. Pages of other files are looked at in their own tests. */
const DESK_PAGES: Record<(typeof ROLES)[number], string[]> = {
  viewer: ['/alarms', '/hazards', '/map', '/muster'],
  guard: ['/desk', '/alarms', '/hazards', '/map', '/muster'],
  kiosk: [],
  technician: ['/alarms', '/hazards', '/map', '/muster'],
  admin: ['/desk', '/alarms', '/hazards', '/map', '/muster'],
  auditor: ['/alarms', '/hazards', '/map', '/muster'],
  privacy: ['/alarms', '/hazards', '/map', '/muster'],
};
const ALL = ['/desk', '/alarms', '/hazards', '/map', '/muster'];

for (const role of ROLES) {
  test(`${role} sees the pages of that role and no other`, async () => {
    const seen = await visit(browser, school);
    const { page } = seen;
    await signIn(seen, role, role === 'kiosk');
    const links = await page.locator('header.top nav a').evaluateAll((found) => found.map((link) => link.getAttribute('href') ?? ''));
    assert.deepEqual(links.filter((path) => ALL.includes(path)), DESK_PAGES[role]);
    if (role === 'kiosk') assert.deepEqual(links, [], 'a screen of a guard room has the desk alone');
    for (const path of ALL) {
      await page.goto(path);
      const may = DESK_PAGES[role].includes(path) || (role === 'kiosk' && path === '/desk');
      await page.waitForSelector(may ? 'main h1' : 'main .empty');
      const text = (await page.textContent('main')) ?? '';
      assert.equal(text.includes('没有这个页面'), !may, `${role} at ${path}`);
    }
    await leave(seen);
  });
}

test('both languages, both screens: before anybody has signed in', async () => {
  for (const [lang, word] of [['zh-CN', '登录'], ['en-GB', 'Sign in']] as const) {
    for (const viewport of [DESK, PHONE]) {
      const seen = await visit(browser, school, { lang, viewport });
      await seen.page.goto('/');
      await seen.page.waitForSelector('form');
      assert.equal(await seen.page.textContent('h1'), word);
      assert.equal(await seen.page.getAttribute('html', 'lang'), lang === 'zh-CN' ? 'zh-CN' : 'en');
      await fits(seen.page, `sign-in at ${viewport.width}`);
      await accessible(seen.page, `sign-in ${lang} ${viewport.width}`);
      await leave(seen);
    }
  }
});

test('what makes the pages accessible finds what is not', async () => {
  const seen = await visit(browser, school);
  await seen.page.goto('/');
  await seen.page.waitForSelector('form');
  await seen.page.evaluate(() => document.body.appendChild(document.createElement('button')));
  await assert.rejects(accessible(seen.page, 'a button without a name'), /button-name/);
  await seen.page.evaluate(() => fetch('https://elsewhere.example/').catch(() => undefined));
  await assert.rejects(leave(seen), /elsewhere|Content Security Policy/);
});
