// The mock's first run: what is wrong with an answer of the wizard, and when it is done.

import { firstRun } from '../school.ts';
import type { Asked, Reply } from './reply.ts';
import { ok } from './reply.ts';
import { begin } from './work.ts';

interface Wrong {
  field: string;
  zh: string;
  en: string;
}

const ID = /^[a-z0-9][a-z0-9._-]{0,63}$/;

function problems(given: Record<string, unknown>): Wrong[] {
  const wrong: Wrong[] = [];
  const site = (given.site ?? {}) as Record<string, unknown>;
  if (!String(site.name ?? '').trim()) {
    wrong.push({ field: 'site.name', zh: '请填写学校名称', en: 'name the school' });
  }
  if (!ID.test(String(site.gateway ?? ''))) {
    wrong.push({ field: 'site.gateway', zh: '只能用小写字母、数字、- _ .，1 到 64 个', en: '1 to 64 lower-case letters, digits, - _ .' });
  }
  const destination = given.destination as Record<string, unknown> | null;
  if (destination && !String(destination.base_url ?? '').startsWith('https://')) {
    wrong.push({ field: 'destination.base_url', zh: '地址须以 https:// 开头', en: 'the address must begin with https://' });
  }
  return wrong;
}

export function answerSetup({ method, path, body, name }: Asked): Reply | null {
  const given = body;
  switch (path) {
    case '/api/v1/setup':
      return ok({ needed: firstRun.needed, step: firstRun.needed ? 'site' : null });
    case '/api/v1/setup/check':
      return ok({ problems: problems(given) });
    case '/api/v1/setup/discover':
      return method === 'POST' ? begin('discovery', given, name) : null;
    case '/api/v1/setup/apply': {
      const found = problems(given);
      if (found.length > 0) return { status: 422, body: { status: 422, problems: found, detail: 'see problems', detail_zh: '请看各项问题' } };
      firstRun.needed = false;
      return ok({ applied: true });
    }
    default:
      return null;
  }
}
