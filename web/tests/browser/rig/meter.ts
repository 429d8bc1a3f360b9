// A meter on a serial line: pymodbus at one end of two joined serial ports, with the registers of a shipped profile.
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { start, until } from './process.ts';

const ROOT = new URL('../../../../', import.meta.url).pathname;

export interface Meter {
  /** The serial port at which it is heard. */
  port: string;
  stop: () => Promise<void>;
}

/** The registers of a profile's vectors, those of an address first told: table, first address, words. */
function registers(profile: string): Record<string, Record<string, number[]>> {
  const text = readFileSync(join(ROOT, 'device-profiles', profile, 'vectors.toml'), 'utf8');
  const tables: Record<string, Map<number, number>> = {};
  for (const piece of text.split('[[registers]]').slice(1)) {
    const value = (key: string): string => new RegExp(`^${key} = "?([^"\n]+)`, 'm').exec(piece)?.[1] ?? '';
    const table = (tables[value('table')] ??= new Map<number, number>());
    value('words').split(/\s+/).forEach((word, n) => {
      const at = Number(value('address')) + n;
      if (!table.has(at)) table.set(at, parseInt(word, 16));
    });
  }
  const blocks: Record<string, Record<string, number[]>> = {};
  for (const [name, words] of Object.entries(tables)) {
    const table: Record<string, number[]> = (blocks[name] = {});
    let [first, next] = [-1, -1];
    for (const at of [...words.keys()].sort((a, b) => a - b)) {
      if (at !== next) first = at;
      (table[first] ??= []).push(words.get(at) ?? 0);
      next = at + 1;
    }
  }
  return blocks;
}

export async function meter(profile: string, unit: number): Promise<Meter> {
  const dir = mkdtempSync(join(tmpdir(), 'schoolgate-meter-'));
  const end = (name: string): string => join(dir, name);
  const cable = start('socat', [`pty,raw,echo=0,link=${end('a')}`, `pty,raw,echo=0,link=${end('b')}`]);
  const port = await until('two serial ports', () => realpathSync(end('a')) && realpathSync(end('b')));
  writeFileSync(end('map.json'), JSON.stringify({ identity: [], units: { [unit]: registers(profile) } }));
  const python = process.env.PYTHON ?? join(ROOT, '.venv/bin/python');
  const pymodbus = start(python, [join(ROOT, 'tests/peers/pymodbus_map.py'), 'rtu', end('a'), end('map.json')]);
  await until('a meter', () => {
    if (pymodbus.child.exitCode !== null) throw new Error(pymodbus.said());
    return pymodbus.said().includes('ready') || undefined;
  });
  return {
    port,
    stop: async () => {
      await pymodbus.kill();
      await cable.kill();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
