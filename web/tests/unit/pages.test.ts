// The parts of the installation's pages that decide something and touch nothing.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { site } from '../../src/live.ts';
import type { PlaceOnMap, Site } from '../../src/model.ts';
import { perDay } from '../../src/pages/alarm-days.ts';
import { bytes, change, completeness, counted, listed, measured, number, percent } from '../../src/pages/numbers.ts';
import { placeOf, within } from '../../src/pages/places.ts';
import { pointName } from '../../src/pages/points.ts';
import { EXPLAINED, RIGHTS, ROLES } from '../../src/pages/roles.ts';
import { beside, byMonth } from '../../src/pages/series.ts';
import { DAY_MS, HOUR_MS, rowName, spanAt, spanName, type Unit } from '../../src/pages/span.ts';
import { besides, EMPTY, merged, newDevice, payload, places, stepOf, take, taken, wrongIn, type Draft } from '../../src/setup/draft.ts';
import { lang } from '../../src/texts.ts';

const path = (zh: string): { zh: string; en: string } => ({ zh, en: zh });
function place(id: string, parent: string | null, kind: PlaceOnMap['kind'] = 'building'): PlaceOnMap {
  return { id, kind, name: id, parent, path: path(`校 / ${id}`), plan: null, x: null, y: null, counts: false, assembly: false };
}
function school(timezone: string): Site {
  return { name: '校', gateway: 'gw', timezone, places: [], devices: [], contacts: [] };
}
site.set(school('Asia/Shanghai'));
/** A moment in Shanghai. */
const at = (text: string): number => Date.parse(`${text}+08:00`);

test('spans begin and end at midnight of the school, weeks on Monday', () => {
  const now = at('2026-11-18T10:30:00');
  const cases: [Unit, number, string, string, string][] = [
    ['day', 0, '2026-11-18T00:00:00', '2026-11-19T00:00:00', '2026-11-18'],
    ['day', -18, '2026-10-31T00:00:00', '2026-11-01T00:00:00', '2026-10-31'],
    ['week', 0, '2026-11-16T00:00:00', '2026-11-23T00:00:00', '2026-11-16 – 2026-11-22'],
    ['month', 0, '2026-11-01T00:00:00', '2026-12-01T00:00:00', '2026-11'],
    ['month', 2, '2027-01-01T00:00:00', '2027-02-01T00:00:00', '2027-01'],
    ['quarter', 0, '2026-10-01T00:00:00', '2027-01-01T00:00:00', '2026 Q4'],
    ['quarter', -4, '2025-10-01T00:00:00', '2026-01-01T00:00:00', '2025 Q4'],
    ['year', 0, '2026-01-01T00:00:00', '2027-01-01T00:00:00', '2026'],
  ];
  for (const [unit, off, from, to, name] of cases) {
    const span = spanAt(unit, now, off);
    assert.deepEqual(span, { from: at(from), to: at(to) }, `${unit} ${off}`);
    assert.equal(spanName(unit, span), name);
  }
});

test('a Sunday belongs to the week that began six days before', () => {
  assert.equal(spanAt('week', at('2026-11-22T23:59:59')).from, at('2026-11-16T00:00:00'));
  assert.equal(spanAt('week', at('2026-11-23T00:00:00')).from, at('2026-11-23T00:00:00'));
});

test('days on which clocks are turned are as long as they are', () => {
  site.set(school('Europe/Berlin'));
  const spring = spanAt('day', Date.parse('2026-03-29T12:00:00Z'));
  const autumn = spanAt('day', Date.parse('2026-10-25T12:00:00Z'));
  assert.equal(spring.to - spring.from, 23 * HOUR_MS);
  assert.equal(autumn.to - autumn.from, 25 * HOUR_MS);
  site.set(school('Asia/Shanghai'));
});

test('rows of a day are named by the hour, others by the day', () => {
  assert.equal(rowName('day', at('2026-11-18T07:00:00')), '07:00');
  assert.equal(rowName('week', at('2026-11-18T00:00:00')), '2026-11-18');
});

test('only what has both is compared', () => {
  const rows: [number, number | null][] = [[0, 10], [1, 20], [2, 30], [3, null]];
  // The second has nothing comparable, the last two have nothing to compare.
  const answer = { rows, compare: [[0, 8], [2, 40], [3, 9], [4, 50]] as [number, number][], total: 60 };
  assert.deepEqual(beside(answer), { total: 60, compared: { now: 40, then: 48 } });
  assert.deepEqual(beside({ rows }), { total: 60, compared: null });
  assert.deepEqual(beside({ rows, compare: [] }), { total: 60, compared: null });
});

test('months add up their days, by the clock of the school', () => {
  const rows: [number, number | null][] = [[at('2026-01-31T00:00:00'), 1], [at('2026-02-01T00:00:00'), 2], [at('2026-02-28T00:00:00'), null], [at('2026-02-27T00:00:00'), 5]];
  assert.deepEqual([...byMonth(rows)], [['2026-01', 1], ['2026-02', 7]]);
});

