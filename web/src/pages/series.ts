// What an answer about energy says, beside what it is compared with.
import type { Text } from '../texts';
import { dayOf, type Span } from './span';

export type Row = readonly [at: number, kwh: number | null];

export interface Answer {
  unit?: string;
  rows: Row[];
  compare?: Row[] | null;
  total?: number;
  compare_total?: number | null;
  items?: { item: string | null; name?: Text; kwh: number }[];
}

export interface Beside {
  rows: readonly Row[];
  /** What it is compared with, at the moments of this span. */
  beside: readonly Row[];
  total: number;
  /** What had come by then of what it is compared with; null where there is nothing to compare with. */
  than: number | null;
  /** All of what it is compared with. */
  whole: number | null;
}

function sum(rows: readonly Row[]): number {
  return rows.reduce((all, [, kwh]) => all + (kwh ?? 0), 0);
}

/** Puts both side by side. Of a span that goes on only the part that has passed is compared. */
export function besides(answer: Answer, span: Span, now: number): Beside {
  const rows = answer.rows ?? [];
  const given = answer.compare ?? [];
  const total = answer.total ?? sum(rows);
  // Rows of another span come in the same order: the first beside the first.
  const elsewhere = given.some(([at]) => at < span.from || at >= span.to);
  const step = rows.length > 1 && rows[0] && rows[1] ? rows[1][0] - rows[0][0] : 0;
  const moment = (n: number): number => rows[n]?.[0] ?? (rows[rows.length - 1]?.[0] ?? span.from) + step * (n - rows.length + 1);
  const beside = elsewhere ? given.map(([, kwh], n): Row => [moment(n), kwh]) : given;
  if (beside.length === 0) return { rows, beside, total, than: null, whole: null };
  const whole = answer.compare_total ?? sum(beside);
  const last = rows[rows.length - 1]?.[0];
  const goesOn = now < span.to && last !== undefined;
  return { rows, beside, total, than: goesOn ? sum(beside.filter(([at]) => at <= last)) : whole, whole };
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
