// The pages of the installation: that each loads whole and can be used by all, and what each is for.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Browser } from 'playwright-core';
import { RIGHTS } from '../../src/pages/roles.ts';
import type { Right, Role } from '../../src/session.ts';
import { accessible, DESK, fits, launch, leave, open, PHONE, picture, settled, signIn, speaksEnglish, visit, type Visit } from './rig/browser.ts';
import { until } from './rig/process.ts';
import { School } from './rig/school.ts';

/** A platform that nobody has switched on. */
const PLATFORM = `
[[destination]]
id = "district"
kind = "shield"
base_url = "http://127.0.0.1:9/"
app_id = "test"
secret_file = "receiver.secret"
`;

let browser: Browser;
let school: School;
before(async () => {
  [browser, school] = await Promise.all([launch(), School.claimed(PLATFORM)]);
  // One reading, of a room that is too hot.
  school.temperature(41);
  await until('the heat is an alarm', async () => {
    const { rows } = (await school.get('/api/v1/alarms?open=true')) as { rows: unknown[] };
    return rows.length > 0 || undefined;
  });
});
after(async () => {
  await browser?.close();
  await school?.stop();
});

interface Come {
  role?: Role;
  phone?: boolean;
  lang?: 'zh-CN' | 'en-GB';
  path?: string;
}

/** Somebody signs in and comes to a page; errors that the page tells of are kept besides those of the rig. */
async function come({ role = 'admin', phone = false, lang = 'zh-CN', path = '/' }: Come): Promise<Visit> {
  const here = await visit(browser, school, { viewport: phone ? PHONE : DESK, touch: phone, lang });
  here.page.on('console', (message) => {
    if (message.type() === 'error') here.faults.push(`${message.text()} (${message.location().url})`);
  });
  await signIn(here, role, role === 'kiosk');
  // What is told before somebody signed in is not of this page.
  here.faults.length = 0;
  if (path !== '/') await open(here.page, path);
  return here;
}

const DEVICE = '/devices/th-1';

/** Every page and part of one: a name, where it is, its heading in both languages. */
const PAGES: [name: string, path: string, zh: string, en: string][] = [
  ['devices', '/devices', '设备', 'Devices'],
  ['quarantine', '/devices?tab=quarantine', '设备', 'Devices'],
  ['strangers', '/devices?tab=strangers', '设备', 'Devices'],
  ['device', DEVICE, '', ''],
  ['rules', '/rules', '规则', 'Rules'],
  ['rules-try', '/rules?tab=try', '规则', 'Rules'],
  ['uploads', '/uploads', '上报', 'Uploads'],
  ['report-shift', '/reports', '报告', 'Reports'],
  ['report-figures', '/reports?tab=figures', '报告', 'Reports'],
  ['report-period', '/reports?tab=period', '报告', 'Reports'],
  ['accounts', '/users', '账号', 'Accounts'],
  ['tokens', '/users?tab=tokens', '账号', 'Accounts'],
  ['sessions', '/users?tab=sessions', '账号', 'Accounts'],
  ['roles', '/users?tab=roles', '账号', 'Accounts'],
  ['me', '/me', '我的账号', 'My account'],
  ['approvals', '/approvals', '导出审批', 'Approvals'],
  ['audit', '/audit', '审计', 'Audit'],
  ['system', '/system', '系统', 'System'],
  ['export', '/system?tab=export', '系统', 'System'],
  ['discovery', '/system?tab=discovery', '系统', 'System'],
];

for (const phone of [false, true]) {
  test(`every page loads whole, fits and is accessible ${phone ? 'on a phone' : 'on a desk'}`, async (t) => {
    const here = await come({ phone });
    for (const [name, path, zh] of PAGES) {
      await t.test(name, async () => {
        await open(here.page, path);
        if (zh) assert.equal(await here.page.textContent('main h1'), zh);
        assert.equal(await here.page.locator('main .refusal').count(), 0, await here.page.textContent('main').then(String));
        await fits(here.page, name);
        await accessible(here.page, name);
        if (!phone) await here.page.setViewportSize({ ...DESK, height: TALL.has(name) ? 1000 : DESK.height });
        await here.page.evaluate(() => scrollTo(0, 0));
        await picture(here.page, `${name}-${phone ? 'phone' : 'desk'}`, phone && SHORT.has(name));
      });
    }
    await leave(here);
  });
}

/** Pages that are short enough to be kept whole on a phone. */
const SHORT = new Set(['me', 'system', 'rules-try']);
/** Pages of which a picture should show the chart. */
const TALL = new Set(['report-period', 'report-figures', 'device', 'uploads']);

