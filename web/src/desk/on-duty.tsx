// The screen of a guard room asks once a shift who sits there; orders carry that name.
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { useCell } from '../cell';
import { guardName, session } from '../session';
import { t } from '../texts';
import { Button } from '../ui/button';
import { Dialog } from '../ui/dialog';
import { Form, Input } from '../ui/form';
import { Icon } from '../ui/icon';

/** As long as the longest shift. */
const SHIFT_MS = 12 * 3_600_000;

let named = Date.now();

/** `quiet`: nothing waits, so a question is in nobody's way. */
export function OnDuty({ quiet }: { quiet: boolean }): JSX.Element | null {
  const kiosk = useCell(session, (who) => !!who?.kiosk);
  const name = useCell(guardName);
  const [asking, setAsking] = useState(false);
  useEffect(() => {
    if (!kiosk) return undefined;
    const timer = setInterval(() => {
      if (quiet && Date.now() - named > SHIFT_MS) setAsking(true);
    }, 60_000);
    return () => clearInterval(timer);
  }, [kiosk, quiet]);
  if (!kiosk) return null;
  return (
    <>
      <span>
        <Icon name="user" size={16} /> {name || t('duty.nobody')}
      </span>
      <Button onClick={() => setAsking(true)}>{t('duty.change')}</Button>
      {(asking || !name) && <Ask must={!name} onClose={() => setAsking(false)} />}
    </>
  );
}

function Ask({ must, onClose }: { must: boolean; onClose: () => void }): JSX.Element {
  const [name, setName] = useState('');
  const set = async (): Promise<void> => {
    guardName.set(name.trim());
    named = Date.now();
    onClose();
  };
  return (
    <Dialog title={t('duty.title')} onClose={onClose} must={must}>
      <p>{t('duty.why')}</p>
      <Form onSubmit={set} submit={t('duty.set')} disabled={!name.trim()}>
        <Input label={t('duty.name')} value={name} onInput={setName} maxLength={40} autocomplete="off" required focus />
      </Form>
    </Dialog>
  );
}
