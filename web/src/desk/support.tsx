// The guard needs others: one press tells everybody on the ladder; whom to telephone and what to say stands beside it.
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { asProblem, type Problem } from '../api';
import { whatOf } from '../alarms/words';
import { useCell } from '../cell';
import { site } from '../live';
import type { Alarm } from '../model';
import { said, t, word } from '../texts';
import { Button } from '../ui/button';
import { Dialog } from '../ui/dialog';
import { Icon } from '../ui/icon';
import { Refusal } from '../ui/toast';
import { moment, time } from '../ui/time';
import { callSupport } from './orders';
import { Phones } from './phones';

export function Support({ alarm, onClose }: { alarm: Alarm; onClose: () => void }): JSX.Element {
  const school = useCell(site);
  const press = useRef<HTMLDivElement>(null);
  // Key 4 and Enter: not the cross of the dialog, which would have it.
  useEffect(() => press.current?.querySelector('button')?.focus(), []);
  const [problem, setProblem] = useState<Problem | null>(null);
  const call = async (): Promise<void> => {
    // Told here: what is told behind the dialog is not seen.
    setProblem(await callSupport(alarm).then(() => null, asProblem));
  };
  const { support } = alarm;
  const facts = {
    school: school?.name ?? '',
    place: said(alarm.place_path) || (alarm.place ?? ''),
    what: whatOf(alarm),
    kind: word('class', alarm.class),
    time: moment(alarm.raised_at),
  };
  return (
    <Dialog title={t('desk.support_title')} onClose={onClose}>
      <p class="support-of">
        <strong>#{alarm.id}</strong> {facts.what} · {facts.place}
      </p>
      {!support && (
        <>
          <div class="support-call" ref={press}>
            <Button big kind="danger" icon="people" onClick={call}>
              {t('desk.support_call')}
            </Button>
          </div>
          <p class="hint">{t('desk.support_about')}</p>
        </>
      )}
      <div role="status">
        {support && (
          <div class={support.told_at === undefined ? 'support-state' : 'support-state told'}>
            <Icon name={support.told_at === undefined ? 'clock' : 'check'} size={28} />
            <div>
              <strong>{support.told_at === undefined ? t('desk.support_telling') : t('desk.support_told', { time: time(support.told_at) })}</strong>
              <div>{t('desk.support_called', { name: support.by, time: time(support.at) })}</div>
            </div>
          </div>
        )}
      </div>
      <Refusal problem={problem} />
      <h3>{t('desk.call')}</h3>
      <Phones contacts={alarm.contacts ?? school?.contacts ?? []} />
      <h3>{t('desk.say')}</h3>
      <p class="script">{t('desk.script', facts)}</p>
      <div class="row">
        {support && (
          <Button big icon="people" onClick={call}>
            {t('desk.support_again')}
          </Button>
        )}
        <Button big onClick={onClose}>
          {t('close')}
        </Button>
      </div>
    </Dialog>
  );
}
