// The mock's reports: a shift and a period with their figures.

import { chance } from './chance.ts';
import type { Asked, Reply } from './reply.ts';
import { ok } from './reply.ts';

const HOUR = 3_600_000;
const OFFSET = 8 * HOUR;

/** The shift of 08:00 to 20:00 or of the night around a moment. */
function shift(at: number): [number, number] {
  const half = 12 * HOUR;
  const from = Math.floor((at + OFFSET - 8 * HOUR) / half) * half + 8 * HOUR - OFFSET;
  return [from, from + half];
}

function kpi(from: number) {
  const announced = 20 + Math.floor(chance('announced', from) * 20);
  return {
    announced,
    per_guard: Math.round((announced / 72) * 10_000) / 10_000,
    most: 7,
    floods: [],
    flood_share: 0,
    standing: [12],
    chattering: 1,
    taken: { critical: { count: 2, p50_ms: 14_000, p95_ms: 28_000 }, medium: { count: 18, p50_ms: 64_000, p95_ms: 240_000 } },
    life: { count: 2, first: 2, second: 2 },
    others: { count: 5, first: 4, second: 5 },
    untaken: 1,
    by_priority: { critical: 2, high: 5, medium: 11, low: announced - 18 },
    top_share: 0.21,
    confirmed: { real: 8, false: 2, nuisance: 1 },
    false_share: 0.1818,
    inhibited: 4,
    shelved: [],
    out_of_service: [],
  };
}

function figures(from: number) {
  const figure = (name: [string, string], value: [string, string], target: [string, string], holds: boolean | null) => ({
    name: { zh: name[0], en: name[1] },
    value: { zh: value[0], en: value[1] },
    target: { zh: target[0], en: target[1] },
    holds,
  });
  const n = String(kpi(from).announced);
  return [
    figure(['提示的报警', 'alarms announced'], [n, n], ['', ''], null),
    figure(['每人每10分钟', 'per guard and 10 minutes'], ['0.42', '0.42'], ['不超过1（最多2）', '1 at most (2 can be managed)'], true),
    figure(['10分钟内最多', 'most within 10 minutes'], ['7', '7'], ['不超过10', '10 at most'], true),
    figure(['反复报警', 'alarms that came and went'], ['1', '1'], ['0', '0'], false),
    figure(['求助、火警及时确认', 'help and fire acknowledged in time'], ['2条；30秒内100.0%，60秒内100.0%', '2; 100.0% within 30 s, 100.0% within 60 s'], ['30秒内80%，60秒内98.5%', '80% within 30 s, 98.5% within 60 s'], true),
    figure(['尚未确认', 'announced and not taken'], ['1', '1'], ['0', '0'], false),
  ];
}

function entry(id: number, at: number, more: Record<string, unknown> = {}) {
  return {
    id,
    priority: id % 3 === 0 ? 'high' : 'medium',
    class: 'energy',
    what: { zh: '放学后负荷 7.2 kW，高于 5 kW', en: '7.2 kW after school, above 5 kW' },
    place: { zh: '本部 / 教学楼', en: 'campus / teaching' },
    raised_at: at,
    came: 1,
    state: 'C',
    chattering: false,
    taken_by: '王保安',
    taken_at: at + 42_000,
    taken_after_ms: 42_000,
    note: '已关空调',
    truth: 'real',
    ...more,
  };
}

function content(from: number, to: number, at: number) {
  return {
    site: '示例小学',
    gateway: 'gw-1',
    from,
    to,
    made_at: at,
    guards: 2,
    open: [entry(31, from + HOUR, { state: 'B', taken_by: null, taken_at: null, taken_after_ms: null, note: '', truth: null })],
    quiet: [{ id: 28, priority: 'low', what: { zh: '电表3无数据', en: 'nothing from meter 3' }, place: { zh: '本部 / 食堂', en: 'campus / canteen' }, how: 'shelved', since: from, until: to, until_clear: false, by: '李工', note: '正在更换' }],
    alarms: [entry(29, from + HOUR / 2), entry(30, from + HOUR), entry(31, from + 2 * HOUR)],
    not_listed: 0,
    unreadable: 0,
    hazards: [],
    silent: [{ device: 'meter-canteen', name: '食堂总表', place: { zh: '本部 / 食堂', en: 'campus / canteen' }, fault: 'timeout', since: from }],
    areas: [{ name: '实验楼', mode: 'armed', by: '王保安', since: from, open: 0, bypassed: 1 }],
    uploads: [{ destination: 'city', waiting: 2811, lag_secs: 10_800 }],
    kpi: kpi(from),
    figures: figures(from),
  };
}

function period(unit: string, from: number, to: number, at: number) {
  const kwh = ((to - from) / HOUR) * 125;
  return {
    head: { site: '示例小学', gateway: 'gw-1', from, to, made_at: at, guards: 2 },
    unit,
    figures: figures(from),
    energy: { kwh, comparable_kwh: kwh * 1.04, before_kwh: kwh * 0.97, year_before_kwh: null, items: [['lighting', kwh * 0.4], ['hvac', kwh * 0.45], [null, kwh * 0.15]] },
    devices: [
      { device: 'em-05', name: '食堂总表', place: { zh: '示范小学 / 食堂', en: 'canteen' }, share: 0.913, down_ms: 9 * HOUR, outages: 2 },
      { device: 'em-02', name: '教学楼照明电表', place: { zh: '示范小学 / 教学楼', en: 'teaching' }, share: 1, down_ms: 0, outages: 0 },
    ],
    uploads: [
      { destination: 'province', owed: 37_200, accepted: 37_200, waiting: 0, set_aside: 0, share: 1 },
      { destination: 'city', owed: 37_200, accepted: 34_389, waiting: 2808, set_aside: 3, share: 0.924 },
    ],
  };
}

const UNITS: Record<string, number> = { week: 7, month: 30, quarter: 91 };

export function answerReports({ path, query }: Asked): Reply | null {
  if (!path.startsWith('/api/v1/reports/')) return null;
  const now = Date.now();
  const given = (key: string) => (query.has(key) ? Number(query.get(key)) : null);
  const at = given('at') ?? now;
  const unit = query.get('unit') ?? 'week';
  const days = UNITS[unit] ?? 7;
  const [begin, end] = path.endsWith('/period') ? [at, at + days * 24 * HOUR] : shift(at);
  const [from, to] = [given('from') ?? begin, Math.min(given('to') ?? end, now)];
  switch (query.get('format') ?? 'json') {
    case 'pdf':
      return { status: 200, type: 'application/pdf', body: "%PDF-1.4\n%%EOF\n" };
    case 'csv':
      return { status: 200, type: 'text/csv;charset=utf-8', body: "\ufeff指标,值\r\n" };
    case 'html':
      return { status: 200, type: 'text/html;charset=utf-8', body: '<!doctype html><title>report</title>' };
    default:
  }
  if (path === '/api/v1/reports/alarm-kpi') {
    return ok({ from, to, guards: 2, kpi: kpi(from), figures: figures(from) });
  }
  const sha256 = '5d41'.repeat(16);
  if (path.endsWith('/period')) return ok({ content: period(unit, from, to, now), sha256 });
  return ok({ content: content(from, to, now), sha256 });
}
