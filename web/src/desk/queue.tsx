// The alarms beside the card: what waits, and what was taken and is not over.
import type { JSX } from 'preact';
import { whatOf } from '../alarms/words';
import type { Alarm } from '../model';
import { Link } from '../router';
import { SupportBadge } from '../alarms/badges';
import { said, t, word } from '../texts';
import { Icon, iconOf } from '../ui/icon';
import { time } from '../ui/time';
import { untaken } from './order';

const MOST = 60;

interface QueueProps {
  alarms: readonly Alarm[];
  shown: number | null;
  muted: ReadonlySet<number>;
  onShow: (id: number) => void;
}

export function Queue({ alarms, shown, muted, onShow }: QueueProps): JSX.Element {
  const waiting = alarms.filter(untaken).length;
  return (
    <section class="queue" aria-label={t('desk.queue')}>
      <h2>
        {t('desk.waiting', { n: waiting })} · {t('desk.taken', { n: alarms.length - waiting })}
      </h2>
      <ul>
        {alarms.slice(0, MOST).map((alarm) => (
          <li key={alarm.id}>
            <button
              type="button"
              class={`queued ${alarm.priority}${alarm.id === shown ? ' shown' : ''}`}
              aria-current={alarm.id === shown}
              onClick={() => onShow(alarm.id)}
            >
              <Icon name={iconOf(alarm.class)} size={22} />
              <span>
                <strong>
                  {whatOf(alarm)}
                </strong>
                <small>
                  {word('priority', alarm.priority)} · {said(alarm.place_path) || alarm.place} · {time(alarm.raised_at)}
                </small>
                <SupportBadge alarm={alarm} />
              </span>
              {alarm.acknowledged ? <Icon name="check" /> : muted.has(alarm.id) ? <Icon name="mute" /> : <Icon name="critical" />}
              <span class="unseen">{t(alarm.acknowledged ? 'desk.is_taken' : muted.has(alarm.id) ? 'desk.is_muted' : 'desk.is_waiting')}</span>
            </button>
          </li>
        ))}
      </ul>
      {alarms.length > MOST && <Link to="/alarms">{t('desk.more', { n: alarms.length - MOST })}</Link>}
    </section>
  );
}
