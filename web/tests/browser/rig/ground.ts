// Where pages are tested: a real school. STAND_IN=1 asks for the stand-in, for whoever makes pages without a gateway.
import { existsSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'vite';
import { BINARY, School } from './school.ts';

export interface Ground {
  url: string;
  /** It is a real gateway. */
  real: boolean;
  stop: () => Promise<void>;
}

/** A school with an account for each role; the names of the accounts are those of the roles. */
export async function ground(): Promise<Ground> {
  if (process.env.STAND_IN) return standIn();
  // A test that took the stand-in by itself would prove only that it agrees with itself.
  if (!existsSync(BINARY)) throw new Error(`${BINARY} is missing: run cargo build -p schoolgate, or set SCHOOLGATE_BIN`);
  const school = await School.claimed();
  return { url: school.url, real: true, stop: () => school.stop() };
}

/** The stand-in for a gateway that was not built. */
async function standIn(): Promise<Ground> {
  const root = new URL('../../../', import.meta.url).pathname;
  const server = await createServer({ root, configFile: `${root}vite.config.ts`, server: { port: 0, host: '127.0.0.1', watch: null, hmr: false }, logLevel: 'error', clearScreen: false });
  await server.listen();
  const { port } = server.httpServer?.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, real: false, stop: () => server.close() };
}