test('alarms are counted by day, also days without any, and none of another span', () => {
  const from = at('2026-11-16T00:00:00');
  const days = perDay(
    [
      { raised_at: from, priority: 'critical' },
      { raised_at: from + DAY_MS - 1, priority: 'low' },
      { raised_at: from + 2 * DAY_MS, priority: 'high' },
      { raised_at: from + 3 * DAY_MS, priority: 'high' },
      { raised_at: from - 1, priority: 'high' },
    ],
    from,
    from + 3 * DAY_MS,
  );
  assert.deepEqual(days.map(({ all, urgent }) => [all, urgent]), [[2, 1], [0, 0], [1, 1]]);
});

test('numbers, shares and sizes', () => {
  lang.set('en');
  assert.equal(number(1234567.891, 1), '1,234,567.9');
  assert.equal(number(null), '—');
  assert.equal(number(Number.NaN), '—');
  assert.equal(measured(231.26), '231.3');
  assert.equal(measured(0.98765), '0.988');
  assert.equal(percent(0.1234), '12.3%');
  assert.equal(percent(null), '—');
  assert.equal(bytes(0), '0 B');
  assert.equal(bytes(1536), '2 KiB');
  assert.equal(bytes(4_294_967_296), '4 GiB');
  assert.equal(bytes(undefined), '—');
  assert.equal(change(110, 100), '+10%');
  assert.equal(change(90, 100), '−10%');
  assert.equal(change(100, 100), '±0%');
  assert.equal(change(1, 0), '—');
  assert.equal(listed(['a', 'b']), 'a, b');
  assert.equal(counted('rules', 3), 'rules (3)');
  lang.set('zh');
  assert.equal(listed(['甲', '乙']), '甲、乙');
});

test('what lacks one record of a million is not called complete', () => {
  assert.equal(completeness({ owed: 1_000_000, accepted: 999_999 }).text, '99.99%');
  assert.equal(completeness({ owed: 5, accepted: 5 }).text, '100%');
  assert.equal(completeness({ owed: 0, accepted: 0 }).text, '100%');
});

test('points are named by their parts, and by their id where no part is known', () => {
  lang.set('zh');
  assert.equal(pointName('energy_import'), '正向有功电能');
  assert.equal(pointName('voltage_l1_l2'), '电压（AB相间）');
  lang.set('en');
  assert.equal(pointName('power_total'), 'power, total');
  assert.equal(pointName('made_up_l1'), 'made_up_l1');
  assert.equal(pointName(''), '');
});

test('a place holds those below it, in whatever order they are listed, and rings end', () => {
  const all = [place('room', 'floor'), place('floor', 'house'), place('house', 'campus'), place('campus', null), place('other', 'campus')];
  assert.deepEqual([...(within('house', all) ?? [])].sort(), ['floor', 'house', 'room']);
  assert.equal(within('', all), null);
  assert.equal(within('a', [place('a', 'b'), place('b', 'a')])?.size, 2);
  assert.equal(placeOf('house', all), '校 / house');
  assert.equal(placeOf('gone', all), 'gone');
});

test('the table of roles is that of the gateway', () => {
  const source = readFileSync(new URL('../../../src/access/role.rs', import.meta.url), 'utf8');
  const body = /fn rights\(self\)[\s\S]*?match self \{([\s\S]*?)\n {8}\}/.exec(source)?.[1] ?? '';
  const found = [...body.matchAll(/Self::(\w+) => &\[([^\]]*)\]/g)].map(([, role = '', rights = '']) => [
    role.toLowerCase(),
    [...rights.matchAll(/\w+/g)].map(([right]) => right.toLowerCase()).sort(),
  ]);
  const own = ROLES.map((role) => [role, [...RIGHTS[role]].sort()]);
  assert.deepEqual(own.sort(), found.sort());
  for (const role of ROLES) for (const right of RIGHTS[role]) assert.ok(EXPLAINED.includes(right), `${role} ${right}`);
});

test('the first run sends what was filled in, without blanks around it and buildings once each', () => {
  const draft: Draft = { ...EMPTY, site: { name: ' 示范小学 ', gateway: ' gw-1 ', school_code: '' }, buildings: '教学楼\n\n 食堂 \n教学楼' };
  assert.deepEqual(places(draft).map(({ id, name, parent }) => [id, name, parent ?? null]), [
    ['campus', '示范小学', null],
    ['building-1', '教学楼', 'campus'],
    ['building-2', '食堂', 'campus'],
  ]);
  const sent = payload(draft) as { site: Record<string, unknown>; places: { id: string }[]; destination: unknown };
  assert.deepEqual(sent.site, { name: '示范小学', gateway: 'gw-1', school_code: null });
  assert.deepEqual(sent.places.map(({ id }) => id), ['campus', 'building-1', 'building-2']);
  assert.equal(sent.destination, null);
});

