// Energy in Chromium: what the page shows of years of meters is what the gateway answers and what its store holds.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import type { Browser, Locator, Page } from 'playwright-core';
import { accessible, DESK, fits, launch, leave, open, PHONE, picture, settled, signIn, speaksEnglish, visit, type Visit } from './rig/browser.ts';
import type { School } from './rig/school.ts';
import { BUILDINGS, clock, COUNTED, DAY_MS, HOUR_MS, lastYear, MAIN_IN, METERS, midnight, schoolWithYears, sql, UNMETERED } from './rig/year.ts';

type Periods = Map<number, number>;

const TODAY = midnight(Date.now());
/** Days on which one meter took five times what it takes: the last one, and one of the week before. */
const WILD = [TODAY - DAY_MS, TODAY - 8 * DAY_MS];
/** One on which a meter below the main one told twenty times what it takes. */
const WRONG = TODAY - 3 * DAY_MS;
/** The main meter of a building, and those below it. */
const MAIN = METERS.find(({ building }) => building === MAIN_IN)?.id ?? '';
const SUBS = METERS.filter(({ within }) => within === MAIN);

let browser: Browser;
let school: School;
before(async () => {
  browser = await launch();
  school = await schoolWithYears((fresh) => {
    for (const table of ['roll_up_day', 'roll_up_hour']) {
      for (const day of WILD) {
        sql(fresh, `update ${table} set delta = delta * 5 where start >= ? and start < ? and series = (select id from series where device = 'm000')`, day, day + DAY_MS);
      }
      sql(fresh, `update ${table} set delta = delta * 20 where start >= ? and start < ? and series = (select id from series where device = ?)`, WRONG, WRONG + DAY_MS, SUBS[0]?.id ?? '');
    }
  });
});
after(async () => {
  await browser?.close();
  await school?.stop();
});

interface Shown {
  unit: 'day' | 'week' | 'month' | 'year';
  from: number;
  to: number;
  /** What the page compares with unless told otherwise. */
  compare: 'comparable' | 'year';
}

/** A day, week, month and year that are over. */
function spans(): Shown[] {
  const weekday = (new Date(TODAY + DAY_MS / 2).getUTCDay() + 6) % 7;
  const monday = TODAY - weekday * DAY_MS;
  const first = TODAY - (Number(clock(TODAY).slice(8, 10)) - 1) * DAY_MS;
  const before = first - DAY_MS;
  const { from, to } = lastYear();
  return [
    { unit: 'day', from: TODAY - DAY_MS, to: TODAY, compare: 'comparable' },
    { unit: 'week', from: monday - 7 * DAY_MS, to: monday, compare: 'comparable' },
    { unit: 'month', from: first - Number(clock(before).slice(8, 10)) * DAY_MS, to: first, compare: 'comparable' },
    { unit: 'year', from, to, compare: 'year' },
  ];
}

const date = (ms: number): string => clock(ms).slice(0, 10);
const label = ({ unit }: Shown, ms: number): string => (unit === 'day' ? clock(ms).slice(11) : date(ms));
const path = ({ unit, from }: Shown, more = ''): string => `/energy?unit=${unit}&day=${date(from)}${more}`;
const sum = (values: Iterable<number>): number => [...values].reduce((all, one) => all + one, 0);
const grouped = (value: number): string => value.toLocaleString('zh-CN', { maximumFractionDigits: value < 100 ? 1 : 0 });
const near = (found: number, wanted: number, what: string): void => assert.ok(Math.abs(found - wanted) <= 1e-9 * Math.max(1, Math.abs(wanted)), `${what}: ${found} and not ${wanted}`);

/** What the store holds of these meters. */
function stored(from: number, to: number, hours: boolean, meters: readonly { id: string }[] = COUNTED): Periods {
  const rows = sql(
    school,
    `select r.start, sum(r.delta) from ${hours ? 'roll_up_hour' : 'roll_up_day'} r join series s on s.id = r.series
     where r.start >= ? and r.start < ? and s.device in (select value from json_each(?)) group by r.start order by r.start`,
    from,
    to,
    JSON.stringify(meters.map(({ id }) => id)),
  );
  return new Map(rows as [number, number][]);
}

