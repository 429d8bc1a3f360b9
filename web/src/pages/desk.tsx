// The guard desk: one screen that shouts when it must and is calm otherwise.
import type { JSX } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import { Cell, useCell } from '../cell';
import { Card } from '../desk/card';
import { BeginDrill, DrillBanner } from '../desk/drill';
import { Lost } from '../desk/lost';
import { OnDuty } from '../desk/on-duty';
import { onDesk, sooner, sounding, tone, untaken } from '../desk/order';
import { Queue } from '../desk/queue';
import { Responses } from '../desk/responses';
import { sounded, useSiren } from '../desk/siren';
import { allowed, unlock } from '../desk/sound';
import { Support } from '../desk/support';
import { link, live, watchAlarms } from '../live';
import type { Alarm } from '../model';
import { said, t } from '../texts';
import { Icon } from '../ui/icon';
import { tell } from '../ui/toast';
import { span, time, useNow } from '../ui/time';
import '../desk/desk.css';

/** Alarms that a guard muted; lasts for as long as the page is open. */
const mutes = new Cell<ReadonlySet<number>>(new Set());

export default function Desk(): JSX.Element {
  const open = useCell(live, (now) => now.alarms);
  const ready = useCell(live, (now) => now.ready);
  const contact = useCell(link);
  const muted = useCell(mutes);
  const loud = useCell(sounded);
  const may = useCell(allowed);
  const [chosen, setChosen] = useState<number | null>(null);
  // For which alarm support is being called; another may take the card meanwhile, or this one may close.
  const [needing, setNeeding] = useState<Alarm | null>(null);
  const alarms = useMemo(() => onDesk(open.values()), [open]);
  const first = alarms[0];
  const pick = alarms.find(({ id }) => id === chosen);
  // What is more urgent than what was chosen takes the card.
  const shown = pick && first && !sooner(first, pick) ? pick : first && untaken(first) ? first : pick;
  const due = sounding(alarms, muted);
  useSiren(contact.here ? tone(due) : null, `${due.length} ${Math.max(0, ...due.map(({ id }) => id))}`);
  useRecurred();
  useBack(contact);
  const waiting = alarms.filter(untaken);
  useEffect(() => {
    document.title = waiting.length ? `(${waiting.length}) ${t('nav.desk')}` : `${t('nav.desk')} · ${t('product')}`;
  }, [waiting.length]);
  const mute = (alarm: Alarm): void => {
    mutes.update((old) => {
      const next = new Set(old);
      if (!next.delete(alarm.id)) next.add(alarm.id);
      return next;
    });
  };
  return (
    <div class="desk" data-sounding={loud.tone ?? 'none'} data-sounds={loud.times} data-sound={may ? 'allowed' : 'blocked'}>
      {!contact.here && <Lost since={contact.since} />}
      {!may && (
        <button type="button" class="sound-blocked" onClick={unlock}>
          <Icon name="mute" size={28} /> <strong>{t('sound.blocked')}</strong> {t('sound.click')}
        </button>
      )}
      <DrillBanner />
      <div class="desk-main">
        {shown ? (
          <Card
            key={shown.id}
            alarm={shown}
            muted={muted.has(shown.id)}
            onMute={() => mute(shown)}
            onSupport={() => {
              setChosen(shown.id);
              setNeeding(shown);
            }}
          />
        ) : (
          <Calm ready={ready} taken={alarms.length} />
        )}
      </div>
      <aside>
        <div class="row">
          <OnDuty quiet={waiting.length === 0} />
          <BeginDrill />
        </div>
        <Responses />
        <Queue alarms={alarms} shown={shown?.id ?? null} muted={muted} onShow={setChosen} />
      </aside>
      {needing && <Support alarm={open.get(needing.id) ?? needing} onClose={() => setNeeding(null)} />}
      <div class="unseen" role="alert">
        {waiting[0] && `${said(waiting[0].what)} ${said(waiting[0].place_path)}`}
      </div>
    </div>
  );
}

function Calm({ ready, taken }: { ready: boolean; taken: number }): JSX.Element {
  const now = useNow();
  if (!ready) return <p class="empty">{t('loading')}</p>;
  return (
    <div class="calm">
      <Icon name="check" size={96} />
      <h1>{t('desk.calm')}</h1>
      <p class="clock">{time(now)}</p>
      {taken > 0 && <p>{t('desk.calm_taken', { n: taken })}</p>}
    </div>
  );
}

/** What happens again is heard again, muted or not. */
function useRecurred(): void {
  useEffect(
    () =>
      watchAlarms((alarm, change) => {
        if (change?.kind !== 'recurred' && alarm.closed_at === null) return;
        mutes.update((old) => (old.has(alarm.id) ? new Set([...old].filter((id) => id !== alarm.id)) : old));
      }),
    [],
  );
}

/** Says when the gateway is back, and for how long it was not heard. */
function useBack(contact: { here: boolean; since: number }): void {
  const [gone, setGone] = useState<number | null>(null);
  useEffect(() => {
    if (!contact.here) setGone(contact.since);
    else if (gone !== null) {
      tell(t('lost.back', { span: span(Date.now() - gone) }));
      setGone(null);
    }
  }, [contact.here]);
}
