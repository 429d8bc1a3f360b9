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

/** Says what it was; whoever says so has taken it. */
export async function confirm(alarm: Alarm, result: Truth, note = ''): Promise<void> {
  if (!alarm.acknowledged) await orderAlarm(alarm.id, 'acknowledge');
  await orderAlarm(alarm.id, 'confirm', note ? { result, note } : { result });
}

export async function reset(alarm: Alarm): Promise<void> {
  await orderAlarm(alarm.id, 'reset');
}
