// One's own account: the password, and signing out.
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { loadSession, post } from '../api';
import { useCell } from '../cell';
import { session } from '../session';
import { t, word } from '../texts';
import { Form, Input } from '../ui/form';
import { span } from '../ui/time';
import { tell } from '../ui/toast';
import { listed } from './numbers';
import { Facts, Part, Sheet } from './parts';
import { LEAST_PASSWORD } from './roles';

export default function Me(): JSX.Element {
  const who = useCell(session);
  return (
    <Sheet title={t('nav.me')}>
      <div class="card">
        <Facts
          rows={[
            [t('sign.name'), who?.name],
            [t('users.role'), word('role', who?.role ?? '')],
            [t('me.may'), listed((who?.rights ?? []).filter((right) => right !== 'open' && right !== 'own').map((right) => word('right', right)))],
            !!who?.idle_secs && [t('me.idle'), span(who.idle_secs * 1000)],
          ]}
        />
      </div>
      <Part title={t('me.password')}>
        <Password />
      </Part>
    </Sheet>
  );
}

function Password(): JSX.Element {
  const [old, setOld] = useState('');
  const [fresh, setFresh] = useState('');
  const [repeat, setRepeat] = useState('');
  const tooShort = fresh !== '' && fresh.length < LEAST_PASSWORD;
  const differ = repeat !== '' && repeat !== fresh;
  const change = async (): Promise<void> => {
    await post('/api/v1/session/password', { old, new: fresh });
    for (const clear of [setOld, setFresh, setRepeat]) clear('');
    tell(t('me.changed'));
    // The gateway gives a fresh session with a new password.
    await loadSession();
  };
  return (
    <div class="card form">
      <Form onSubmit={change} submit={t('me.change')} disabled={!old || !fresh || tooShort || !repeat || differ}>
        <Input label={t('me.old')} type="password" autocomplete="current-password" value={old} onInput={setOld} maxLength={256} required />
        <Input
          label={t('users.new_password')}
          hint={t('claim.password_hint')}
          error={tooShort ? t('users.too_short') : null}
          type="password"
          autocomplete="new-password"
          value={fresh}
          onInput={setFresh}
          maxLength={256}
          required
        />
        <Input
          label={t('claim.repeat')}
          error={differ ? t('claim.differ') : null}
          type="password"
          autocomplete="new-password"
          value={repeat}
          onInput={setRepeat}
          maxLength={256}
          required
        />
      </Form>
    </div>
  );
}
