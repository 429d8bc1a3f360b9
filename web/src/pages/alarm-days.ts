// Alarms counted by the school's days.
import type { Alarm } from '../model';
import { dayOf, spanAt } from './span';

export interface AlarmDay {
  at: number;
  all: number;
  /** High and critical ones. */
  urgent: number;
}

/** Every day of the span, also those on which nothing came. */
export function perDay(alarms: readonly Pick<Alarm, 'raised_at' | 'priority'>[], from: number, to: number): AlarmDay[] {
  const days = new Map<string, AlarmDay>();
  for (let at = from; at < to; at = spanAt('day', at).to) days.set(dayOf(at), { at, all: 0, urgent: 0 });
  for (const { raised_at, priority } of alarms) {
    const day = raised_at < to ? days.get(dayOf(raised_at)) : undefined;
    if (!day) continue;
    day.all += 1;
    if (priority === 'critical' || priority === 'high') day.urgent += 1;
  }
  return [...days.values()];
}
