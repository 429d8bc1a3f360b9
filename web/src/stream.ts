// The live stream of the gateway: read with fetch, so that a refusal is seen as one; resumed where it broke off.
import { heed, problemOf, type Problem } from './api';
import { Reader, type Message } from './sse';

/** Nothing for so long, and the gateway counts as lost. */
export const LOST_AFTER_MS = 5000;
const AGAIN_MS = 1000;
const CHECK_MS = 250;

export interface Heard {
  message: (message: Message) => void;
  /** Something came or nothing did for `LOST_AFTER_MS`; the moment is that of the last sign. */
  here: (here: boolean, since: number) => void;
  /** The gateway has no stream for this person; it is not asked again. */
  refused: (problem: Problem) => void;
}

/** Listens until the answer is called. */
export function listen(path: string, heard: Heard): () => void {
  let last: string | null = null;
  let lastSign = Date.now();
  let here: boolean | null = null;
  let stopped = false;
  let leave = new AbortController();
  let retry = 0;

  const sign = (): void => {
    lastSign = Date.now();
    if (here !== true) heard.here((here = true), lastSign);
  };

  const take = (message: Message): void => {
    // After `reload` the gateway says anew how everything stands, and from where on it tells.
    if (message.id !== null) last = message.id;
    heard.message(message);
  };

  const read = async (): Promise<void> => {
    leave = new AbortController();
    const headers: Record<string, string> = { Accept: 'text/event-stream' };
    if (last !== null) headers['Last-Event-ID'] = last;
    const response = await fetch(path, { headers, cache: 'no-store', credentials: 'same-origin', signal: leave.signal });
    if (response.status === 401 || response.status === 403) {
      const refused = await problemOf(response);
      stopped = true;
      heed(refused);
      heard.refused(refused);
      return;
    }
    if (!response.ok || !response.body) return;
    const pieces = response.body.getReader();
    const text = new TextDecoder();
    const reader = new Reader();
    for (;;) {
      const { done, value } = await pieces.read();
      if (done || stopped) return;
      sign();
      for (const message of reader.push(text.decode(value, { stream: true }))) take(message);
    }
  };

  const keep = async (): Promise<void> => {
    try {
      await read();
    } catch {
      // Cut off, or something that cannot be read: begun anew below.
    }
    // A connection that is given up must not stay open at the gateway.
    leave.abort();
    if (!stopped) retry = window.setTimeout(() => void keep(), AGAIN_MS);
  };

  const check = window.setInterval(() => {
    if (Date.now() - lastSign < LOST_AFTER_MS) return;
    if (here !== false) heard.here((here = false), lastSign);
    // Silence of a connection that still looks open: only a new one can tell.
    if (Date.now() - lastSign > 2 * LOST_AFTER_MS) {
      lastSign += LOST_AFTER_MS;
      leave.abort();
    }
  }, CHECK_MS);

  void keep();
  return () => {
    stopped = true;
    clearTimeout(retry);
    clearInterval(check);
    leave.abort();
  };
}
