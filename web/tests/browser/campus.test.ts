// The list of alarms, one alarm, hazards, the site map and the muster: what they show, in both languages, on both screens.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Browser } from 'playwright-core';
import { accessible, DESK, fits, launch, leave, PHONE, picture, signIn, visit } from './rig/browser.ts';
import { until } from './rig/process.ts';
import { School } from './rig/school.ts';

let browser: Browser;
let school: School;
before(async () => {
  browser = await launch();
  school = await School.claimed();
  school.press(1);
  school.smoke(true);
  school.temperature(41);
  await until('three alarms are open', async () => {
    const { rows } = (await school.get('/api/v1/alarms?open=true')) as { rows: unknown[] };
    return rows.length === 3 || undefined;
  });
  await school.post('/api/v1/hazards', { actor: '李老师', what: '后门门锁松动', place: 'teaching-1' });
  await school.post('/api/v1/muster/start', { actor: '王老师', cause: 'drill' });
});
after(async () => {
  await browser?.close();
  await school?.stop();
});

const PAGES = [
  { path: '/alarms', image: 'alarms', zh: '未确认', en: 'not taken', wait: 'tbody tr' },
  { path: '/alarms/1', image: 'alarm', zh: '经过', en: 'History', wait: 'dl.facts' },
  { path: '/hazards', image: 'hazards', zh: '后门门锁松动', en: '后门门锁松动', wait: 'tbody tr' },
  { path: '/map', image: 'map', zh: '防区', en: 'Areas', wait: '.mark.here' },
  { path: '/map?plan=teaching-1', image: 'map-floor', zh: '机房', en: '机房', wait: '.mark.device' },
  { path: '/muster', image: 'muster', zh: '清点', en: 'Muster', wait: '.notice' },
  { path: '/desk', image: 'desk-phone', zh: '处置步骤', en: 'What to do', wait: '.alarm-card' },
];

for (const [lang, viewport, touch] of [
  ['zh-CN', DESK, false],
  ['zh-CN', PHONE, true],
  ['en-GB', DESK, false],
  ['en-GB', PHONE, true],
] as const) {
  test(`every page in ${lang} at ${viewport.width} px`, async () => {
    const seen = await visit(browser, school, { lang, viewport, touch });
    const { page } = seen;
    await signIn(seen, 'guard');
    for (const { path, image, wait, ...words } of PAGES) {
      await page.goto(path);
      await page.waitForSelector(wait);
      const text = (await page.textContent('main')) ?? '';
      const word = lang === 'zh-CN' ? words.zh : words.en;
      assert.ok(text.includes(word), `${word} at ${path}`);
      await fits(page, `${path} at ${viewport.width}`);
      await accessible(page, `${path} ${lang} ${viewport.width}`);
      await page.waitForFunction(() => [...document.images].every((one) => one.complete));
      if (lang === 'zh-CN' && touch) await picture(page, image.endsWith('phone') ? image : `${image}-phone`, true);
      else if (lang === 'zh-CN' && !image.endsWith('phone')) await picture(page, image);
    }
    await leave(seen);
  });
}

test('alarms are narrowed, sorted and saved as CSV, and the address says how', async () => {
  const seen = await visit(browser, school);
  const { page } = seen;
  await signIn(seen, 'viewer', false, '/alarms');
  await page.waitForFunction(() => document.querySelectorAll('tbody tr').length >= 3);
  await page.selectOption('select >> nth=1', 'fire');
  await page.waitForFunction(() => document.querySelectorAll('tbody tr').length === 1);
  assert.match(page.url(), /class=fire/);
  await page.reload();
  await page.waitForFunction(() => document.querySelectorAll('tbody tr').length === 1);
  await page.selectOption('select >> nth=1', '');
  await page.click('th button >> text=优先级');
  assert.equal(await page.getAttribute('th:nth-child(2)', 'aria-sort'), 'ascending');
  await page.click('th button >> text=优先级');
  assert.match((await page.textContent('tbody tr')) ?? '', /中/);
  const [file] = await Promise.all([page.waitForEvent('download'), page.click('text=保存 CSV')]);
  assert.equal(file.suggestedFilename(), '报警.csv');
  await page.fill('input[type="search"]', '烟感');
  await page.waitForFunction(() => document.querySelectorAll('tbody tr').length === 1);
  assert.equal(await page.locator('text=确认').count() > 0, true);
  await leave(seen);
});

test('an alarm is shelved with a reason, help is not offered to be, and its history tells', async () => {
  const seen = await visit(browser, school);
  const { page } = seen;
  await signIn(seen, 'guard', false, '/alarms?class=environment');
  await page.click('tbody a >> nth=1');
  await page.waitForSelector('dl.facts');
  await page.click('text=搁置');
  await page.fill('dialog input', '空调维修中');
  await page.click('dialog button[type="submit"]');
  await page.waitForSelector('dialog', { state: 'detached' });
  await page.waitForFunction(() => document.querySelector('.badge.good')?.textContent?.includes('已搁置'));
  assert.match((await page.textContent('tbody')) ?? '', /搁置.*guard.*空调维修中/);
  await page.click('text=取消搁置');
  await page.waitForFunction(() => document.querySelector('.badge.bad')?.textContent?.includes('未确认'));
  await page.goto('/alarms/1');
  await page.waitForSelector('dl.facts');
  assert.equal(await page.locator('.orders >> text=搁置').count(), 0);
  await leave(seen);
});

test('a hazard goes its way: found, checked, handled, closed', async () => {
  const seen = await visit(browser, school);
  const { page } = seen;
  await signIn(seen, 'guard', false, '/hazards');
  await page.click('text=登记隐患');
  await page.fill('dialog input', '消防栓漏水');
  await page.click('dialog button[type="submit"]');
  const row = page.locator('tbody tr', { hasText: '消防栓漏水' });
  await row.waitFor();
  for (const step of ['检查', '处理', '销号']) {
    await row.locator('button', { hasText: step }).click();
    await page.fill('dialog textarea', `${step}完毕`);
    await page.click('dialog button[type="submit"]');
    await page.waitForSelector('dialog', { state: 'detached' });
  }
  await row.waitFor({ state: 'detached' });
  await page.selectOption('select', 'all');
  await row.waitFor();
  assert.match((await row.textContent()) ?? '', /销号.*guard 销号完毕/);
  await leave(seen);
});

test('an area is armed and disarmed on the map, by those who may', async () => {
  const seen = await visit(browser, school);
  const { page } = seen;
  await signIn(seen, 'guard', false, '/map');
  const area = page.locator('.area');
  await area.waitFor();
  const wanted = (await area.textContent())?.includes('撤防') ? '布防' : '撤防';
  await area.locator('button', { hasText: new RegExp(`^${wanted}$`) }).click();
  await page.click('dialog button[type="submit"]');
  await page.waitForFunction((word) => document.querySelector('.area .badge')?.textContent === word, wanted);
  await leave(seen);
  const other = await visit(browser, school);
  await signIn(other, 'viewer', false, '/map');
  await other.page.waitForSelector('.area');
  assert.equal(await other.page.locator('.area button').count(), 0);
  await leave(other);
});

test('a muster is ended after a second look', async () => {
  const seen = await visit(browser, school);
  const { page } = seen;
  await signIn(seen, 'guard', false, '/muster');
  await page.click('text=结束清点');
  await page.click('.button.danger');
  // Smoke holds its own open until it is reset.
  await page.waitForFunction(() => /火警清点|现在没有清点/.test(document.querySelector('main')?.textContent ?? ''));
  await leave(seen);
});