test('what was found is taken over once, on a bus of its own kind and with the addresses as the configuration has them', () => {
  const likely = [{ profile: 'acrel-adl400', percent: 94 }];
  const network = { bus: '192.168.1.7:502', address: '2', likely };
  const line = { bus: '/dev/ttyUSB0', address: '000012345678', line: { baud: 2400, parity: 'even' } };
  const converter = { bus: '192.168.1.7:502', address: '9', line: { baud: 4800, parity: null } };
  let draft: Draft = EMPTY;
  for (const found of [network, { ...network, address: '3' }, line, converter]) {
    assert.equal(taken(draft, found), -1);
    draft = { ...draft, ...take(draft, found) };
  }
  assert.equal(taken(draft, line), 2);
  const sent = payload(draft) as { buses: unknown; devices: Record<string, unknown>[] };
  assert.deepEqual(sent.buses, [
    { id: 'bus-1', kind: 'modbus-tcp', host: '192.168.1.7', port: 502 },
    { id: 'bus-2', kind: 'serial', path: '/dev/ttyUSB0', baud: 2400, parity: 'even' },
    { id: 'bus-3', kind: 'serial', host: '192.168.1.7', port: 502, baud: 4800 },
  ]);
  assert.deepEqual(sent.devices.map(({ id, bus, address, profile }) => [id, bus, address, profile]), [
    ['device-1', 'bus-1', 2, 'acrel-adl400'],
    ['device-2', 'bus-1', 3, 'acrel-adl400'],
    ['device-3', 'bus-2', '000012345678', ''],
    ['device-4', 'bus-3', 9, ''],
  ]);
  // An id that became free is used again, none twice.
  assert.equal(newDevice({ ...draft, devices: draft.devices.slice(1) }).id, 'device-1');
});

test('what is no number goes to the gateway as it was typed, what is empty not at all', () => {
  const draft: Draft = {
    ...EMPTY,
    buses: [{ id: 'b', way: 'modbus-tcp', values: { host: ' 10.0.0.7 ', port: '5o2' } }, { id: 'm', way: 'mqtt', values: { host: 'h', password: ' with spaces ' } }],
    devices: [{ ...newDevice(EMPTY), bus: 'b', address: 'one', ct: '40', pt: '1.5' }, { ...newDevice(EMPTY), bus: 'm', address: '12' }],
  };
  const sent = payload(draft) as { buses: Record<string, unknown>[]; devices: Record<string, unknown>[] };
  assert.deepEqual(sent.buses[0], { id: 'b', kind: 'modbus-tcp', host: '10.0.0.7', port: '5o2' });
  assert.deepEqual(sent.buses[1], { id: 'm', kind: 'mqtt', host: 'h', port: null, username: null, password: ' with spaces ' });
  assert.deepEqual(sent.devices.map(({ address, ct, pt, name }) => [address, ct, pt, name]), [['one', 40, 1.5, null], ['12', null, null, null]]);
});

test('rules keep what was chosen and typed when they are asked for again; only those chosen are sent', () => {
  const row = { id: 'low', about: { zh: '电压偏低', en: 'voltage below 198 V' }, rule: { id: 'low', kind: 'threshold', devices: ['a'], below: 198, unit: 'V' } };
  const [first] = merged([row, { ...row, id: 'other' }], []);
  assert.ok(first && !first.on);
  assert.deepEqual(first.limits, { below: '198' });
  const again = merged([{ ...row, rule: { ...row.rule, devices: ['a', 'b'] } }], [{ ...first, on: true, limits: { below: '200' } }]);
  const sent = payload({ ...EMPTY, rules: [...again, { ...first, id: 'other' }] }) as { rules: unknown };
  assert.deepEqual(sent.rules, [{ id: 'low', kind: 'threshold', devices: ['a', 'b'], below: 200, unit: 'V' }]);
});

test('every problem is told in the step of its field, and what is of no field at the end', () => {
  const wrong = (field: string): { field: string; zh: string; en: string } => ({ field, zh: '错', en: 'wrong' });
  const cases = [['site.name', 'site'], ['places[1].name', 'site'], ['buses[0].host', 'devices'], ['devices[2].place', 'devices'], ['rules[0].below', 'rules'], ['destination.base_url', 'destination'], ['', 'finish']];
  for (const [field = '', step] of cases) assert.equal(stepOf(field), step, field);
  assert.equal(wrongIn('devices', [wrong('site.name'), wrong('devices[0].name'), wrong('buses[1]')]).length, 2);
  const besideFields = besides('devices[1]', ['name'], ['devices[1]', 'devices[1].name', 'devices[1].at', 'devices[10].at'].map(wrong));
  assert.deepEqual(besideFields.map(({ field }) => field), ['devices[1]', 'devices[1].at']);
});