/** What each period is compared with: 52 weeks before, or the median of the last ten days of its kind at the same time. */
function comparedWith(shown: Shown, meters: readonly { id: string }[] = COUNTED): Periods {
  const hours = shown.unit === 'day';
  const all = stored(shown.from - 366 * DAY_MS, shown.to, hours, meters);
  const weekend = (ms: number): boolean => [0, 6].includes(new Date(midnight(ms) + DAY_MS / 2).getUTCDay());
  const found: Periods = new Map();
  for (const at of all.keys()) {
    if (at < shown.from) continue;
    const days = Array.from({ length: 60 }, (_, i) => at - (i + 1) * DAY_MS).filter((day) => weekend(day) === weekend(at));
    const then = shown.compare === 'year' ? [at - 364 * DAY_MS] : days.slice(0, 10);
    const values = then.map((day) => all.get(day) ?? NaN).sort((a, b) => a - b);
    const middle = values.length / 2;
    found.set(at, ((values[Math.ceil(middle) - 1] ?? NaN) + (values[Math.floor(middle)] ?? NaN)) / 2);
  }
  return found;
}

interface Answer {
  rows: [number, number][];
  compare: [number, number][];
  total: number;
}
async function answered({ unit, from, to, compare }: Shown, of = ''): Promise<Answer> {
  return (await school.get(`/api/v1/energy/series?from=${from}&to=${to}&level=${unit === 'day' ? 'hour' : 'day'}&compare=${compare}${of}`)) as Answer;
}

async function come(phone = false, lang: 'zh-CN' | 'en-GB' = 'zh-CN'): Promise<Visit> {
  const here = await visit(browser, school, { viewport: phone ? PHONE : DESK, touch: phone, lang });
  await signIn(here, 'admin');
  return here;
}

async function cells(rows: Locator): Promise<string[][]> {
  return rows.evaluateAll((all) => all.map((row) => [...row.children].map((cell) => cell.textContent ?? '')));
}

/** The file behind a button, by cells. */
async function saved(page: Page, button: Locator): Promise<string[][]> {
  const [file] = await Promise.all([page.waitForEvent('download'), button.click()]);
  const text = readFileSync(await file.path(), 'utf8');
  assert.ok(text.startsWith('\ufeff'), 'spreadsheets see UTF-8');
  return text.slice(1).split('\r\n').filter(Boolean).map((line) => line.split(','));
}

/** The large figure of a card. */
async function large(page: Page, card: number): Promise<string> {
  return String(await page.locator('.totals .figure-big').nth(card).textContent()).trim();
}

/** The page tells this total. */
async function tells(page: Page, kwh: number): Promise<void> {
  await page.waitForFunction((text) => document.querySelector('.totals .figure-big')?.textContent?.trim() === text, `${grouped(kwh)} kWh`).catch(async (thrown: unknown) => {
    throw new Error(`${await large(page, 0)} and not ${grouped(kwh)} kWh`, { cause: thrown });
  });
}

/** How much more or less, as the page writes it. */
function change(now: number, then: number): string {
  const percent = Math.round((now / then - 1) * 1000) / 10;
  return `${percent > 0 ? '+' : percent < 0 ? '−' : '±'}${Math.abs(percent)}%`;
}

for (const shown of spans()) {
  test(`a ${shown.unit}: its total, chart, table and file agree with the answer and with the store`, async () => {
    const rows = stored(shown.from, shown.to, shown.unit === 'day');
    const then = comparedWith(shown);
    assert.equal(rows.size, (shown.to - shown.from) / (shown.unit === 'day' ? HOUR_MS : DAY_MS), 'the store holds all of it');
    const answer = await answered(shown);
    for (const [told, held] of [[answer.rows, rows], [answer.compare, then]] as const) {
      assert.deepEqual(told.map(([at]) => at), [...held.keys()]);
      for (const [at, kwh] of told) near(kwh, held.get(at) ?? NaN, clock(at));
    }
    const here = await come();
    const { page } = here;
    await open(page, path(shown));
    await page.waitForSelector('.chart canvas');
    const [now, before] = [sum(rows.values()), sum(then.values())];
    await tells(page, now);
    assert.ok((await large(page, 1)).includes(change(now, before)), `${await large(page, 1)} and not ${change(now, before)}`);
    const hint = String(await page.textContent('.totals .hint'));
    for (const kwh of [now, before]) assert.ok(hint.includes(`${Math.round(kwh).toLocaleString('zh-CN')} kWh`), hint);
    // Something is drawn, not an empty canvas.
    await page.waitForFunction(() => {
      const canvas = document.querySelector<HTMLCanvasElement>('.chart canvas');
      const dots = canvas?.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height).data;
      return !!dots && dots.some((dot) => dot !== 0);
    });
    const chart = page.locator('figure.chart').first();
    await chart.getByRole('button', { name: '表格' }).click();
    // The legend of a drawn chart is a table, too.
    const figures = chart.locator('table.plain tbody tr');
    await figures.first().waitFor();
    assert.deepEqual(await cells(figures), [...rows].map(([at, kwh]) => [label(shown, at), kwh.toFixed(1), (then.get(at) ?? NaN).toFixed(1)]));
    const [header, ...lines] = await saved(page, chart.getByRole('button', { name: 'CSV' }));
    assert.equal(header?.[0], '时间');
    assert.deepEqual(lines.map(([at]) => at), [...rows.keys()].map((at) => label(shown, at)));
    for (const [i, [at, kwh]] of [...rows].entries()) {
      near(Number(lines[i]?.[1]), kwh, `${clock(at)} in the file`);
      near(Number(lines[i]?.[2]), then.get(at) ?? NaN, `what ${clock(at)} is compared with in the file`);
    }
    await leave(here);
  });
}

