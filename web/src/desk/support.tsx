// The guard needs others: whom to call and what to say, and a line in the alarm's history.
import type { JSX } from 'preact';
import { whatOf } from '../alarms/words';
import { useCell } from '../cell';
import { site } from '../live';
import type { Alarm } from '../model';
import { said, t, word } from '../texts';
import { Button } from '../ui/button';
import { Dialog } from '../ui/dialog';
import { tell } from '../ui/toast';
import { moment } from '../ui/time';
import { confirm } from './orders';
import { Phones } from './phones';

export function Support({ alarm, onClose }: { alarm: Alarm; onClose: () => void }): JSX.Element {
  const school = useCell(site);
  const note = async (): Promise<void> => {
    await confirm(alarm, 'real', t('desk.support_note'));
    tell(t('desk.support_noted'));
    onClose();
  };
  const facts = {
    school: school?.name ?? '',
    place: said(alarm.place_path) || (alarm.place ?? ''),
    what: whatOf(alarm),
    kind: word('class', alarm.class),
    time: moment(alarm.raised_at),
  };
  return (
    <Dialog title={t('desk.support_title')} onClose={onClose}>
      <h3>{t('desk.call')}</h3>
      <Phones contacts={alarm.contacts ?? school?.contacts ?? []} />
      <h3>{t('desk.say')}</h3>
      <p class="script">{t('desk.script', facts)}</p>
      {!alarm.acknowledged && <p class="hint">{t('desk.support_ladder')}</p>}
      <div class="row">
        <Button big kind="danger" icon="critical" onClick={note}>
          {t('desk.support_confirm')}
        </Button>
        <Button big onClick={onClose}>
          {t('close')}
        </Button>
      </div>
    </Dialog>
  );
}
