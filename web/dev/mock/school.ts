// The stand-in's school: who is signed in, its alarms, places and responses, and the live stream.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Alarm, Drill, Muster, Response, Site, Zone } from '../../src/model.ts';
import type { Right, Role } from '../../src/session.ts';

export interface Exchange {
  method: string;
  path: string;
  query: URLSearchParams;
  body: Record<string, unknown>;
  request: IncomingMessage;
  response: ServerResponse;
}
export type Handler = (exchange: Exchange) => unknown;

export class Refused extends Error {
  constructor(readonly status: number, readonly zh: string, readonly en: string, readonly type = 'about:blank') {
    super(en);
  }
}

const RIGHTS: Record<Role, Right[]> = {
  viewer: ['see', 'energy', 'reports'],
  guard: ['see', 'act', 'hush', 'arm', 'respond', 'drill', 'control', 'pictures', 'reports'],
  kiosk: ['see', 'act', 'respond', 'pictures'],
  technician: ['see', 'energy', 'hush', 'control', 'reports', 'diagnose', 'work'],
  admin: ['see', 'energy', 'act', 'hush', 'arm', 'respond', 'drill', 'control', 'pictures', 'reports', 'diagnose', 'work', 'approve', 'audit', 'accounts'],
  auditor: ['see', 'reports', 'diagnose', 'audit'],
  privacy: ['see', 'persons', 'approve', 'audit'],
};

let me: { name: string; role: Role } | null = null;

/** Who is signed in at the stand-in; account `admin` has the role admin, and so on. */
export function who(): { name: string; role: Role } | null {
  return me;
}

function view(): unknown {
  return {
    claimed: true,
    signed_in: !!me,
    name: me?.name ?? null,
    role: me?.role ?? null,
    rights: me ? RIGHTS[me.role] : [],
    kiosk: me?.role === 'kiosk',
    idle_secs: me ? 1800 : null,
    csrf: me ? 'stand-in' : null,
    oidc: { name: '统一身份认证' },
    site: me ? site.name : null,
  };
}

const path = (zh: string): { zh: string; en: string } => ({ zh, en: zh });
export const site: Site = {
  name: '示范小学',
  gateway: 'gw-demo',
  timezone: 'Asia/Shanghai',
  places: [
    { id: 'campus', kind: 'campus', name: '示范小学', parent: null, path: path('示范小学'), plan: '/api/v1/places/campus/plan', x: null, y: null, counts: true, assembly: false },
    { id: 'gate', kind: 'room', name: '校门', parent: 'campus', path: path('示范小学 / 校门'), plan: null, x: 0.5, y: 0.93, counts: false, assembly: false },
    { id: 'teaching', kind: 'building', name: '教学楼', parent: 'campus', path: path('示范小学 / 教学楼'), plan: null, x: 0.3, y: 0.3, counts: true, assembly: false },
    { id: 'teaching-1', kind: 'floor', name: '1层', parent: 'teaching', path: path('示范小学 / 教学楼 / 1层'), plan: '/api/v1/places/teaching-1/plan', x: null, y: null, counts: false, assembly: false },
    { id: 'machine-room', kind: 'room', name: '机房', parent: 'teaching-1', path: path('示范小学 / 教学楼 / 1层 / 机房'), plan: null, x: 0.8, y: 0.3, counts: false, assembly: false },
    { id: 'canteen', kind: 'building', name: '食堂', parent: 'campus', path: path('示范小学 / 食堂'), plan: null, x: 0.75, y: 0.3, counts: true, assembly: false },
    { id: 'field', kind: 'room', name: '操场', parent: 'campus', path: path('示范小学 / 操场'), plan: null, x: 0.5, y: 0.65, counts: false, assembly: true },
  ],
  devices: [
    { id: 'help-1', name: '校门一键报警', class: 'emergency_button', place: 'gate', x: 0.56, y: 0.9 },
    { id: 'smoke-1', name: '机房烟感', class: 'smoke', place: 'machine-room', x: 0.82, y: 0.32 },
    { id: 'em-01', name: '教学楼电表1', class: 'meter', place: 'teaching-1', x: 0.15, y: 0.7 },
    { id: 'cam-gate', name: '校门摄像机', class: 'camera', place: 'gate', x: null, y: null },
  ],
  contacts: [
    { name: '保卫科 李主任', phone: '13800000001' },
    { name: '值班校长', phone: '13800000002' },
  ],
};

