// A gateway in its first run: it has no configuration, and nobody has claimed it.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, start, until } from './process.ts';
import { answers, askLocally, BINARY, claimCode } from './school.ts';

const ROOT = new URL('../../../../', import.meta.url).pathname;

export interface Newborn {
  url: string;
  /** The code by which it is claimed, as its log tells it. */
  code: () => string;
  /** Asks as this machine's root does. */
  ask: (method: string, path: string, body?: unknown) => Promise<unknown>;
  /** A file of the configuration that was made. */
  written: (name: string) => string;
  stop: () => Promise<void>;
}

export async function newborn(): Promise<Newborn> {
  if (!existsSync(BINARY)) throw new Error(`${BINARY} is not there: cargo build -p schoolgate`);
  const dir = mkdtempSync(join(tmpdir(), 'schoolgate-first-'));
  const state = join(dir, 'state');
  const [door, http] = [await freePort(), await freePort()];
  const setup = ['--setup-listen', `127.0.0.1:${door}`, '--setup-http', `127.0.0.1:${http}`, '--setup-profiles', join(ROOT, 'device-profiles')];
  const gateway = start(BINARY, ['run', '--config', join(dir, 'none.toml'), ...setup], { STATE_DIRECTORY: state });
  const url = `https://127.0.0.1:${door}`;
  await until('the first run answers', async () => (await answers(url)) || undefined, 60_000).catch((thrown: unknown) => {
    throw new Error(`the gateway does not answer:\n${gateway.said()}`, { cause: thrown });
  });
  return {
    url,
    code: () => claimCode(gateway.said()),
    ask: (method, path, body) => askLocally(http, state, method, path, body),
    written: (name) => readFileSync(join(state, 'config', name), 'utf8'),
    stop: async () => {
      await gateway.kill();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
