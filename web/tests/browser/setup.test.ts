// The first run of a real gateway: from the claim code to a gateway that reads a meter, with every problem at its field.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Browser, Locator, Page } from 'playwright-core';
import { accessible, DESK, fits, launch, leave, PHONE, picture, signIn, visit } from './rig/browser.ts';
import { meter, type Meter } from './rig/meter.ts';
import { newborn, type Newborn } from './rig/newborn.ts';
import { until } from './rig/process.ts';
import { PASSWORD } from './rig/school.ts';

const SECRET = 'a secret of the platform';
/** Eight settings of the line are tried, and numbers on meters' plates at some. */
const SCAN_MS = 150_000;

let browser: Browser;
let gateway: Newborn;
let line: Meter;
before(async () => {
  [browser, gateway, line] = await Promise.all([launch(), newborn(), meter('energy-meter/eastron-sdm630', 5)]);
});
after(async () => {
  await browser?.close();
  await gateway?.stop();
  await line?.stop();
});

/** What is told at a field, as a screen reader tells it. */
async function told(field: Locator, what: RegExp): Promise<void> {
  const page = field.page();
  await until(`${what} at its field`, async () => (await field.getAttribute('aria-invalid')) === 'true' || undefined);
  const ids = String(await field.getAttribute('aria-describedby')).split(' ');
  const texts = await Promise.all(ids.map((id) => page.locator(`#${id}`).textContent()));
  assert.match(texts.join(' '), what);
}

/** Messages of the console of errors, such as of a request that was refused. */
function errors(page: Page): string[] {
  const found: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error') found.push(`${message.text()} ${message.location().url}`);
  });
  return found;
}