test('pages speak English when asked to', async () => {
  const here = await come({ lang: 'en-GB' });
  for (const [name, path, , en] of PAGES) {
    if (!en) continue;
    await open(here.page, path);
    assert.equal(await here.page.textContent('main h1'), en, name);
    await speaksEnglish(here.page, name);
  }
  await leave(here);
});

/** What each page needs, as the gateway asks for it. */
const NEEDS: Record<string, Right> = {
  '/devices': 'see', '/energy': 'energy', '/rules': 'see', '/reports': 'reports', '/uploads': 'diagnose',
  '/system': 'diagnose', '/users': 'accounts', '/approvals': 'approve', '/audit': 'audit',
};

test('each role sees the pages that it has a right to, and no other', async (t) => {
  for (const role of Object.keys(RIGHTS) as Role[]) {
    await t.test(role, async () => {
      const here = await come({ role });
      const shown = await here.page.locator('header.top nav a').evaluateAll((links) => links.map((link) => link.getAttribute('href')));
      for (const [path, right] of Object.entries(NEEDS)) {
        const may = RIGHTS[role].includes(right) && role !== 'kiosk';
        assert.equal(shown.includes(path), may, `${role} and the link to ${path}`);
        await open(here.page, path);
        const heading = await here.page.locator('main h1').count();
        assert.equal(heading > 0, may, `${role} at ${path}`);
        assert.equal(await here.page.locator('main .refusal').count(), 0, `${role} is refused at ${path}`);
      }
      await leave(here);
    });
  }
});

test('nothing is offered that a role may not do', async () => {
  const viewer = await come({ role: 'viewer', path: '/devices' });
  assert.equal(await viewer.page.getByText('看不懂的报文').count(), 0);
  await viewer.page.goto(DEVICE);
  await viewer.page.waitForSelector('main h1');
  assert.equal(await viewer.page.getByText('立即询问设备').count(), 0);
  await leave(viewer);
  // Whoever may not see energy over time sees the latest readings.
  const guard = await come({ role: 'guard', path: DEVICE });
  assert.equal(await guard.page.getByText('最近的读数').count(), 1);
  assert.equal(await guard.page.getByText('一天的读数').count(), 0);
  await leave(guard);
  const auditor = await come({ role: 'auditor', path: '/system' });
  assert.equal(await auditor.page.getByText('现在备份').count(), 0);
  assert.equal(await auditor.page.getByText('查找设备').count(), 0);
  await leave(auditor);
  const technician = await come({ role: 'technician', path: '/system' });
  assert.equal(await technician.page.getByText('现在备份').count(), 1);
  await leave(technician);
});

test('devices are found by name, state and place, and the choice is in the address', async () => {
  const here = await come({ path: '/devices' });
  const { page } = here;
  const rows = page.locator('main .table tbody tr');
  const all = await rows.count();
  assert.ok(all > 1);
  const name = String(await rows.first().locator('a').textContent());
  await page.fill('input[type="search"]', name);
  await page.waitForFunction((most) => document.querySelectorAll('main .table tbody tr').length < most, all);
  assert.match(page.url(), /[?&]q=/);
  for (const text of await rows.allTextContents()) assert.ok(text.includes(name), text);
  // A link shows the same rows.
  await page.reload();
  await page.waitForSelector('main .table tbody tr');
  await settled(page);
  assert.ok((await rows.count()) < all);
  await leave(here);
});

test('rules are tried on the past, with progress and an outcome', async () => {
  const here = await come({ path: '/rules?tab=try' });
  const { page } = here;
  await page.getByRole('button', { name: '开始试' }).click();
  await page.waitForSelector('.job');
  await page.waitForFunction(() => /已完成|失败/.test(document.querySelector('.job')?.textContent ?? ''), undefined, { timeout: 60_000 });
  assert.match(String(await page.textContent('.job')), /已完成/);
  assert.match(String(await page.textContent('main')), /会报 \d+ 次；当时报了 \d+ 次/);
  await accessible(page, 'the outcome of a try-out');
  await page.locator('.job').scrollIntoViewIfNeeded();
  await page.locator('.timeline').evaluate((line) => line.scrollIntoView({ block: 'center' }));
  await picture(page, 'rules-outcome-desk');
  await leave(here);
});

