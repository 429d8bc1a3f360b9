// What a guard orders about an alarm.
import { post } from '../api';
import type { Alarm, Truth } from '../model';
import { acting } from '../session';

type More = Record<string, string | number | boolean>;

export async function orderAlarm(id: number, verb: string, more: More = {}): Promise<Alarm> {
  return post<Alarm>(`/api/v1/alarms/${id}/${verb}`, { ...acting(), ...more });
}

export async function acknowledge(alarm: Alarm): Promise<void> {
  await orderAlarm(alarm.id, 'acknowledge');
}

/** Takes it where nobody has, and tells everybody on its ladder at once that more people are needed. */
export async function callSupport(alarm: Alarm): Promise<void> {
  await orderAlarm(alarm.id, 'support');
}

/** Says what it was; whoever says so has taken it. */
export async function confirm(alarm: Alarm, result: Truth): Promise<void> {
  if (!alarm.acknowledged) await orderAlarm(alarm.id, 'acknowledge');
  await orderAlarm(alarm.id, 'confirm', { result });
}

export async function reset(alarm: Alarm): Promise<void> {
  await orderAlarm(alarm.id, 'reset');
}
