// A stand-in for the gateway while pages are being made: `npm run dev` without SCHOOLGATE. No test that counts uses it.
// `POST /dev/alarm?class=fire&priority=critical` raises an alarm, `POST /dev/lost?secs=12` keeps quiet for a while.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Plugin } from 'vite';
import { pages } from './mock/pages.ts';
import { school, type Exchange, type Handler, Refused } from './mock/school.ts';

/** Further handlers: each answers with a value, or undefined when the request is not its own. */
const handlers: Handler[] = [pages, school];

async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown>> {
  let text = '';
  for await (const piece of request) text += String(piece);
  return text ? (JSON.parse(text) as Record<string, unknown>) : {};
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://mock');
  const exchange: Exchange = {
    method: request.method ?? 'GET',
    path: url.pathname,
    query: url.searchParams,
    body: await bodyOf(request),
    request,
    response,
  };
  try {
    for (const handler of handlers) {
      const value = handler(exchange);
      if (value === undefined) continue;
      if (!response.headersSent) {
        response.setHeader('Content-Type', 'application/json');
        response.end(JSON.stringify(value));
      }
      return;
    }
    throw new Refused(404, '没有这个路径', `the stand-in has no ${url.pathname}`);
  } catch (thrown) {
    const refused = thrown instanceof Refused ? thrown : new Refused(500, String(thrown), String(thrown));
    response.statusCode = refused.status;
    response.setHeader('Content-Type', 'application/problem+json');
    response.end(JSON.stringify({ type: refused.type, status: refused.status, detail: refused.en, detail_zh: refused.zh }));
  }
}

export function mock(): Plugin {
  return {
    name: 'stand-in-for-the-gateway',
    configureServer(server) {
      server.middlewares.use((request, response, next) => {
        if (/^\/(api|dev)\//.test(request.url ?? '')) void answer(request, response);
        else next();
      });
    },
  };
}