test('an account is added, changed and removed; a token is shown once', async () => {
  const here = await come({ path: '/users' });
  const { page } = here;
  const name = '新来的老师';
  await page.getByRole('button', { name: '添加账号' }).click();
  const dialog = page.locator('dialog');
  await dialog.getByLabel('账号').fill(name);
  await dialog.getByLabel(/^密码/).fill('short');
  await dialog.getByText('至少 12 个字符').first().waitFor();
  assert.equal(await dialog.getByRole('button', { name: '保存' }).isDisabled(), true, 'a short password is not taken');
  await dialog.getByLabel(/^密码/).fill('三棵银杏树下的石凳 88');
  await accessible(page, 'the form of an account');
  await dialog.getByRole('button', { name: '保存' }).click();
  await page.locator('tbody tr', { hasText: name }).waitFor();
  await page.getByRole('button', { name: `修改账号：${name}` }).click();
  await dialog.getByLabel('角色').selectOption('technician');
  await dialog.getByRole('button', { name: '保存' }).click();
  await page.locator('tbody tr', { hasText: name }).filter({ hasText: '运维' }).waitFor();
  await page.getByRole('button', { name: `删除账号：${name}` }).click();
  await dialog.getByRole('button', { name: '删除' }).click();
  await page.locator('tbody tr', { hasText: name }).waitFor({ state: 'detached' });
  // Nobody removes themselves.
  assert.equal(await page.getByRole('button', { name: '删除账号：admin' }).count(), 0);

  await open(page, '/users?tab=tokens');
  await page.getByRole('button', { name: '添加令牌' }).click();
  await dialog.getByLabel('程序名称').fill('screen-1');
  await dialog.getByRole('button', { name: '生成' }).click();
  const token = await page.getByLabel('令牌', { exact: true }).inputValue();
  assert.ok(token.length >= 20, 'the text of the token is there');
  await page.getByRole('button', { name: '已抄下' }).click();
  await page.reload();
  await page.locator('tbody tr', { hasText: 'screen-1' }).waitFor();
  assert.equal((await page.content()).includes(token), false, 'it is never shown again');
  await page.getByRole('button', { name: '吊销令牌：screen-1' }).click();
  await dialog.getByRole('button', { name: '吊销' }).click();
  await page.locator('tbody tr', { hasText: 'screen-1' }).waitFor({ state: 'detached' });
  await leave(here);
});

test('every file that a report is offered as is there', async () => {
  const here = await come({ role: 'viewer' });
  const { page } = here;
  for (const path of ['/reports', '/reports?tab=figures', '/reports?tab=period']) {
    await open(page, path);
    const files = await page.locator('main a[download]').evaluateAll((links) => links.map((link) => (link as HTMLAnchorElement).href));
    assert.ok(files.length > 0, path);
    for (const file of files) {
      const got = await page.evaluate(async (url) => {
        const answer = await fetch(url);
        return [answer.status, answer.headers.get('content-type') ?? ''] as const;
      }, file);
      assert.equal(got[0], 200, file);
      assert.match(got[1], file.includes('format=pdf') ? /pdf/ : /csv/, file);
    }
  }
  await leave(here);
});

test('the audit trail is verified and told', async () => {
  const here = await come({ role: 'auditor', path: '/audit' });
  const { page } = here;
  await page.getByRole('button', { name: '核对审计记录' }).click();
  await page.getByText(/完整：[\d,]+ 行都与写下时一样/).waitFor();
  const rows = page.locator('main .table tbody tr');
  const all = await rows.count();
  await page.getByLabel('做了什么').selectOption({ label: '添加账号' });
  await page.waitForFunction((most) => document.querySelectorAll('main .table tbody tr').length < most, all);
  await page.getByLabel('在对象和说明中查找').fill('KIOSK');
  await page.waitForFunction(() => document.querySelectorAll('main .table tbody tr').length === 1);
  assert.match(String(await rows.textContent()), /添加账号.*kiosk/);
  // A link shows the same rows.
  await page.reload();
  await page.waitForFunction(() => document.querySelectorAll('main .table tbody tr').length === 1);
  await leave(here);
});

test('a platform that is away is told with what waits for it', async () => {
  const here = await come({ role: 'technician', path: '/uploads' });
  const row = here.page.locator('main .table tbody tr').first();
  await here.page.waitForFunction(() => /重试中/.test(document.querySelector('main')?.textContent ?? ''), undefined, { timeout: 15_000 });
  assert.match(String(await row.textContent()), /district.*\d+%.*[1-9]/);
  await leave(here);
});

test('a device is asked on the spot and says so', async () => {
  const here = await come({ role: 'technician', path: DEVICE });
  const { page } = here;
  await page.getByRole('button', { name: '立即询问设备' }).click();
  await page.locator('.probe .notice').waitFor({ timeout: 15_000 });
  assert.match(String(await page.textContent('.probe .notice')), /次请求|主动上报/);
  await leave(here);
});
