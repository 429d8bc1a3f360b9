// The mock's long work: jobs that go on by the clock, rules, uploads, the machine.

import { chance } from './chance.ts';
import type { Asked, Reply } from './reply.ts';
import { accepted, notFound, ok, refused } from './reply.ts';

const DAY = 86_400_000;

interface Job {
  id: string;
  kind: string;
  by: string;
  begun_at: number;
  stopped_at: number | null;
  /** How long it takes, ms. */
  takes: number;
  of: number | null;
  given: Record<string, unknown>;
}

const jobs: Job[] = [];
let next = 1;
const TAKES: Record<string, number> = { discovery: 4000, replay: 3000, export: 2000, backup: 2500, probe: 800 };

export const found = {
  found: 2,
  devices: [
    {
      bus: '192.168.1.7:502',
      address: '1',
      identity: ['Acrel', 'ADL400'],
      compared: true,
      likely: [
        { profile: 'acrel-adl400', name: { zh: '安科瑞 ADL400', en: 'Acrel ADL400' }, percent: 94, reasons: [{ zh: '电压、电流、电能都符合', en: 'voltage, current and energy fit' }] },
        { profile: 'eastron-sdm630', name: { zh: '伊斯特 SDM630', en: 'Eastron SDM630' }, percent: 41, reasons: [{ zh: '电能为零', en: 'energy is zero' }] },
      ],
    },
    {
      bus: '192.168.1.7:502',
      address: '2',
      identity: [],
      compared: true,
      likely: [{ profile: 'eastron-sdm630', name: { zh: '伊斯特 SDM630', en: 'Eastron SDM630' }, percent: 88, reasons: [{ zh: '各相之和等于总和', en: 'phases add up' }] }],
    },
  ],
  remarks: [{ zh: '192.168.1.9：可以连接，不应答 Modbus', en: '192.168.1.9: takes connections, does not answer Modbus' }],
  toml: `[[bus]]
id = 'net-7'
kind = 'modbus_tcp'
host = '192.168.1.7'

# 94 % looks like acrel-adl400
[[device]]
id = 'meter-1'
name = '电表1'
profile = 'acrel-adl400'
bus = 'net-7'
address = '1'
place = 'campus'
ct = 1

# 88 % looks like eastron-sdm630
[[device]]
id = 'meter-2'
name = '电表2'
profile = 'eastron-sdm630'
bus = 'net-7'
address = '2'
place = 'campus'
`,
};

function outcome(job: Job): unknown {
  const from = Number(job.given.from ?? Date.now() - 7 * DAY);
  switch (job.kind) {
    case 'discovery':
      return found;
    case 'replay':
      return {
        would: 4,
        did: 3,
        rows: [0, 1, 2, 3, 4].map((n) => ({
          rule: ['teaching-after-hours', 'low-voltage', 'meter-silent'][n % 3],
          subject: ['meter-teaching', 'meter-main', 'meter-canteen'][n % 3],
          from: from + n * DAY + 7 * 3_600_000,
          to: n === 4 ? null : from + n * DAY + (8 + n) * 3_600_000,
          would: n !== 2,
          did: n < 3,
        })),
        more: 0,
        oldest: { reading: from - 30 * DAY, event: from - 30 * DAY },
      };
    case 'backup':
      return { files: 3, bytes: 48_211_968, dir: '/var/lib/schoolgate/backups/1790000000000' };
    case 'export':
      return { rows: 120_340, bytes: 9_221_120 };
    default:
      return null;
  }
}

const NOTES: Record<string, [string, string]> = {
  discovery: ['正在询问 192.168.1.7', 'asking 192.168.1.7'],
  replay: ['已算到昨天', 'reckoned up to yesterday'],
  export: ['正在写出读数', 'writing readings'],
  backup: ['正在复制数据库', 'copying the database'],
};

