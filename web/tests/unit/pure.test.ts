// The parts of the pages that decide something and touch nothing.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { spotOf, upwards } from '../../src/campus/spot.ts';
import { Cell } from '../../src/cell.ts';
import { onDesk, sooner, sounding, tone } from '../../src/desk/order.ts';
import { BEEPS, length, type Tone } from '../../src/desk/tones.ts';
import type { Alarm, Site } from '../../src/model.ts';
import { match } from '../../src/match.ts';
import { grouped, whole } from '../../src/sign/code.ts';
import { Reader } from '../../src/sse.ts';
import { csvOf } from '../../src/ui/csv.ts';
import { aligned } from '../../src/ui/series.ts';
import { zoned } from '../../src/ui/zone.ts';

function alarm(id: number, over: Partial<Alarm> = {}): Alarm {
  return {
    id, key: { rule: 'r', subject: 's' }, class: 'help', priority: 'critical', device: null, place: null, what: { zh: '甲', en: 'a' },
    raised_at: id * 1000, active: true, occurrences: 1, cleared_at: null, acknowledged: null, latched: true, reset: null, closed_at: null,
    state: 'B', silent: false, announced: true, ...over,
  };
}
const taken = { by: '王老师', at: 1, note: '' };
const ids = (alarms: Alarm[]): number[] => alarms.map(({ id }) => id);

test('the desk shows the oldest unacknowledged critical alarm first, real ones before drills, taken ones last', () => {
  const all = [
    alarm(1, { acknowledged: taken }),
    alarm(2, { priority: 'low' }),
    alarm(3, { drill: true }),
    alarm(5),
    alarm(4),
    alarm(6, { priority: 'high' }),
    alarm(7, { announced: false }),
  ];
  assert.deepEqual(ids(onDesk(all)), [4, 5, 6, 2, 3, 1]);
});

test('what is more urgent than what is shown takes its place', () => {
  const cases: [Alarm, Alarm, boolean][] = [
    [alarm(2), alarm(1, { priority: 'high' }), true],
    [alarm(2), alarm(1), false],
    [alarm(2, { priority: 'low' }), alarm(1, { acknowledged: taken }), true],
    [alarm(2, { priority: 'low' }), alarm(1, { drill: true }), true],
    [alarm(2, { drill: true }), alarm(1, { priority: 'low' }), false],
    [alarm(2, { acknowledged: taken }), alarm(1, { priority: 'low' }), false],
  ];
  for (const [a, b, expected] of cases) assert.equal(sooner(a, b), expected, JSON.stringify([a, b]));
});

test('what is silent, muted or taken does not sound; the most urgent of the rest gives the sound', () => {
  const all = [alarm(1, { silent: true }), alarm(2), alarm(3, { acknowledged: taken }), alarm(4, { priority: 'medium' }), alarm(5, { priority: 'high' })];
  assert.deepEqual(ids(sounding(all, new Set([2]))), [4, 5]);
  assert.equal(tone(sounding(all, new Set([2]))), 'high');
  assert.equal(tone(sounding(all, new Set())), 'critical');
  assert.equal(tone([]), null);
});

test('each priority has a sound of its own, shorter than the pause until it sounds again', () => {
  const tones = Object.keys(BEEPS) as Tone[];
  assert.deepEqual(tones.sort(), ['critical', 'high', 'lost', 'low', 'medium']);
  assert.equal(new Set(tones.map((one) => JSON.stringify(BEEPS[one]))).size, tones.length);
  for (const one of tones) assert.ok(length(one) > 0.2 && length(one) < 6, one);
});

test('server-sent events are read whole however they are cut', () => {
  const text = 'retry: 1000\n\nid: 7\nevent: alarm\ndata: {"a":\ndata: 1}\n\n: note\nevent: beat\r\ndata: {}\r\n\r\ndata:x\n\nevent: empty\n\n';
  const expected = [
    { id: '7', event: 'alarm', data: '{"a":\n1}' },
    { id: null, event: 'beat', data: '{}' },
    { id: null, event: 'message', data: 'x' },
  ];
  for (let size = 1; size <= text.length; size++) {
    const reader = new Reader();
    const found = [];
    for (let at = 0; at < text.length; at += size) found.push(...reader.push(text.slice(at, at + size)));
    assert.deepEqual(found, expected, `pieces of ${size}`);
  }
});

test('a line that does not end is given up', () => {
  const reader = new Reader();
  assert.throws(() => {
    for (let i = 0; i < 100; i++) reader.push('x'.repeat(100_000));
  });
});

