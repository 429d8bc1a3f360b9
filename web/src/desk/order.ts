// Which alarm the desk shows first, and which sound is due.
import type { Alarm, Priority } from '../model';

const RANK: Record<Priority, number> = { critical: 0, high: 1, medium: 2, low: 3 };

function before(a: Alarm, b: Alarm): number {
  // A real alarm breaks through every drill; what nobody took comes before what somebody did.
  return (
    Number(!!a.acknowledged) - Number(!!b.acknowledged) ||
    Number(!!a.drill) - Number(!!b.drill) ||
    RANK[a.priority] - RANK[b.priority] ||
    a.raised_at - b.raised_at ||
    a.id - b.id
  );
}

/** Those that a person is to see, in the order in which to act: the oldest unacknowledged critical one first. */
export function onDesk(alarms: Iterable<Alarm>): Alarm[] {
  return [...alarms].filter((alarm) => alarm.announced).sort(before);
}

export function untaken(alarm: Alarm): boolean {
  return alarm.announced && !alarm.acknowledged;
}

/** Whether `a` is to be shown rather than `b`. */
export function sooner(a: Alarm, b: Alarm): boolean {
  return untaken(a) && (!untaken(b) || (!a.drill && !!b.drill) || (!!a.drill === !!b.drill && RANK[a.priority] < RANK[b.priority]));
}

/** Those that sound: not taken, not muted by hand, and nobody's life hangs on silence. */
export function sounding(alarms: readonly Alarm[], muted: ReadonlySet<number>): Alarm[] {
  return alarms.filter((alarm) => untaken(alarm) && !alarm.silent && !muted.has(alarm.id));
}

/** The sound of the most urgent of them. */
export function tone(alarms: readonly Alarm[]): Priority | null {
  let first: Priority | null = null;
  for (const { priority } of alarms) if (first === null || RANK[priority] < RANK[first]) first = priority;
  return first;
}