function told(job: Job): Record<string, unknown> {
  const now = Date.now();
  const over = job.stopped_at !== null || now >= job.begun_at + job.takes;
  const share = Math.min(1, ((job.stopped_at ?? now) - job.begun_at) / job.takes);
  const [zh, en] = NOTES[job.kind] ?? ['', ''];
  const whole = over && job.stopped_at === null;
  return {
    id: job.id,
    kind: job.kind,
    by: job.by,
    begun_at: job.begun_at,
    ended_at: over ? (job.stopped_at ?? job.begun_at + job.takes) : null,
    state: over ? (job.stopped_at === null ? 'done' : 'stopped') : 'running',
    done: Math.floor(share * (job.of ?? 100)),
    of: job.of,
    note: { zh, en },
    result: whole ? outcome(job) : null,
    file: whole && job.kind === 'export' ? `/api/v1/jobs/${job.id}/file` : null,
  };
}

export function begin(kind: string, given: Record<string, unknown>, by: string): Reply {
  const takes = TAKES[kind];
  if (takes === undefined) return refused(400, '“kind”的值无效', "'kind' is not known");
  const running = jobs.find((job) => job.kind === kind && told(job).state === 'running');
  if (running) return refused(409, '这项工作正在进行：请等它结束或先停止', 'this work goes on: wait or stop it');
  const job = { id: String(next++), kind, by, begun_at: Date.now(), stopped_at: null, takes, of: 100, given };
  jobs.unshift(job);
  jobs.splice(20);
  return accepted({ id: job.id });
}

export function answerWork({ method, path, body, name }: Asked): Reply | null {
  if (path === '/api/v1/jobs') {
    if (method === 'GET') return ok({ rows: jobs.map(told) });
    return begin(String(body.kind), body, name);
  }
  const id = /^\/api\/v1\/jobs\/(\d+)(\/file)?$/.exec(path);
  if (id) {
    const job = jobs.find((known) => known.id === id[1]);
    if (!job) return notFound();
    if (id[2]) return { status: 200, type: 'application/octet-stream', body: "Schoolgate\n" };
    if (method === 'DELETE') job.stopped_at ??= Math.min(Date.now(), job.begun_at + job.takes);
    return ok(told(job));
  }
  if (path === '/api/v1/rules') return ok({ rows: rules });
  if (path === '/api/v1/uploads') return ok({ rows: uploads(Date.now()) });
  if (path === '/api/v1/system') return ok(system(Date.now()));
  const aside = /^\/api\/v1\/destinations\/([^/]+)\/set-aside$/.exec(path);
  if (aside) {
    const rows = aside[1] === 'city' ? [1, 2, 3].map((n) => setAside(n, Date.now())) : [];
    return ok({ rows, next_before: null });
  }
  return null;
}

function rule(
  id: string,
  kind: string,
  doc: [string, string],
  priority: string,
  place: string | null,
  says: [string, string],
  more: Record<string, unknown> = {},
) {
  return {
    id,
    kind,
    doc: { zh: doc[0], en: doc[1] },
    priority,
    class: 'energy',
    place,
    says: { zh: says[0], en: says[1] },
    file: 'conf.d/40-rules.toml',
    line: 12,
    open: 0,
    raised_30d: Math.floor(chance(id) * 9),
    never: null,
    ...more,
  };
}

