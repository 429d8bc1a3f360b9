// Priorities, states and marks of alarms: an icon and a word, and a colour besides.
import type { JSX } from 'preact';
import type { Alarm, Priority } from '../model';
import { t, word } from '../texts';
import { Icon, iconOf } from '../ui/icon';
import { minute } from '../ui/time';

export function PriorityBadge({ priority }: { priority: Priority }): JSX.Element {
  return (
    <span class={`badge ${priority}`}>
      <Icon name={iconOf(priority)} size={16} />
      <span>{word('priority', priority)}</span>
    </span>
  );
}

export function DrillBadge({ alarm }: { alarm: Pick<Alarm, 'drill'> }): JSX.Element | null {
  if (!alarm.drill) return null;
  return (
    <span class="badge drill">
      <Icon name="drill" size={16} />
      <span>{t('alarm.drill')}</span>
    </span>
  );
}

export function SupportBadge({ alarm }: { alarm: Pick<Alarm, 'support'> }): JSX.Element | null {
  if (!alarm.support) return null;
  return (
    <span class="badge warn support">
      <Icon name="people" size={16} />
      <span>{t('alarm.support_at', { time: minute(alarm.support.at) })}</span>
    </span>
  );
}

export function StateBadge({ alarm }: { alarm: Alarm }): JSX.Element {
  const waiting = alarm.announced && !alarm.acknowledged;
  const over = alarm.closed_at !== null;
  return (
    <span class={waiting ? 'badge bad' : over ? 'badge' : 'badge good'}>
      <Icon name={waiting ? 'critical' : over ? 'low' : alarm.announced ? 'check' : 'mute'} size={16} />
      <span>{word('state', alarm.state)}</span>
    </span>
  );
}
