// The stand-in's installation: devices, energy, rules, uploads, reports, accounts and the machine.
import { type Handler, site, who } from './school.ts';
import { answerDevices, furnish } from './pages/devices.ts';
import { answerEnergy } from './pages/energy.ts';
import { answerPeople } from './pages/people.ts';
import type { Asked, Reply } from './pages/reply.ts';
import { answerReports } from './pages/reports.ts';
import { answerWork } from './pages/work.ts';

furnish(site);

const answers: ((asked: Asked) => Reply | null)[] = [answerDevices, answerEnergy, answerWork, answerReports, answerPeople];

export const pages: Handler = ({ method, path, query, body, response }) => {
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