const site: Site = {
  name: '', gateway: '', timezone: 'Asia/Shanghai', contacts: [],
  places: [
    { id: 'campus', kind: 'campus', name: '校', parent: null, path: { zh: '', en: '' }, plan: '/c', x: null, y: null, counts: false, assembly: false },
    { id: 'hall', kind: 'building', name: '楼', parent: 'campus', path: { zh: '', en: '' }, plan: null, x: 0.2, y: 0.3, counts: false, assembly: false },
    { id: 'floor', kind: 'floor', name: '层', parent: 'hall', path: { zh: '', en: '' }, plan: '/f', x: null, y: null, counts: false, assembly: false },
    { id: 'room', kind: 'room', name: '室', parent: 'floor', path: { zh: '', en: '' }, plan: null, x: 0.5, y: 0.6, counts: false, assembly: false },
    { id: 'attic', kind: 'room', name: '阁', parent: 'hall', path: { zh: '', en: '' }, plan: null, x: null, y: null, counts: false, assembly: false },
  ],
  devices: [
    { id: 'smoke', name: '', class: '', place: 'room', x: 0.7, y: 0.8 },
    { id: 'meter', name: '', class: '', place: 'room', x: null, y: null },
  ],
};

test('an alarm is shown on the nearest plan: at its device, else at its place, else at what is around it', () => {
  const cases: [string | null, string | null, unknown][] = [
    ['smoke', 'room', ['/f', 0.7, 0.8]],
    ['meter', 'room', ['/f', 0.5, 0.6]],
    [null, 'room', ['/f', 0.5, 0.6]],
    [null, 'floor', ['/f', null, null]],
    [null, 'attic', ['/c', 0.2, 0.3]],
    [null, 'hall', ['/c', 0.2, 0.3]],
    [null, 'campus', ['/c', null, null]],
    ['gone', 'hall', ['/c', 0.2, 0.3]],
    [null, 'nowhere', null],
    [null, null, null],
  ];
  for (const [device, place, expected] of cases) {
    const spot = spotOf(site, device, place);
    assert.deepEqual(spot && [spot.plan, spot.x, spot.y], expected, `${device} ${place}`);
  }
});

test('a ring of places ends', () => {
  const ring = { ...site, places: site.places.map((place) => (place.id === 'campus' ? { ...place, parent: 'room' } : place)) };
  assert.equal(upwards(ring, 'room').length, 4);
});

test('paths fit patterns or do not', () => {
  assert.deepEqual(match('/alarms/:id', '/alarms/7'), { id: '7' });
  assert.deepEqual(match('/alarms/:id', '/alarms/%E7%94%B2/'), { id: '甲' });
  assert.deepEqual(match('/alarms', '/alarms/'), {});
  assert.deepEqual(match('/', '/'), {});
  for (const path of ['/alarms', '/alarms/7/8', '/alarm/7', '/alarms/%', '/']) assert.equal(match('/alarms/:id', path), null, path);
});

test('claim codes are grouped as they are typed, and what looks alike is understood', () => {
  assert.equal(grouped('abcd efgh'), 'ABCD-EFGH');
  assert.equal(grouped('oil-u'), '011');
  assert.equal(grouped('0123456789abcdefghjkmn'), '0123-4567-89AB-CDEF-GHJK');
  assert.ok(whole('0123-4567-89AB-CDEF-GHJK'));
  assert.ok(!whole('0123-4567-89AB-CDEF-GHJ'));
});

test('CSV: quotes, lines, formulas, nothing', () => {
  const text = csvOf(['a', 'b'], [['x,y', 1.5], ['he "said"\n', null], ['=1+1', -2], ['-', 0]]);
  assert.equal(text, '\ufeffa,b\r\n"x,y",1.5\r\n"he ""said""\n",\r\n\'=1+1,-2\r\n\'-,0\r\n');
});

test('series with different moments stand side by side', () => {
  const [xs, a, b] = aligned([
    { name: 'a', rows: [[3, 30], [1, 10]] },
    { name: 'b', rows: [[2, 20], [3, null]] },
  ]);
  assert.deepEqual([xs, a, b], [[1, 2, 3], [10, null, 30], [null, 20, null]]);
});

test('moments are those of the school, wherever the browser is', () => {
  const shanghai = zoned('Asia/Shanghai');
  const at = Date.UTC(2026, 10, 22, 16, 5, 9);
  assert.deepEqual(shanghai.parts(at), { year: 2026, month: 11, day: 23, hour: 0, minute: 5, second: 9 });
  assert.equal(shanghai.momentOf('2026-11-23T00:05'), at - 9000);
  assert.equal(shanghai.momentOf('2026-11-23'), Date.UTC(2026, 10, 22, 16));
  assert.equal(shanghai.momentOf('yesterday'), null);
  // An hour that is not there in spring, and a day of 25 hours in autumn.
  const london = zoned('Europe/London');
  for (const day of ['2026-03-28', '2026-03-29', '2026-03-30', '2026-10-25', '2026-10-26']) {
    const midnight = london.momentOf(day);
    assert.ok(midnight !== null);
    const { year, month, day: date, hour, minute } = london.parts(midnight);
    assert.deepEqual([year, month, date, hour, minute], [...day.split('-').map(Number), 0, 0], day);
  }
});

test('a cell tells of changes only, and not those who left', () => {
  const cell = new Cell(1);
  let told = 0;
  const leave = cell.watch(() => told++);
  cell.set(1);
  cell.set(2);
  leave();
  cell.set(3);
  assert.equal(told, 1);
});
