// One alarm, large: what, where, when; what the cameras saw; what to do and whom to call.
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { Mark, Plan } from '../campus/plan';
import { spotOf } from '../campus/spot';
import { useCell } from '../cell';
import { site } from '../live';
import type { Alarm } from '../model';
import { Link } from '../router';
import { said, t, word } from '../texts';
import { Button } from '../ui/button';
import { Icon, iconOf } from '../ui/icon';
import { tell, tellProblem } from '../ui/toast';
import { moment, span, time, useNow } from '../ui/time';
import { DrillBadge, PriorityBadge, SupportBadge } from '../alarms/badges';
import { whatOf } from '../alarms/words';
import { acknowledge, confirm, reset } from './orders';
import { Phones } from './phones';
import { Pictures } from './pictures';

/** A press so soon after the card changed was meant for the one before. */
const MEANT_MS = 350;

interface CardProps {
  alarm: Alarm;
  muted: boolean;
  onMute: () => void;
  onSupport: () => void;
}

export function Card({ alarm, muted, onMute, onSupport }: CardProps): JSX.Element {
  const now = useNow();
  const since = useRef(performance.now());
  const taken = alarm.acknowledged;
  // A press of a button lasts no time: that it is over says nothing.
  const gone = !alarm.active && (alarm.cleared_at ?? 0) > alarm.raised_at;
  const act = (what: () => Promise<void>) => async (): Promise<void> => {
    if (performance.now() - since.current < MEANT_MS) return tell(t('desk.just_changed'));
    await what();
  };
  const take = act(() => acknowledge(alarm));
  const real = act(() => confirm(alarm, 'real'));
  const wrong = act(() => confirm(alarm, 'false'));
  const drilled = act(() => confirm(alarm, 'drill'));
  const help = async (): Promise<void> => onSupport();

  const keys = useRef<Record<string, () => Promise<void>>>({});
  keys.current = { '1': real, '2': wrong, '3': drilled, '4': help };
  if (!taken) keys.current.Enter = take;
  useEffect(() => {
    const press = (event: KeyboardEvent): void => {
      if (event.repeat || event.ctrlKey || event.altKey || event.metaKey || document.querySelector('dialog[open]')) return;
      const target = event.target instanceof Element ? event.target : null;
      if (target?.closest('input, textarea, select')) return;
      // Enter on a button or link is that button's own.
      if (event.key === 'Enter' && target?.closest('button, a, summary')) return;
      const order = keys.current[event.key];
      if (!order) return;
      event.preventDefault();
      order().catch(tellProblem);
    };
    addEventListener('keydown', press);
    return () => removeEventListener('keydown', press);
  }, []);

  return (
    <article class={`alarm-card ${alarm.priority}${alarm.drill ? ' drill' : ''}`} data-alarm={alarm.id} aria-label={said(alarm.what)}>
      <header>
        <Icon name={iconOf(alarm.class)} size={32} />
        <strong>{word('class', alarm.class)}</strong>
        <PriorityBadge priority={alarm.priority} />
        <DrillBadge alarm={alarm} />
        <SupportBadge alarm={alarm} />
        {alarm.silent && (
          <span class="badge">
            <Icon name="mute" size={16} />
            <span>{t('desk.silent')}</span>
          </span>
        )}
        <Link to={`/alarms/${alarm.id}`} class="number" label={t('desk.details', { id: alarm.id })}>
          #{alarm.id}
        </Link>
      </header>
      <div class="what">
        <h1>{whatOf(alarm)}</h1>
        <p class="where">
          <Icon name="place" size={28} /> {said(alarm.place_path) || alarm.place || t('desk.no_place')}
        </p>
        <p class="when">
          <Icon name="clock" size={24} /> <time dateTime={new Date(alarm.raised_at).toISOString()}>{moment(alarm.raised_at)}</time>
          {' · '}
          {t('desk.ago', { span: span(now - alarm.raised_at) })}
          {alarm.occurrences > 1 && ` · ${t('desk.times', { n: alarm.occurrences })}`}
          {gone && ` · ${t('desk.cleared')}`}
        </p>
        {!taken && !alarm.silent && (
          <div class="mute">
            <Button big kind="bare" icon={muted ? 'mute' : 'sound'} pressed={muted} onClick={onMute}>
              {t('desk.mute')}
            </Button>
          </div>
        )}
      </div>
      {taken && (
        <p class="taken">
          <Icon name="check" /> {t('desk.taken_by', { name: taken.by, time: time(taken.at) })}
          {alarm.confirmed && ` · ${t('desk.confirmed_as', { truth: word('truth', alarm.confirmed.truth), name: alarm.confirmed.by })}`}
        </p>
      )}
      <div class="row orders">
        {taken ? (
          alarm.latched && !alarm.reset && (
            <Button big kind="good" icon="check" onClick={act(() => reset(alarm))}>
              {t('desk.reset')}
            </Button>
          )
        ) : (
          <Button big kind="primary" icon="check" shortcut="Enter" onClick={take}>
            {t('desk.acknowledge')}
          </Button>
        )}
        <Button big icon="critical" shortcut="1" pressed={alarm.confirmed?.truth === 'real'} onClick={real}>
          {t('desk.real')}
        </Button>
        <Button big icon="cross" shortcut="2" pressed={alarm.confirmed?.truth === 'false'} onClick={wrong}>
          {t('desk.false')}
        </Button>
        <Button big icon="drill" shortcut="3" pressed={alarm.confirmed?.truth === 'drill'} onClick={drilled}>
          {t('desk.drill')}
        </Button>
        <Button big icon="people" shortcut="4" pressed={alarm.support !== undefined} onClick={help}>
          {t('desk.support')}
        </Button>
      </div>
      <div class="see">
        <Where alarm={alarm} />
        <Pictures alarm={alarm.id} />
        <Todo alarm={alarm} />
      </div>
    </article>
  );
}

function Where({ alarm }: { alarm: Alarm }): JSX.Element | null {
  const school = useCell(site);
  const spot = school && spotOf(school, alarm.device, alarm.place);
  if (!spot) return null;
  return (
    <Plan src={spot.plan} name={said(spot.place.path)}>
      {spot.x !== null && spot.y !== null && (
        <Mark x={spot.x} y={spot.y} class={`here ${alarm.priority}`}>
          <Icon name={iconOf(alarm.class)} size={22} />
        </Mark>
      )}
    </Plan>
  );
}

function Todo({ alarm }: { alarm: Alarm }): JSX.Element {
  const school = useCell(site);
  const steps = alarm.steps ?? [];
  return (
    <section class="todo">
      <h2>{t('desk.steps')}</h2>
      {steps.length > 0 ? (
        <ol>
          {steps.map((step, i) => (
            <li key={i}>{step}</li>
          ))}
        </ol>
      ) : (
        <p>{t('desk.no_steps')}</p>
      )}
      <h2>{t('desk.phones')}</h2>
      <Phones contacts={alarm.contacts ?? school?.contacts ?? []} />
    </section>
  );
}