test('a year by months and by buildings; a building is opened from there, and its figures are its own', async () => {
  const shown = spans()[3] as Shown;
  const here = await come();
  const { page } = here;
  await open(page, path(shown));
  const months = new Map<string, number>();
  for (const [at, kwh] of stored(shown.from, shown.to, false)) months.set(date(at).slice(0, 7), (months.get(date(at).slice(0, 7)) ?? 0) + kwh);
  const table = page.locator('section', { hasText: '逐日用电' }).locator('.table tbody tr');
  assert.deepEqual((await cells(table)).map((row) => row.slice(0, 2)), [...months].map(([month, kwh]) => [month, Math.round(kwh).toLocaleString('zh-CN')]));
  const buildings = page.locator('section', { hasText: '各楼用电' });
  await page.waitForFunction((many) => document.querySelectorAll('main section:last-of-type tbody a').length === many, BUILDINGS.length);
  const told = new Map((await cells(buildings.locator('tbody tr'))).map(([name = '', kwh = '']) => [name, kwh]));
  for (const { id, name } of BUILDINGS) {
    const kwh = sum(stored(shown.from, shown.to, false, COUNTED.filter(({ building }) => building === id)).values());
    assert.equal([...told].find(([path]) => path.includes(name))?.[1], Math.round(kwh).toLocaleString('zh-CN'), name);
  }
  await buildings.getByRole('link', { name: '食堂' }).click();
  await page.waitForFunction(() => new URL(location.href).searchParams.get('place') === 'canteen');
  const meters = COUNTED.filter(({ building }) => building === 'canteen');
  const kwh = sum(stored(shown.from, shown.to, false, meters).values());
  await tells(page, kwh);
  near((await answered(shown, '&place=canteen')).total, kwh, 'the answer of the canteen');
  // A single meter, from the list.
  await page.getByLabel('范围').selectOption('device:m007');
  await tells(page, sum(stored(shown.from, shown.to, false, [{ id: 'm007' }]).values()));
  await leave(here);
});

test('what is below a main meter is not added again; its rest is shown, and when those below have more than it', async () => {
  const [yesterday] = spans() as [Shown];
  const of = (meters: readonly { id: string }[], from: number): number => sum(stored(from, from + DAY_MS, true, meters).values());
  const here = await come();
  const { page } = here;
  const meters = page.locator('.meters');
  await open(page, path(yesterday));
  await meters.waitFor();
  assert.equal(await meters.textContent(), `${METERS.length} 只表，其中 ${SUBS.length} 只在总表之下，不重复计。`);
  await tells(page, of(COUNTED, yesterday.from));
  // What it was used for adds up to that.
  const items = page.locator('section', { hasText: '分项用电' }).locator('tbody tr');
  const uses = new Map((await cells(items)).map(([name = '', kwh = '']) => [name, kwh]));
  const untold = of(METERS.filter(({ item, id }) => !item && id !== MAIN), yesterday.from) + UNMETERED * of(SUBS, yesterday.from);
  assert.equal(uses.get('未分项'), Math.round(untold).toLocaleString('zh-CN'));

  await page.getByLabel('范围').selectOption(`device:${MAIN}`);
  const below = page.locator('section', { hasText: '下级表' }).locator('tbody tr');
  await below.first().waitFor();
  const told = await cells(below);
  assert.deepEqual(told.map(([name]) => name), [...SUBS.map(({ name }) => name), '其余：下级表未计量的及线损']);
  assert.equal(told[0]?.[1], Math.round(of(SUBS.slice(0, 1), yesterday.from)).toLocaleString('zh-CN'));
  assert.equal(told[SUBS.length]?.[1], Math.round(UNMETERED * of(SUBS, yesterday.from)).toLocaleString('zh-CN'));
  assert.equal(await meters.count(), 0, 'there is nothing to say of one meter');
  await page.getByLabel('日期').fill(date(WRONG));
  const more = of(SUBS, WRONG) - of([{ id: MAIN }], WRONG);
  const name = METERS.find(({ id }) => id === MAIN)?.name;
  await meters.getByText(`“${name}”的分表合计大于总表 ${grouped(more)} kWh`).waitFor();
  await tells(page, of([{ id: MAIN }], WRONG));
  // One of them is opened from there; nothing is below it.
  await below.getByRole('link').first().click();
  await page.waitForFunction((id) => new URL(location.href).searchParams.get('device') === id, SUBS[0]?.id);
  await tells(page, of(SUBS.slice(0, 1), WRONG));
  assert.equal(await below.count(), 0);
  await leave(here);
});