const rules = [
  rule('always.help', 'always', ['求助始终报警', 'calls for help always raise an alarm'], 'critical', null, ['按下求助按钮', 'a help button is pressed'], { class: 'help', file: null, line: null }),
  rule('always.fire', 'always', ['火警始终报警', 'fire always raises an alarm'], 'critical', null, ['消防主机报火警', 'a fire panel reports fire'], { class: 'fire', file: null, line: null, open: 1 }),
  rule('teaching-after-hours', 'outside_hours', ['非教学时间的负荷', 'load outside teaching hours'], 'medium', 'teaching', ['放学后超过 5 kW 持续 30 分钟', 'above 5 kW for 30 minutes after school'], { open: 1 }),
  rule('main-overload', 'threshold', ['数值越限', 'a value beyond a limit'], 'high', 'campus', ['总功率高于 340 kW 持续 2 分钟', 'total power above 340 kW for 2 minutes']),
  rule('low-voltage', 'threshold', ['数值越限', 'a value beyond a limit'], 'medium', 'campus', ['电压低于 198 V 持续 5 分钟', 'voltage below 198 V for 5 minutes']),
  rule('meter-silent', 'silent', ['设备没有数据', 'nothing heard of a device'], 'medium', 'campus', ['5 分钟没有数据', 'nothing for 5 minutes'], { class: 'equipment' }),
  rule('machine-room-hot', 'threshold', ['数值越限', 'a value beyond a limit'], 'high', 'machine-room', ['温度高于 28 °C 持续 5 分钟', 'temperature above 28 °C for 5 minutes'], { class: 'environment' }),
  rule('door-held', 'held', ['状态持续过久', 'a state that lasts'], 'medium', 'gate', ['校门开着超过 2 分钟', 'the gate is open for more than 2 minutes'], { class: 'security' }),
  rule('gas-never', 'threshold', ['数值越限', 'a value beyond a limit'], 'critical', 'canteen', ['燃气浓度高于 120 %LEL', 'gas above 120 %LEL'], { class: 'environment', raised_30d: 0, never: { zh: '限值 120 %LEL 超出该测点的量程 0–100 %LEL', en: "the limit of 120 %LEL is beyond the point's range of 0-100 %LEL" } }),
];

function history(id: string, now: number): [number, number, number][] {
  const today = Math.floor((now + 8 * 3_600_000) / DAY) * DAY - 8 * 3_600_000;
  return Array.from({ length: 30 }, (_, n): [number, number, number] => {
    const owed = 5200 + Math.floor(chance(id, n) * 900);
    const missing = id === 'city' && n > 26 ? Math.floor(owed * 0.18) : 0;
    return [today - (29 - n) * DAY, owed, owed - missing];
  });
}

function uploads(now: number) {
  const row = (id: string, more: Record<string, unknown>) => {
    const days = history(id, now);
    const sum = (rows: [number, number, number][]) => ({
      owed: rows.reduce((all, [, owed]) => all + owed, 0),
      accepted: rows.reduce((all, [, , taken]) => all + taken, 0),
    });
    return { id, day: sum(days.slice(-1)), month: { ...sum(days), set_aside: id === 'city' ? 3 : 0 }, history: days, ...more };
  };
  return [
    row('province', {
      state: 'up', waiting: 0, oldest: null, lag_secs: 0,
      last_success: now - 40_000, last_failure: null, last_error: null, consecutive_failures: 0,
    }),
    row('city', {
      state: 'retrying', waiting: 2811, oldest: now - 3 * 3_600_000, lag_secs: 10_800,
      last_success: now - 3 * 3_600_000, last_failure: now - 60_000, consecutive_failures: 14,
      last_error: { zh: '连接不上平台：请检查外网、地址、端口和证书', en: 'no connection: check uplink, address, port and certificate' },
    }),
  ];
}

function setAside(n: number, now: number) {
  return {
    seq: 100 - n,
    uid: `gw-1:${4200 + n}`,
    reason: 'E1 unknown device',
    at: now - n * DAY,
    record: JSON.stringify({ record: 'aggregate', device: 'meter-pv', point: 'energy_export', count: 15 }),
  };
}

function system(now: number) {
  return {
    version: '0.8.0',
    uptime_secs: 3 * 86_400 + 4_200,
    at: now,
    clock: { set: true, offset_ms: 120, timezone: 'Asia/Shanghai' },
    disk: { total: 31_268_536_320, free: 18_402_107_392, budget: 4_294_967_296, used: 1_912_602_624 },
    parts: { 'schoolgate.db': 1_610_612_736, 'schoolgate.db-wal': 4_194_304, history: 113_246_208, pictures: 183_500_800 },
    last_backup: { at: now - 9 * 3_600_000, bytes: 48_211_968 },
    last_verify: null,
    processes: [{ name: 'schoolgate', rss: 33_554_432 }],
  };
}
