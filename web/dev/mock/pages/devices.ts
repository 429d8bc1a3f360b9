// The stand-in's devices: how they stand, what they said over a day, what was not understood.
import type { Site } from '../../../src/model.ts';
import { chance } from './chance.ts';
import type { Asked, Reply } from './reply.ts';
import { notFound, ok } from './reply.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

interface Made {
  id: string;
  name: string;
  class: string;
  profile: string;
  place: string;
  bus: string;
  points: string[];
  item?: string;
  /** Busiest hour of a meter, kWh. */
  busy?: number;
  fault?: string;
}

const METER = ['power_total', 'energy_import', 'voltage_l1', 'voltage_l2', 'voltage_l3', 'current_l1', 'power_factor_total', 'frequency'];
const CLIMATE = ['temperature', 'humidity', 'battery'];

const meter = (id: string, name: string, place: string, item: string, busy: number, fault?: string): Made => ({
  id, name, class: 'energy-meter', profile: 'acrel-adl400', place, bus: 'meters', points: METER, item, busy, ...(fault ? { fault } : {}),
});

export const made: Made[] = [
  meter('em-02', '教学楼照明电表', 'teaching-1', 'lighting', 22),
  meter('em-03', '教学楼空调电表', 'teaching', 'hvac', 48),
  meter('em-04', '机房电表', 'machine-room', 'special', 9),
  meter('em-05', '食堂总表', 'canteen', 'special', 36, 'timeout'),
  meter('em-06', '食堂空调电表', 'canteen', 'hvac', 14),
  meter('em-07', '宿舍楼总表', 'dormitory', 'lighting', 31),
  meter('em-08', '实验楼动力电表', 'lab', 'power', 19),
  { id: 'th-01', name: '机房温湿度', class: 'sensor', profile: 'aqara-wsdcgq11lm', place: 'machine-room', bus: 'broker', points: CLIMATE },
  { id: 'th-02', name: '食堂冷库温度', class: 'sensor', profile: 'aqara-wsdcgq11lm', place: 'canteen', bus: 'broker', points: CLIMATE },
  { id: 'water-1', name: '全校总水表', class: 'water-meter', profile: 'cjt188-cold', place: 'campus', bus: 'meters', points: ['volume', 'flow'] },
  { id: 'reader-1', name: '校门刷卡', class: 'card-reader', profile: 'hikvision-acs', place: 'gate', bus: 'readers', points: [] },
  { id: 'ups-1', name: '机房不间断电源', class: 'ups', profile: 'apc-smart', place: 'machine-room', bus: 'snmp', points: ['battery', 'load', 'voltage'], fault: 'unreachable' },
];

const ADVICE: Record<string, { zh: string; en: string }> = {
  timeout: { zh: '无应答：请检查站号、波特率、接线，或延长超时', en: 'no answer in time: check unit id, wiring, or lengthen the timeout' },
  unreachable: { zh: '连接不上：请检查网线、电源、IP 地址和端口', en: 'no connection: check cable, power, address and port' },
};

const UNITS: [RegExp, string, number, number][] = [
  [/^power_factor/, '1', 0.93, 0.05],
  [/^power/, 'kW', 26, 18],
  [/^energy/, 'kWh', 182_310, 12],
  [/^voltage/, 'V', 231, 4],
  [/^current/, 'A', 42, 20],
  [/^frequency/, 'Hz', 50, 0.05],
  [/^temperature/, '°C', 24, 4],
  [/^humidity/, '%', 52, 9],
  [/^(battery|load)/, '%', 78, 6],
  [/^volume/, 'm3', 8820, 3],
  [/^flow/, 'm3/h', 2.4, 2],
];

function value(device: string, point: string, at: number): { value: number; unit: string } {
  const [, unit, middle, swing] = UNITS.find(([known]) => known.test(point)) ?? [/./, '1', 1, 0];
  const clock = ((at / HOUR + 8) % 24) / 24;
  const wave = Math.sin((clock - 0.3) * 2 * Math.PI);
  return { value: Math.round((middle + swing * (wave * 0.7 + (chance(device + point, at / MINUTE) - 0.5) * 0.5)) * 1000) / 1000, unit };
}

