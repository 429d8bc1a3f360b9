// Programs that tests start, and that end with them.
import { spawn, type ChildProcess } from 'node:child_process';
import { createServer } from 'node:net';

export async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => (address && typeof address === 'object' ? resolve(address.port) : reject(new Error('no port'))));
    });
  });
}

/** Asks until the answer is no longer undefined; says what it waited for when that takes too long. */
export async function until<T>(what: string, ask: () => T | undefined | Promise<T | undefined>, limitMs = 15_000): Promise<T> {
  const end = Date.now() + limitMs;
  let last: unknown;
  while (Date.now() < end) {
    try {
      const found = await ask();
      if (found !== undefined) return found;
    } catch (thrown) {
      last = thrown;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${what}: not within ${limitMs} ms`, { cause: last });
}

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export interface Program {
  child: ChildProcess;
  /** What it has said so far. */
  said: () => string;
  kill: (signal?: NodeJS.Signals) => Promise<void>;
}

const MOST_CHARS = 400_000;

/** Its input stays open as long as the test lives: some peers end with it. */
export function start(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Program {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...env } });
  running.add(child);
  let text = '';
  const hear = (piece: Buffer): void => {
    text = (text + piece.toString()).slice(-MOST_CHARS);
  };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  const ended = new Promise<void>((resolve) => {
    child.on('error', (error) => {
      hear(Buffer.from(String(error)));
      resolve();
    });
    child.on('exit', () => resolve());
  });
  void ended.then(() => running.delete(child));
  return {
    child,
    said: () => text,
    kill: async (signal = 'SIGKILL') => {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      await ended;
    },
  };
}
