// A school's energy over any span: workdays, weekends, winter and summer holidays, heating and cooling.

import { site } from '../school.ts';
import { chance } from './chance.ts';
import { made } from './devices.ts';
import type { Asked, Reply } from './reply.ts';
import { notFound, ok } from './reply.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
/** Asia/Shanghai has no summer time. */
const OFFSET = 8 * HOUR;

export interface Meter {
  device: string;
  place: string;
  item: string;
  /** What it takes in a busy hour, kWh. */
  busy: number;
}

/** Whether there is school on a day, by its number since 1970 in local time. */
export function schoolDay(day: number): boolean {
  const date = new Date(day * DAY);
  const weekday = date.getUTCDay();
  const month = date.getUTCMonth() + 1;
  const winter = (month === 1 && date.getUTCDate() > 20) || (month === 2 && date.getUTCDate() < 20);
  const summer = (month === 7 && date.getUTCDate() > 5) || month === 8;
  return weekday !== 0 && weekday !== 6 && !winter && !summer;
}

/** What a meter counts in the hour that begins at `at`, kWh. */
export function hour(meter: Meter, at: number): number {
  const local = at + OFFSET;
  const day = Math.floor(local / DAY);
  const clock = Math.floor((local % DAY) / HOUR);
  const month = new Date(day * DAY).getUTCMonth() + 1;
  const season = [1.5, 1.4, 1.1, 0.9, 0.95, 1.3, 1.5, 1.5, 1.25, 0.9, 1.05, 1.4][month - 1] ?? 1;
  const open = schoolDay(day);
  const boarding = meter.place === 'dormitory';
  const usual = boarding
    ? clock >= 18 || clock < 7
      ? 0.9
      : 0.3
    : clock >= 7 && clock < 18
      ? 1
      : clock < 22
        ? 0.35
        : 0.12;
  const level = open ? usual : 0.1 + usual * 0.08;
  return meter.busy * level * season * (0.88 + 0.24 * chance(meter.device, at / HOUR));
}

/** `[ms, kWh]` of each hour or day of a span, up to `now`. */
export function series(meters: Meter[], from: number, to: number, level: string, now: number): [number, number][] {
  const rows: [number, number][] = [];
  const step = level === 'day' ? DAY : HOUR;
  for (let at = from; at < Math.min(to, now); at += step) {
    let sum = 0;
    for (let part = at; part < Math.min(at + step, now); part += HOUR) {
      for (const meter of meters) sum += hour(meter, part);
    }
    rows.push([at, Math.round(sum * 100) / 100]);
  }
  return rows;
}

export function total(rows: [number, number][]): number {
  return Math.round(rows.reduce((sum, [, kwh]) => sum + kwh, 0) * 100) / 100;
}

/** The same weekdays so many weeks earlier. */
function back(compare: string, from: number, to: number): number {
  if (compare === 'week') return 7 * DAY;
  if (compare === 'year') return 364 * DAY;
  return Math.max(7 * DAY, Math.ceil((to - from) / (7 * DAY)) * 7 * DAY);
}

function under(place: string, wanted: string): boolean {
  for (let at: string | null = place; at; at = site.places.find(({ id }) => id === at)?.parent ?? null) if (at === wanted) return true;
  return false;
}

export function answerEnergy({ path, query }: Asked): Reply | null {
  if (path !== '/api/v1/energy/series') return null;
  const [place, device] = [query.get('place'), query.get('device')];
  if (place && !site.places.some(({ id }) => id === place)) return notFound();
  const meters: Meter[] = made
    .filter((one) => one.busy && (!device || one.id === device) && (!place || under(one.place, place)))
    .map(({ id, place: at, item, busy }) => ({ device: id, place: at, item: item ?? 'lighting', busy: busy ?? 0 }));
  const [from, to] = [Number(query.get('from')), Number(query.get('to'))];
  const level = query.get('level') ?? 'day';
  const now = Date.now();
  const rows = series(meters, from, to, level, now);
  const compare = query.get('compare');
  const earlier = compare ? back(compare, from, to) : 0;
  // What passes today is not compared until it has passed.
  const compared = compare ? series(meters, from - earlier, Math.min(to, now) - earlier, level, now).map(([at, kwh]): [number, number] => [at + earlier, kwh]) : null;
  const items = [...new Set(meters.map(({ item }) => item))].map((item) => ({ item, kwh: total(series(meters.filter((one) => one.item === item), from, to, level, now)) }));
  return ok({ unit: 'kWh', level, from, to, rows, compare: compared, total: total(rows), compare_total: compared && total(compared), meters: meters.length, items });
}