/** Adds the stand-in's further places and devices to the school. */
export function furnish(site: Site): void {
  const add = (id: string, name: string): void => {
    const path = { zh: `${site.name} / ${name}`, en: `${site.name} / ${name}` };
    site.places.push({ id, kind: 'building', name, parent: 'campus', path, plan: null, x: null, y: null, counts: false, assembly: false });
  };
  add('dormitory', '宿舍楼');
  add('lab', '实验楼');
  for (const { id, name, class: kind, place } of made) site.devices.push({ id, name, class: kind, place, x: null, y: null });
  for (const { id, name, class: kind, place } of site.devices) {
    if (made.some((known) => known.id === id)) continue;
    const points = kind === 'meter' ? METER : [];
    made.push({ id, name, class: kind === 'meter' ? 'energy-meter' : kind, profile: 'demo', place, bus: 'demo', points, ...(kind === 'meter' ? { item: 'lighting', busy: 12 } : {}) });
  }
}

function view(device: Made, now: number): Record<string, unknown> {
  const down = device.fault !== undefined;
  const at = down ? now - 3 * HOUR : now - 20_000;
  const points = device.points.map((id) => [id, { ...value(device.id, id, at), quality: 'good', doubt: null, at, arrived_at: at, clock: 'gateway' }]);
  return {
    id: device.id, name: device.name, profile: device.profile, class: device.class, bus: device.bus, place: device.place,
    state: down ? 'down' : 'up', since: now - (down ? 3 : 40) * HOUR, fault: device.fault ?? null,
    advice: device.fault ? ADVICE[device.fault] : null, last_seen: at, points: Object.fromEntries(points), contract: null,
  };
}

export function answerDevices({ method, path, query }: Asked): Reply | null {
  const now = Date.now();
  const one = /^\/api\/v1\/devices\/([^/]+)(\/probe)?$/.exec(path);
  if (path === '/api/v1/devices') return ok({ rows: made.map((device) => view(device, now)), at: now });
  if (one) {
    const device = made.find(({ id }) => id === decodeURIComponent(one[1] ?? ''));
    if (!device) return notFound();
    if (!one[2]) return ok(view(device, now));
    if (method !== 'POST') return null;
    const good = !device.fault;
    const values = good ? device.points.map((point) => ({ point, ...value(device.id, point, now), quality: 'good', doubt: null })) : [];
    const says = good ? { zh: '3 次请求，3 次应答', en: '3 requests, 3 answered' } : { zh: '2 次请求，0 次应答；设备没有应答或拒绝', en: '2 requests, 0 answered; no answer in time' };
    return ok({ ok: good, took_ms: good ? 212 : 2004, asked: 3, answered: good ? 3 : 0, says, values });
  }
  switch (path) {
    case '/api/v1/rollups': {
      const [from, to] = [Number(query.get('from')), Math.min(Number(query.get('to')), now)];
      const [device, point] = [query.get('device') ?? '', query.get('point') ?? ''];
      const rows = [];
      for (let start = from; start < to; start += MINUTE) {
        const { value: mean, unit } = value(device, point, start);
        const counter = /^(energy|volume)/.test(point);
        rows.push({ device, point, unit, kind: counter ? 'counter' : 'gauge', start, period_secs: 60, count: 3, sum: mean * 3, min: mean, max: mean, last: mean, delta: counter ? chance(device, start) : null, revision: 0 });
      }
      return ok({ rows, level: 'minute' });
    }
    case '/api/v1/readings': {
      const [device, point] = [query.get('device') ?? '', query.get('point') ?? ''];
      const rows = Array.from({ length: 240 }, (_, n) => ({ seq: 1000 - n, device, point, at: now - n * MINUTE, ...value(device, point, now - n * MINUTE), quality: 'good' }));
      return ok({ rows, next_before: null });
    }
    case '/api/v1/events': {
      const kinds = ['power_fault', 'fault', 'tamper', 'battery_low'];
      const rows = Array.from({ length: 6 }, (_, n) => ({ seq: 60 - n, device: query.get('device'), at: now - n * 7 * HOUR, kind: kinds[n % 4], phase: n % 2 ? 'end' : 'start', code: null, retained: false, credential: null }));
      return ok({ rows, next_before: null });
    }
    case '/api/v1/quarantine': {
      const row = (n: number): unknown => ({ seq: 40 - n, at: now - n * 3 * HOUR, bus: 'broker', device: n % 2 ? 'th-02' : null, origin: 'zigbee2mqtt/kitchen', kind: 'bad_type', reason: 'temperature: a number was expected, found a text', raw: '{"temperature":"--","humidity":51}', raw_len: 34 });
      return ok({ rows: [0, 1, 2, 3].map(row), next_before: null });
    }
    case '/api/v1/strangers':
      return ok({ rows: [{ bus: 'broker', origin: 'zigbee2mqtt/0x00158d0001', first_at: now - 9 * HOUR, last_at: now - 4 * MINUTE, messages: 129 }] });
    default:
      return null;
  }
}
