// A school with meters in three buildings whose store holds years of energy, written there and read there by SQLite itself.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { freePort } from './process.ts';
import { ROOT, School } from './school.ts';

const PYTHON = process.env.SCHOOLGATE_TEST_PYTHON ?? join(ROOT, '.venv/bin/python');
const SEED = join(ROOT, 'tests/peers/seed_year.py');
const LIMIT_MS = 120_000;
const ZONE_MS = 8 * 3_600_000;
export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;

/** Buildings, where in them their meters are, and how many. */
export const BUILDINGS = [
  { id: 'teaching', name: '教学楼', at: 'teaching-1', meters: 20 },
  { id: 'canteen', name: '食堂', at: 'canteen', meters: 10 },
  { id: 'dormitory', name: '宿舍楼', at: 'dormitory', meters: 10 },
] as const;
const ITEMS = ['lighting', 'hvac', 'power', null];

/** The first meter of this building is the main meter of the others. */
export const MAIN_IN = 'dormitory';
/** What it counts besides them, as a share of theirs. */
export const UNMETERED = 0.1;

/** Every meter, its building, and the main meter above it, if any. */
export const METERS = BUILDINGS.flatMap(({ id, name, at, meters }) => Array.from({ length: meters }, () => ({ building: id, name, at }))).map((meter, i) => ({
  ...meter,
  id: `m${String(i).padStart(3, '0')}`,
  name: `${meter.name}电表 ${i + 1}`,
})).map((meter, i, all) => {
  const main = all.find(({ building }) => building === MAIN_IN)?.id;
  const isMain = meter.id === main;
  return { ...meter, within: meter.building === MAIN_IN && !isMain ? main : undefined, item: isMain ? null : (ITEMS[i % ITEMS.length] ?? null) };
});
/** Those that are added up. */
export const COUNTED = METERS.filter(({ within }) => !within);

/** Meters that nobody answers for: what is known of them is what the store holds. */
function configuration(port: number): string {
  const buildings = BUILDINGS.filter(({ id, at }) => id === at).map(({ id, name }) => `[[place]]\nid = "${id}"\nkind = "building"\nname = "${name}"\nparent = "campus"\n`);
  const meters = METERS.map(({ id, name, at, item, within }, i) => {
    return `[[device]]\nid = "${id}"\nname = "${name}"\nprofile = "eastron-sdm630"\nbus = "line"\naddress = ${i + 1}\nplace = "${at}"\npoll_secs = 86400\n${item ? `item = "${item}"\n` : ''}${within ? `within = "${within}"\n` : ''}`;
  });
  return `[[bus]]\nid = "line"\nkind = "modbus-tcp"\nhost = "127.0.0.1"\nport = ${port}\n${buildings.join('')}${meters.join('')}`;
}

/** The midnight at the school before a moment. */
export function midnight(ms: number): number {
  return Math.floor((ms + ZONE_MS) / DAY_MS) * DAY_MS - ZONE_MS;
}

/** `2026-11-22 08:00` by the clock of the school. */
export function clock(ms: number): string {
  return new Date(ms + ZONE_MS).toISOString().slice(0, 16).replace('T', ' ');
}

/** The year before this one: all of it has passed. */
export function lastYear(): { name: string; from: number; to: number } {
  const year = Number(clock(Date.now()).slice(0, 4)) - 1;
  const begin = (of: number): number => Date.UTC(of, 0, 1) - ZONE_MS;
  return { name: String(year), from: begin(year), to: begin(year + 1) };
}

const SQL = `import json, sqlite3, sys
with sqlite3.connect(sys.argv[1]) as db:
    print(json.dumps(db.execute(sys.argv[2], json.loads(sys.argv[3])).fetchall()))`;

/** Asks the store of a school without its gateway; it must not run when something is changed. */
export function sql(school: School, statement: string, ...values: (string | number)[]): unknown[][] {
  const out = execFileSync(PYTHON, ['-c', SQL, database(school), statement, JSON.stringify(values)], { timeout: LIMIT_MS, maxBuffer: 64 << 20 });
  return JSON.parse(out.toString()) as unknown[][];
}

/** Of each month, how much more or less is used than the seed has it; each year a little more, and no day quite like another. */
const SEASONS = JSON.stringify([1.25, 0.8, 1.1, 0.95, 1, 1.15, 0.7, 0.6, 1.1, 0.95, 1.05, 1.3]);
function seasons(school: School): void {
  const local = "start / 1000 + 28800, 'unixepoch'";
  for (const table of ['roll_up_day', 'roll_up_hour']) {
    sql(
      school,
      `update ${table} set delta = delta * json_extract(?, '$[' || (strftime('%m', ${local}) - 1) || ']') * (1 + (strftime('%Y', ${local}) - 2024) * 0.04)
       * (1 + (start / 1000 + 28800) / 86400 * 7 % 11 * 0.01)`,
      SEASONS,
    );
  }
}

/** Main meters count what those below them do, and more. */
function mains(school: School): void {
  for (const main of METERS.filter(({ id }) => METERS.some(({ within }) => within === id))) {
    const below = JSON.stringify(METERS.filter(({ within }) => within === main.id).map(({ id }) => id));
    for (const table of ['roll_up_day', 'roll_up_hour']) {
      sql(
        school,
        `update ${table} as main set delta = (1 + ?) * (select sum(r.delta) from ${table} r where r.start = main.start and r.series in
         (select id from series where device in (select value from json_each(?)))) where series = (select id from series where device = ?)`,
        UNMETERED,
        below,
        main.id,
      );
    }
  }
}

function database(school: School): string {
  return join(school.dir, 'data', 'schoolgate.db');
}

/** A claimed school with every day since two years before this one, and the hours of the last eighty days. */
export async function schoolWithYears(change: (school: School) => void = () => undefined): Promise<School> {
  const school = await School.claimed(configuration(await freePort()));
  try {
    await school.end();
    const today = midnight(Date.now());
    const days = Math.round((today - lastYear().from) / DAY_MS) + 366;
    execFileSync(PYTHON, [SEED, database(school), String(METERS.length), 'now', String(days), '80'], { timeout: LIMIT_MS });
    seasons(school);
    mains(school);
    change(school);
    await school.begin();
  } catch (thrown) {
    await school.stop();
    throw thrown;
  }
  return school;
}