const now = (): number => Date.now();
const alarms: Alarm[] = [];
let next = 1;
let drill: Drill | null = null;
const zones: Zone[] = [
  { place: 'teaching', path: path('示范小学 / 教学楼'), persons: { known: 412, anonymous: 3 }, vehicles: { known: 0, anonymous: 0 }, roles: { student: 388, staff: 22, visitor: 2 }, not_seen_leaving: 4 },
  { place: 'canteen', path: path('示范小学 / 食堂'), persons: { known: 9, anonymous: 0 }, vehicles: { known: 1, anonymous: 0 }, roles: { staff: 9 }, not_seen_leaving: 0 },
];
let muster: Muster | null = null;
const response = (id: string, kind: Response['kind'], name_zh: string, name: string): Response => ({
  id, kind, name, name_zh, place: null, silent: false, stage: 'off', stage_zh: '未启动', stage_en: 'off', drill: false, by: null, at: null, prepared_by: null,
  outputs: [
    { kind: 'control', id: 'gate-lock', name: '校门电锁', state: 'waiting', known: false, failing: false, detail: 'on its way', detail_zh: '执行中' },
    { kind: 'channel', id: 'broadcast', name: '全校广播', state: 'waiting', known: false, failing: false, detail: 'on its way', detail_zh: '执行中' },
  ],
});
const responses = [response('lockdown', 'lockdown', '全校封控', 'lockdown'), response('evacuate', 'evacuate', '疏散', 'evacuate')];

interface Listener {
  response: ServerResponse;
  timer: NodeJS.Timeout;
}
const listeners = new Set<Listener>();
let quietUntil = 0;
let number = 0;

