// What an answer about energy says, beside what it is compared with.
import type { Text } from '../texts';
import { dayOf } from './span';

export type Row = readonly [at: number, kwh: number | null];

export interface Answer {
  unit?: string;
  rows: Row[];
  /** At the moments of the rows; one that nothing is comparable with is left out. */
  compare?: Row[] | null;
  total?: number;
  items?: { item: string | null; name?: Text; kwh: number }[];
  meters?: number;
  /** Of the meters those that are not added: another one of them counts their energy already. */
  within?: number;
  /** Main meters of which nothing is known: those below them count instead. */
  unknown?: number;
  /** Meters that have less than those below them, and how much more those have. */
  over?: { device: string; name: string; kwh: number }[];
  /** Of one meter: those right below it, and what none of them counts. */
  below?: { rows: { device: string; name: string; kwh: number | null }[]; rest: number | null } | null;
}

/** A total beside what it is compared with. */
export interface Beside {
  total: number;
  /** What was used in those periods that can be compared, and what was used then; null where none can. */
  compared: { now: number; then: number } | null;
}

function sum(rows: readonly Row[]): number {
  return rows.reduce((all, [, kwh]) => all + (kwh ?? 0), 0);
}

/** Only periods that have both are compared: not what is to come, nor days that nothing is comparable with. */
export function beside({ rows, compare, total }: Answer): Beside {
  const used = new Map(rows);
  let [now, then, pairs] = [0, 0, 0];
  for (const [at, kwh] of compare ?? []) {
    const here = used.get(at);
    if (typeof here !== 'number' || kwh === null) continue;
    now += here;
    then += kwh;
    pairs += 1;
  }
  return { total: total ?? sum(rows), compared: pairs > 0 ? { now, then } : null };
}

/** Days added up by month (`2026-11`). */
export function byMonth(rows: readonly Row[]): Map<string, number> {
  const months = new Map<string, number>();
  for (const [at, kwh] of rows) {
    const month = dayOf(at).slice(0, 7);
    months.set(month, (months.get(month) ?? 0) + (kwh ?? 0));
  }
  return months;
}
