// The mock's accounts, tokens, sessions, approvals and audit trail.

import type { Asked, Reply } from './reply.ts';
import { notFound, ok, refused } from './reply.ts';

const DAY = 86_400_000;
const now = Date.now();

interface Account {
  name: string;
  role: string;
  disabled: boolean;
  made_at: number;
  sessions: number;
}

let accounts: Account[] = [
  ['陈校长', 'viewer', false],
  ['王保安', 'guard', false],
  ['门卫室', 'kiosk', false],
  ['李工', 'technician', false],
  ['admin', 'admin', false],
  ['审计员', 'auditor', false],
  ['隐私员', 'privacy', false],
  ['离职者', 'guard', true],
].map(([name, role, disabled], n) => ({
  name: String(name),
  role: String(role),
  disabled: Boolean(disabled),
  made_at: now - (n + 3) * DAY,
  sessions: n % 2,
}));

let tokens = [{ name: 'bi-screen', role: 'viewer', expires_at: now + 90 * DAY, made_at: now - DAY }];
let sessions = ['admin', '王保安', '门卫室'].map((name, n) => ({
  id: `s${n + 1}`,
  name,
  role: ['admin', 'guard', 'kiosk'][n],
  kiosk: n === 2,
  opened_at: now - (n + 1) * 3_600_000,
  quiet_secs: n * 60,
  own: n === 0,
}));
const approvals = [
  { id: '1', by: '隐私员', purpose: '上级检查核对人数', asked_at: now - 1_800_000, stage: 'waiting', answered_by: null, answered_at: null },
  { id: '2', by: '李主任', purpose: '班级调整', asked_at: now - 2 * DAY, stage: 'refused', answered_by: 'admin', answered_at: now - 2 * DAY + 600_000 },
];

const AUDIT = 137;
const ACTIONS = ['sign_in', 'report_shift', 'alarm_acknowledge', 'account_set', 'area_arm', 'control', 'job_begin'];

function entry(seq: number) {
  const account = accounts[seq % accounts.length];
  const action = ACTIONS[seq % ACTIONS.length] ?? 'sign_in';
  return {
    seq,
    at: now - (AUDIT - seq) * 1_500_000,
    actor: account?.name ?? 'admin',
    action,
    subject: action === 'control' ? 'gate-bolt' : action === 'account_set' ? '王保安' : '',
    detail: action === 'report_shift' ? `sha256 ${'4be1'.repeat(16)}` : '',
  };
}

export function answerPeople({ method, path, query, body, name }: Asked): Reply | null {
  const given = body;
  const [, , , kind, key, verb] = path.split('/').map(decodeURIComponent);
  switch (kind) {
    case 'accounts':
      return answerAccounts(method, key, given, name);
    case 'tokens':
      if (method === 'POST') {
        if (tokens.some((token) => token.name === given.name)) {
          return refused(409, '已有同名的令牌', 'there is a token of that name');
        }
        tokens.push({ name: String(given.name), role: String(given.role), expires_at: Number(given.expires_at), made_at: Date.now() });
        return ok({ name: given.name, token: `sg_${'Q7x2'.repeat(10)}` });
      }
      if (method === 'DELETE') tokens = tokens.filter((token) => token.name !== key);
      return ok({ rows: tokens });
    case 'sessions':
      if (method === 'DELETE') sessions = sessions.filter((session) => session.id !== key);
      return ok({ rows: sessions });
    case 'approvals': {
      const approval = approvals.find((known) => known.id === key);
      if (!key) return ok({ rows: approvals });
      if (!approval) return notFound();
      if (verb === 'file') return { status: 200, type: 'text/csv;charset=utf-8', body: "person,role\r\n" };
      if (approval.by === name) return refused(403, '须由另一人批准', 'another person must decide');
      approval.stage = verb === 'approve' ? 'approved' : 'refused';
      return ok(approval);
    }
    case 'audit': {
      if (key === 'verify') return ok({ ok: true, entries: AUDIT, head: 'c0ffee12'.repeat(8), seq: AUDIT, broken: [] });
      const limit = Number(query.get('limit') ?? 100);
      const before = Number(query.get('before') ?? AUDIT + 1);
      const rows = Array.from({ length: Math.min(limit, before - 1) }, (_, n) => entry(before - 1 - n));
      const last = rows[rows.length - 1]?.seq ?? 1;
      return ok({ rows, next_before: last > 1 ? last : null });
    }
    case 'session':
      if (key !== 'password') return null;
      return given.old === 'wrong' ? refused(403, '原密码不对', 'the old password is wrong') : ok({ done: true });
    default:
      return null;
  }
}

function answerAccounts(method: string, key: string | undefined, given: Record<string, unknown>, name: string): Reply {
  const account = accounts.find((known) => known.name === key);
  const password = typeof given.password === 'string' ? given.password : null;
  if (password !== null && password.length < 12) {
    return refused(400, '密码太短：至少 12 个字符', 'the password is too short: 12 characters at least');
  }
  switch (method) {
    case 'POST':
      if (accounts.some((known) => known.name === given.name)) {
        return refused(409, '已有同名的账户', 'there is an account of that name');
      }
      accounts.push({ name: String(given.name), role: String(given.role), disabled: false, made_at: Date.now(), sessions: 0 });
      return ok({ done: true });
    case 'PUT':
      if (!account) return notFound();
      account.role = String(given.role ?? account.role);
      account.disabled = Boolean(given.disabled);
      return ok({ done: true });
    case 'DELETE':
      if (key === name) return refused(409, '不能删除自己的账户', 'nobody deletes their own account');
      accounts = accounts.filter((known) => known.name !== key);
      return ok({ done: true });
    default:
      return ok({ rows: accounts });
  }
}