test('a fresh gateway is claimed on a phone and set up on a desk, and then it reads its meter', async () => {
  const held = await visit(browser, gateway, { viewport: PHONE, touch: true });
  await held.page.goto('/');
  await held.page.getByLabel('认领码').fill('abcd-efgh-jkmn-pqrs-tvwx');
  await held.page.getByLabel('管理员账号').fill('admin');
  await held.page.getByLabel(/^密码/).fill(PASSWORD);
  await held.page.getByLabel('再输入一次密码').fill(PASSWORD);
  await accessible(held.page, 'claim');
  await fits(held.page, 'claim');
  await held.page.getByRole('button', { name: '认领网关' }).click();
  await held.page.locator('form .refusal').waitFor();
  await held.page.getByLabel('认领码').fill(gateway.code());
  await held.page.getByRole('button', { name: '认领网关' }).click();
  await held.page.locator('.setup h2', { hasText: '学校' }).waitFor();
  await accessible(held.page, 'the first run on a phone');
  await fits(held.page, 'the first run on a phone');
  await picture(held.page, 'setup-site-phone');
  await leave(held);

  const here = await visit(browser, gateway, { viewport: DESK });
  const { page } = here;
  const faults = errors(page);
  const sound = async (name: string): Promise<void> => {
    await page.setViewportSize(PHONE);
    await fits(page, `${name} on a phone`);
    await page.setViewportSize(DESK);
    await fits(page, name);
    await accessible(page, name);
  };
  const step = async (name: string): Promise<void> => {
    await page.locator('.setup h2', { hasText: name }).waitFor();
    await sound(name);
  };
  const next = async (): Promise<void> => page.getByRole('button', { name: '下一步' }).click();
  await page.goto('/');
  await page.fill('input[autocomplete="username"]', 'admin');
  await page.fill('input[type="password"]', PASSWORD);
  await page.click('button[type="submit"]');

  await step('学校');
  await page.getByLabel('学校名称').fill('示范小学');
  const id = page.getByLabel('网关编号');
  await id.fill('网关 1');
  await page.getByLabel('楼', { exact: true }).fill('教学楼\n食堂');
  await next();
  await told(id, /小写字母/);
  await picture(page, 'setup-problem-desk');
  await id.fill('gw-1');
  await next();

  await step('设备');
  await page.getByLabel('在哪里找').selectOption('serial');
  await page.getByLabel('串口', { exact: false }).first().fill(line.port);
  await page.getByLabel('站号', { exact: true }).fill('5');
  await page.getByRole('button', { name: '开始查找' }).click();
  await page.locator('.job progress').waitFor();
  await page.getByText('找到 1 台设备').waitFor({ timeout: SCAN_MS });
  await page.getByRole('checkbox', { name: `${line.port} / 5` }).check();
  const device = page.getByRole('group', { name: '设备 device-1' });
  assert.equal(await device.getByLabel('设备模板').inputValue(), 'eastron-sdm630');
  await device.getByLabel('名称').fill('教学楼总表');
  await device.getByLabel('地点').selectOption({ label: '教学楼' });
  // A second one is written by hand; nobody answers there.
  await page.getByLabel('总线种类').selectOption('modbus-tcp');
  await page.getByRole('button', { name: '添加总线' }).click();
  const bus = page.getByRole('group', { name: '总线 bus-2' });
  await bus.getByLabel('主机名或地址').fill('127.0.0.1');
  await bus.getByLabel('端口').fill('70000');
  await page.getByRole('button', { name: '添加设备' }).click();
  const second = page.getByRole('group', { name: '设备 device-2' });
  await second.getByLabel('名称').fill('食堂电表');
  await second.getByLabel('设备模板').fill('chint-dtsu666');
  await second.getByLabel('总线').selectOption('bus-2');
  await second.getByLabel('地址').fill('999');
  await next();
  await told(bus.getByLabel('端口'), /写 1 到 65535 的整数/);
  await told(second.getByLabel('地址'), /写 1 到 247 的整数/);
  // What lacks has no field that is wrong: it is told at the device.
  await second.getByRole('alert').filter({ hasText: /电流互感器/ }).waitFor();
  await sound('devices with problems');
  await bus.getByLabel('端口').fill('1');
  await second.getByLabel('地址').fill('7');
  await second.getByLabel('电流互感器变比').fill('40');
  await second.getByLabel('电压互感器变比').fill('1');
  await device.scrollIntoViewIfNeeded();
  await picture(page, 'setup-devices-desk');
  await next();

  await step('规则');
  await page.getByRole('checkbox', { name: /电压偏低/ }).check();
  const limit = page.getByLabel('低于 (V)');
  assert.equal(await limit.inputValue(), '198');
  await picture(page, 'setup-rules-desk');
  await limit.fill('9000');
  await next();
  await told(limit, /在 0 V 到 500 V 之间/);
  await limit.fill('200');
  await next();

  await step('上报');
  await page.getByRole('checkbox', { name: '上报到上级平台' }).check();
  await page.getByLabel('接口方式').selectOption('eduyun');
  const address = page.getByLabel('接口地址');
  await address.fill('http://192.0.2.9');
  await page.getByLabel('应用编号').fill('app-1');
  await page.getByLabel('应用密钥').fill(SECRET);
  await next();
  await told(address, /https/);
  await address.fill('https://192.0.2.9');
  await next();

  await step('检查并启用');
  for (const shown of ['示范小学', 'gw-1', '教学楼总表', '电压偏低', 'https://192.0.2.9']) {
    assert.equal(await page.locator('.setup .facts', { hasText: shown }).count(), 1, shown);
  }
  assert.equal(await page.getByText(SECRET).count(), 0);
  await picture(page, 'setup-finish-desk');
  // Until here nothing was refused or not there.
  assert.deepEqual(faults, []);
  await page.getByRole('button', { name: '启用' }).click();
  await page.waitForSelector('header.top', { timeout: 60_000 });

  await page.locator('header.top', { hasText: '示范小学' }).waitFor();
  const value = await until('a reading of the meter', async () => {
    const { points } = (await gateway.ask('GET', '/api/v1/devices/device-1')) as { points: Record<string, { value: number | null } | undefined> };
    return points.voltage_l1?.value ?? undefined;
  }, 60_000);
  assert.ok(value > 100 && value < 300, `${value} V`);
  await page.goto('/devices/device-1');
  await page.getByRole('heading', { name: '教学楼总表' }).waitFor();
  await page.locator('main', { hasText: 'eastron-sdm630' }).waitFor();
  await picture(page, 'setup-running-desk');
  await page.goto('/rules');
  await page.locator('main', { hasText: 'low-voltage' }).waitFor();
  await page.goto('/devices');
  await page.locator('main', { hasText: '食堂电表' }).waitFor();
  // While it started it was away; what it was asked for was there.
  assert.deepEqual(faults.filter((fault) => /\b404\b/.test(fault)), []);
  await leave(here);

  assert.match(gateway.written('conf.d/40-rules.toml'), /^below = 200$/m);
  assert.match(gateway.written('secrets/platform-secret'), /^schoolgate-sealed:v1:/);
});

test('whoever may not set a gateway up is not shown its first run', async () => {
  const other = await newborn();
  try {
    await other.ask('POST', '/api/v1/claim', { code: other.code(), name: 'admin', password: PASSWORD });
    await other.ask('POST', '/api/v1/accounts', { name: 'guard', role: 'guard', password: PASSWORD, actor: 'test' });
    const here = await visit(browser, other);
    await signIn(here, 'guard');
    assert.equal(await here.page.locator('.setup').count(), 0);
    await leave(here);
  } finally {
    await other.stop();
  }
});
