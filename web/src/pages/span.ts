// Days, weeks, months, quarters and years by the clock of the school.
import { fieldOf, momentOf, parts } from '../ui/time';

export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;

export type Unit = 'day' | 'week' | 'month' | 'quarter' | 'year';

export interface Span {
  from: number;
  to: number;
}

const DAYS = { day: 1, week: 7, month: 0, quarter: 0, year: 0 } as const;
const MONTHS = { day: 0, week: 0, month: 1, quarter: 3, year: 12 } as const;

/** The midnight at the school of a day; months and days may run over, as in `Date.UTC`. */
function midnight(year: number, month: number, day: number): number {
  const date = new Date(Date.UTC(year, month - 1, day));
  return momentOf(date.toISOString().slice(0, 10)) ?? date.getTime();
}

/** The day, week (from Monday), month, quarter or year around a moment, or the one so many before or after it. */
export function spanAt(unit: Unit, ms: number, off = 0): Span {
  const { year, month, day } = parts(ms);
  let [m, d] = [month, day];
  if (unit === 'week') d -= (new Date(Date.UTC(year, month - 1, day)).getUTCDay() + 6) % 7;
  else if (unit !== 'day') d = 1;
  if (unit === 'quarter') m -= (month - 1) % 3;
  if (unit === 'year') m = 1;
  const begin = (n: number): number => midnight(year, m + MONTHS[unit] * n, d + DAYS[unit] * n);
  return { from: begin(off), to: begin(off + 1) };
}

/** `2026-11-22` of a moment. */
export function dayOf(ms: number): string {
  return fieldOf(ms, false);
}

/** What a row of a table or chart of this unit is called: hours of a day, days of the longer ones. */
export function rowName(unit: Unit, ms: number): string {
  return unit === 'day' ? fieldOf(ms, true).slice(11) : dayOf(ms);
}

/** What a span is called. */
export function spanName(unit: Unit, { from, to }: Span): string {
  const first = dayOf(from);
  switch (unit) {
    case 'day':
      return first;
    case 'week':
      return `${first} – ${dayOf(to - 1)}`;
    case 'month':
      return first.slice(0, 7);
    case 'quarter':
      return `${first.slice(0, 4)} Q${Math.floor((Number(first.slice(5, 7)) - 1) / 3) + 1}`;
    case 'year':
      return first.slice(0, 4);
  }
}
