// The stand-in's installation: devices, energy, rules, uploads, reports, accounts and the machine.
import { firstRun, type Handler, site, who } from './school.ts';
import { answerDevices, furnish } from './pages/devices.ts';
import { answerEnergy } from './pages/energy.ts';
import { answerPeople } from './pages/people.ts';
import type { Asked, Reply } from './pages/reply.ts';
import { answerReports } from './pages/reports.ts';
import { answerSetup } from './pages/setup.ts';
import { answerWork } from './pages/work.ts';

furnish(site);

const answers: ((asked: Asked) => Reply | null)[] = [answerDevices, answerEnergy, answerWork, answerReports, answerPeople, answerSetup];

export const pages: Handler = ({ method, path, query, body, response }) => {
  if (path === '/dev/newborn') {
    firstRun.needed = query.get('no') === null;
    return {};
  }
  const me = who();
  if (!me) return undefined;
  for (const answer of answers) {
    const reply = answer({ method, path, query, body, name: me.name });
    if (!reply) continue;
    response.statusCode = reply.status;
    response.setHeader('Content-Type', reply.type ?? 'application/json');
    response.end(reply.type ? String(reply.body) : JSON.stringify(reply.body));
    return null;
  }
  return undefined;
};
