// The first run: from the claim code to a gateway that works, with every problem at its field.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Browser, Locator, Page } from 'playwright-core';
import { accessible, DESK, fits, launch, leave, PHONE, picture, visit } from './rig/browser.ts';
import { standIn, type Ground } from './rig/ground.ts';
import { PASSWORD } from './rig/school.ts';

let browser: Browser;
let place: Ground;
before(async () => {
  [browser, place] = await Promise.all([launch(), standIn()]);
});
after(async () => {
  await browser?.close();
  await place?.stop();
});

/** What is told at a field, as a screen reader tells it. */
async function told(page: Page, field: Locator): Promise<string> {
  assert.equal(await field.getAttribute('aria-invalid'), 'true');
  const ids = String(await field.getAttribute('aria-describedby')).split(' ');
  const texts = await Promise.all(ids.map((id) => page.locator(`#${id}`).textContent()));
  return texts.join(' ');
}

for (const phone of [false, true]) {
  test(`a fresh gateway is claimed and set up ${phone ? 'on a phone' : 'on a desk'}`, async () => {
    await fetch(`${place.url}/dev/newborn`);
    await fetch(`${place.url}/dev/unclaimed`);
    const here = await visit(browser, place, { viewport: phone ? PHONE : DESK, touch: phone });
    const { page } = here;
    const size = phone ? 'phone' : 'desk';
    const step = async (name: string): Promise<void> => {
      await page.locator('.setup h2', { hasText: name }).waitFor();
      await fits(page, name);
      await accessible(page, name);
    };
    const next = async (): Promise<void> => page.getByRole('button', { name: '下一步' }).click();

    await page.goto('/');
    await page.getByLabel('认领码').fill('abcd-efgh-jkmn-pqrs-tvwx');
    await page.getByLabel('管理员账号').fill('admin');
    await page.getByLabel(/^密码/).fill(PASSWORD);
    await page.getByLabel('再输入一次密码').fill(PASSWORD);
    await page.getByRole('button', { name: '认领网关' }).click();

    await step('学校');
    await page.getByLabel('学校名称').fill('示范小学');
    const gateway = page.getByLabel('网关编号');
    await gateway.fill('网关 1');
    await page.getByLabel('楼', { exact: true }).fill('教学楼\n食堂');
    await next();
    await page.locator('[aria-invalid="true"]').waitFor();
    assert.match(await told(page, gateway), /小写字母/);
    await picture(page, `setup-problem-${size}`);
    await gateway.fill('gw-1');
    await next();

    await step('设备');
    await page.getByRole('button', { name: '开始查找' }).click();
    await page.locator('.job progress').waitFor();
    await page.getByText('找到 2 台设备').waitFor({ timeout: 20_000 });
    await page.getByRole('checkbox', { name: /192\.168\.1\.7:502 \/ 1/ }).check();
    await page.getByLabel('名称').fill('教学楼总表');
    await page.getByLabel('地点').selectOption({ label: '教学楼' });
    await accessible(page, 'devices that were found');
    await fits(page, 'devices that were found');
    await picture(page, `setup-devices-${size}`);
    await next();

    await step('规则');
    await page.getByRole('checkbox', { name: '电压偏低' }).check();
    await next();

    await step('上报');
    await page.getByRole('checkbox', { name: '上报到上级平台' }).check();
    const address = page.getByLabel('接口地址');
    await address.fill('http://platform.example');
    await page.getByLabel('应用编号').fill('app-1');
    await page.getByLabel('应用密钥').fill('a secret of the platform');
    await next();
    await page.locator('[aria-invalid="true"]').waitFor();
    assert.match(await told(page, address), /https/);
    await address.fill('https://platform.example');
    await next();

    await step('检查并启用');
    for (const shown of ['示范小学', 'gw-1', '教学楼总表', '电压偏低', 'https://platform.example']) {
      assert.equal(await page.locator('.setup .facts', { hasText: shown }).count(), 1, shown);
    }
    assert.equal(await page.getByText('a secret of the platform').count(), 0);
    await picture(page, `setup-finish-${size}`);
    await page.getByRole('button', { name: '启用' }).click();
    await page.waitForSelector('header.top', { timeout: 20_000 });
    await leave(here);
  });
}

test('whoever may not set the gateway up is not shown the first run', async () => {
  await fetch(`${place.url}/dev/newborn?no`);
  await fetch(`${place.url}/api/v1/session`, { method: 'DELETE' });
  const here = await visit(browser, place);
  await here.page.goto('/');
  await here.page.fill('input[autocomplete="username"]', 'guard');
  await here.page.fill('input[type="password"]', PASSWORD);
  await here.page.click('button[type="submit"]');
  await here.page.waitForSelector('header.top');
  assert.equal(await here.page.locator('.setup').count(), 0);
  await leave(here);
});