test('a day is compared with comparable days, the week before, the year before, or nothing', async () => {
  const [yesterday] = spans() as [Shown];
  const here = await come();
  const { page } = here;
  await open(page, path(yesterday));
  const now = sum(stored(yesterday.from, yesterday.to, true).values());
  const usual = sum(comparedWith(yesterday).values());
  const against = page.getByLabel('对比');
  const compared = async (text: string): Promise<void> => {
    await page.waitForFunction((wanted) => document.querySelectorAll('.totals .figure-big')[1]?.textContent?.includes(wanted), text);
  };
  await compared(change(now, usual));
  await against.selectOption('week');
  const before = sum(stored(yesterday.from - 7 * DAY_MS, yesterday.to - 7 * DAY_MS, true).values());
  await compared(change(now, before));
  // Hours of a year before are not kept: nothing is said, rather than something wrong.
  await against.selectOption('year');
  await page.waitForFunction(() => document.querySelectorAll('.totals .card').length === 1);
  await against.selectOption('none');
  await settled(page);
  assert.equal(await page.locator('.totals .card').count(), 1);
  await tells(page, now);
  await leave(here);
});

test('energy is walked through by the keyboard alone', async () => {
  const [yesterday] = spans() as [Shown];
  const here = await come();
  const { page } = here;
  await open(page, path(yesterday));
  await page.getByRole('button', { name: '前一段' }).focus();
  await page.keyboard.press('Enter');
  await page.waitForFunction((day) => document.querySelector('.span-name')?.textContent === day, date(yesterday.from - DAY_MS));
  await page.keyboard.press('Shift+Tab');
  await page.keyboard.press('Space');
  await page.waitForFunction(() => new URL(location.href).searchParams.get('unit') === 'year');
  await leave(here);
});

for (const phone of [false, true]) {
  test(`energy loads whole, fits and is accessible ${phone ? 'on a phone' : 'on a desk'}`, async () => {
    const here = await come(phone);
    const { page } = here;
    const [day, , , year] = spans() as [Shown, Shown, Shown, Shown];
    for (const [name, shown] of [['energy', day], ['energy-year', year]] as const) {
      await open(page, path(shown));
      await page.waitForSelector('.chart canvas');
      assert.equal(await page.textContent('main h1'), '用能');
      assert.equal(await page.locator('main .refusal').count(), 0, await page.textContent('main').then(String));
      await fits(page, name);
      await accessible(page, name);
      if (!phone) await page.setViewportSize({ ...DESK, height: shown === day ? 1000 : DESK.height });
      await page.evaluate((long) => (long ? document.querySelector('main section')?.scrollIntoView() : scrollTo(0, 0)), shown === year);
      await picture(page, `${name}-${phone ? 'phone' : 'desk'}`);
    }
    await leave(here);
  });
}

test('energy speaks English when asked to', async () => {
  const here = await come(false, 'en-GB');
  for (const shown of spans()) {
    await open(here.page, path(shown));
    await here.page.waitForSelector('.chart canvas');
    assert.equal(await here.page.textContent('main h1'), 'Energy');
    await speaksEnglish(here.page, shown.unit);
  }
  await leave(here);
});