function send(event: string, data: unknown, numbered = false): void {
  if (now() < quietUntil) return;
  if (numbered) number++;
  const text = `${numbered ? `id: ${number}\n` : ''}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
  for (const { response: to } of listeners) to.write(text);
}

function stands(): unknown {
  return { drill, areas: [{ id: 'lab', name: '实验楼', mode: 'disarmed', by: '王老师', since: now() - 3_600_000, note: '', leaving: false, entering: false, open: [], bypassed: [] }], responses, muster, zones };
}

function stream({ request, response: to }: Exchange): void {
  to.writeHead(200, { 'Content-Type': 'text/event-stream' });
  const listener = { response: to, timer: setInterval(() => send('beat', { at: now() }), 2000) };
  listeners.add(listener);
  request.on('close', () => {
    clearInterval(listener.timer);
    listeners.delete(listener);
  });
  to.write(`id: ${number}\nevent: hello\ndata: ${JSON.stringify({ at: now(), version: '0.7.0', alarms: alarms.filter((one) => !one.closed_at), ...(stands() as object) })}\n\n`);
  to.write(`event: state\ndata: ${JSON.stringify(stands())}\n\n`);
}

function changed(alarm: Alarm, kind: string, actor: string, note: string): Alarm {
  alarm.history = [...(alarm.history ?? []), { kind, at: now(), actor, note }];
  const taken = !!alarm.acknowledged;
  if (taken && !alarm.active && (!alarm.latched || alarm.reset)) alarm.closed_at = alarm.closed_at ?? now();
  alarm.state = alarm.closed_at ? 'A' : alarm.shelved ? 'G' : alarm.active ? (taken ? 'C' : 'B') : taken ? 'F' : alarm.latched ? 'E' : 'D';
  alarm.announced = !alarm.closed_at && !alarm.shelved && !alarm.out_of_service;
  send('alarm', { alarm: { ...alarm, history: undefined }, change: { kind, at: now(), actor, note } }, true);
  return alarm;
}

const WHAT: Record<string, [string, string, string | null, string]> = {
  fire: ['烟感报警：机房', 'smoke detected: machine room', 'smoke-1', 'machine-room'],
  help: ['一键报警：校门', 'emergency button: gate', 'help-1', 'gate'],
  intrusion: ['红外探测：食堂', 'movement: canteen', null, 'canteen'],
  security: ['校门常开超过 60 秒', 'gate open for more than 60 s', null, 'gate'],
  energy: ['功率 52.3 kW，上限 50 kW', 'power is 52.3 kW, limit 50 kW', 'em-01', 'teaching-1'],
  environment: ['温度 38.2 ℃，上限 35 ℃', 'temperature is 38.2 ℃, limit 35 ℃', null, 'machine-room'],
  equipment: ['设备离线：教学楼电表1', 'device does not answer: meter 1', 'em-01', 'teaching-1'],
};

export function raise(kind: string, priority: string, silent = false, isDrill = false): Alarm {
  const [zh, en, device, place] = WHAT[kind] ?? WHAT.help!;
  const latched = ['fire', 'help', 'intrusion'].includes(kind);
  const alarm: Alarm = {
    id: next++, key: { rule: `rule.${kind}`, subject: device ?? place }, class: kind as Alarm['class'], priority: priority as Alarm['priority'], device, place,
    what: { zh, en }, raised_at: now(), active: true, occurrences: 1, cleared_at: null, acknowledged: null, latched, reset: null, closed_at: null, state: 'B', silent, announced: true,
    place_path: site.places.find((one) => one.id === place)?.path, history: [], explains: [],
    steps: ['电话联系现场核实', '就近人员到场查看', '确认后拨打 119 或 110', '通知值班校长'], contacts: site.contacts, ...(isDrill ? { drill: true } : {}),
  };
  alarms.push(alarm);
  changed(alarm, 'raised', 'gateway', '');
  setTimeout(() => send('picture', { alarm: alarm.id, rows: [{ picture: `${alarm.id}-cam-gate`, device: 'cam-gate', at: now(), bytes: 1 }] }, true), 800);
  return alarm;
}

function order(id: number, verb: string, body: Record<string, unknown>): Alarm {
  const alarm = alarms.find((one) => one.id === id);
  if (!alarm || alarm.closed_at) throw new Refused(404, `没有未结束的报警 ${id}`, `there is no open alarm ${id}`);
  const by = { by: String(body.actor ?? me?.name), at: now(), note: String(body.note ?? '') };
  switch (verb) {
    case 'acknowledge':
      if (alarm.acknowledged) throw new Refused(409, `${alarm.acknowledged.by}已确认`, `${alarm.acknowledged.by} took it already`);
      alarm.acknowledged = by;
      setTimeout(() => {
        alarm.active = false;
        alarm.cleared_at = now();
        changed(alarm, 'cleared', 'gateway', '');
      }, 60_000);
      return changed(alarm, 'acknowledged', by.by, by.note);
    case 'support':
      if (!alarm.acknowledged) {
        alarm.acknowledged = { ...by, note: '' };
        changed(alarm, 'acknowledged', by.by, '');
      }
      alarm.support = by;
      alarm.latched = true;
      setTimeout(() => {
        if (alarm.support === by) alarm.support = { ...by, told_at: now() };
        changed(alarm, 'support_told', 'gateway', '');
      }, 1500);
      return changed(alarm, 'support_called', by.by, by.note);
    case 'reset':
      alarm.reset = by;
      alarm.active = false;
      return changed(alarm, 'reset', by.by, by.note);
    case 'confirm':
      alarm.confirmed = { ...by, truth: body.result as 'real' };
      return changed(alarm, 'confirmed', by.by, by.note);
    case 'shelve':
      if (alarm.class === 'fire' || alarm.class === 'help') throw new Refused(403, '求助和火警不能搁置', 'help and fire are never shelved');
      alarm.shelved = { ...by, until: now() + Number(body.for_secs) * 1000, once: false };
      return changed(alarm, 'shelved', by.by, by.note);
    case 'unshelve':
      delete alarm.shelved;
      return changed(alarm, 'unshelved', by.by, by.note);
    case 'out-of-service':
      alarm.out_of_service = { ...by, until: null };
      return changed(alarm, 'out_of_service', by.by, by.note);
    case 'in-service':
      delete alarm.out_of_service;
      return changed(alarm, 'in_service', by.by, by.note);
    default:
      throw new Refused(404, '没有这个操作', 'there is no such order');
  }
}

function respond(id: string, step: string, body: Record<string, unknown>): unknown {
  const found = responses.find((one) => one.id === id);
  if (!found) throw new Refused(404, '没有这个应急响应', 'there is no such response');
  const name = String(body.actor ?? me?.name);
  if (step === 'prepare') return { ...found, prepared_by: name, code: '4821', code_secs: 30 };
  if (step === 'start') {
    Object.assign(found, { stage: 'on', stage_zh: '已启动', stage_en: 'on', by: name, at: now(), drill: !!drill && found.drill });
    setTimeout(() => {
      found.outputs = found.outputs.map((one, i) => ({ ...one, state: i ? 'failed' : 'done', known: true, failing: !!i, detail: i ? 'failed: no answer' : 'done', detail_zh: i ? '失败：没有应答' : '已完成' }));
      send('state', stands());
    }, 1500);
  } else {
    if (found.by === name && !body.alone) throw new Refused(403, '须由启动者以外的人解除', 'somebody other than who started it must end it');
    Object.assign(found, { stage: 'off', stage_zh: '未启动', stage_en: 'off', by: null, at: null });
  }
  send('state', stands());
  return found;
}

const PLAN = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 500"><rect width="800" height="500" fill="#f7f7f2"/><g fill="#dfe6ee" stroke="#556" stroke-width="3"><rect x="80" y="60" width="320" height="180"/><rect x="480" y="60" width="240" height="180"/><ellipse cx="400" cy="330" rx="230" ry="70" fill="#d9ead3"/><path d="M340 480h120" stroke-width="10"/></g><g font-size="26" fill="#334" font-family="sans-serif"><text x="200" y="160">教学楼</text><text x="570" y="160">食堂</text><text x="370" y="340">操场</text></g></svg>`;
const PHOTO = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 360"><rect width="640" height="360" fill="#26323c"/><path d="M0 240h640v120H0z" fill="#3d4a52"/><path d="M220 90h200v190H220z" fill="#5c6b75"/><circle cx="330" cy="190" r="22" fill="#c9a27e"/><path d="M305 212h50v80h-50z" fill="#334d80"/></svg>`;

function image({ response: to }: Exchange, text: string): unknown {
  to.setHeader('Content-Type', 'image/svg+xml');
  to.end(text);
  return null;
}

const hazards: Record<string, unknown>[] = [
  { id: 1, seq: 1, stage: 'found', alarm: null, place: 'canteen', what: '后门门锁松动', found: { by: '李老师', at: now() - 86_400_000, note: '' }, checked: null, handled: null, closed: null },
];

export function school(exchange: Exchange): unknown {
  const { method, path: asked, query, body } = exchange;
  const post = method === 'POST';
  if (asked === '/dev/alarm') return raise(query.get('class') ?? 'help', query.get('priority') ?? 'critical', query.has('silent'), query.has('drill'));
  if (asked === '/dev/lost') {
    quietUntil = now() + Number(query.get('secs') ?? 12) * 1000;
    return {};
  }
  if (asked === '/api/v1/session') {
    if (post) {
      const role = String(body.kiosk ? 'kiosk' : body.name) as Role;
      if (!(role in RIGHTS)) throw new Refused(401, '账号或密码不正确', 'the account or the password is not right');
      me = { name: String(body.name), role };
    } else if (method === 'DELETE') me = null;
    return view();
  }
  if (asked === '/api/v1/setup') return { needed: false, step: 'done' };
  if (!me) throw new Refused(401, '请先登录', 'sign in first');
  if (asked === '/api/v1/stream') {
    stream(exchange);
    return null;
  }
  if (asked === '/api/v1/site') return site;
  if (/\/plan$/.test(asked)) return image(exchange, PLAN);
  const picture = /^\/api\/v1\/alarms\/(\d+)\/pictures(\/.+)?$/.exec(asked);
  if (picture) return picture[2] ? image(exchange, PHOTO) : { rows: [{ picture: `${picture[1]}-cam-gate`, device: 'cam-gate', at: now(), bytes: 1 }] };
  if (asked === '/api/v1/devices') {
    return { rows: site.devices.map(({ id, name, place }, i) => ({ id, name, place, class: 'x', profile: 'x', bus: 'b', state: i === 2 ? 'down' : 'up', since: now() - 60_000, fault: i === 2 ? 'timeout' : null, advice: i === 2 ? { zh: '检查接线', en: 'check the wiring' } : null, last_seen: now(), points: {} })), at: now() };
  }
  if (asked === '/api/v1/alarms') {
    const open = query.get('open') === 'true';
    return { rows: alarms.filter((one) => !open || !one.closed_at).map((one) => ({ ...one, seq: one.id })).reverse(), next_before: null };
  }
  const one = /^\/api\/v1\/alarms\/(\d+)(?:\/([a-z-]+))?$/.exec(asked);
  if (one) {
    const alarm = alarms.find(({ id }) => id === Number(one[1]));
    if (!alarm) throw new Refused(404, '没有这个报警', 'there is no such alarm');
    return post && one[2] ? order(alarm.id, one[2], body) : alarm;
  }
  const step = /^\/api\/v1\/responses\/([a-z0-9-]+)\/([a-z]+)$/.exec(asked);
  if (step) return respond(step[1] ?? '', step[2] ?? '', body);
  if (asked === '/api/v1/responses') return { rows: responses };
  if (asked === '/api/v1/hazards') {
    if (post) hazards.unshift({ id: hazards.length + 1, seq: hazards.length + 1, stage: 'found', alarm: null, place: null, ...body, found: { by: me.name, at: now(), note: '' }, checked: null, handled: null, closed: null });
    return post ? hazards[0] : { rows: hazards, next_before: null };
  }
  const drilled = /^\/api\/v1\/drill(?:\/(start|stop|alarm))?$/.exec(asked);
  if (drilled) {
    if (drilled[1] === 'start') drill = { number: 1, begun: { by: me.name, at: now(), note: String(body.note) }, until: now() + Number(body.for_secs ?? 3600) * 1000, alarms: 0 };
    if (drilled[1] === 'stop') drill = null;
    if (drilled[1] === 'alarm') raise(String(body.class), 'critical', false, true);
    send('state', stands());
    return { drill, channels: [] };
  }
  const mustered = /^\/api\/v1\/muster(?:\/(start|close|safe))?$/.exec(asked);
  if (mustered) {
    if (mustered[1] === 'start') {
      muster = { since: now(), fire: false, called: 'drill', sum: { listed: 6, safe: 3, left: 1, missing: 2 }, rows: [{ place: 'teaching', group: '三年级2班', listed: 4, safe: 2, left: 0, missing: 2 }, { place: 'teaching', group: null, listed: 2, safe: 1, left: 1, missing: 0 }], anonymous: [['teaching', 3]], anonymous_safe: 1, unlisted: 0, persons: null };
    }
    if (mustered[1] === 'close') muster = null;
    send('state', stands());
    return mustered[1] ? { done: true } : { muster, at: now() };
  }
  if (asked === '/api/v1/presence') return { zones, reset_at: null, dropped: 0, at: now() };
  if (asked === '/api/v1/areas') return { rows: (stands() as { areas: unknown }).areas, at: now() };
  return undefined;
}
