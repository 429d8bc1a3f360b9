// Signing in: by account and password, by the school's own sign-in where there is one, or as a guard room's screen.
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { post } from '../api';
import { useCell } from '../cell';
import { useSiren } from '../desk/siren';
import { unlock } from '../desk/sound';
import { session, type Session } from '../session';
import { t } from '../texts';
import { Checkbox, Form, Input } from '../ui/form';
import { Icon } from '../ui/icon';
import { Alone } from './alone';

export function SignIn(): JSX.Element {
  const oidc = useCell(session, (who) => who?.oidc);
  const dropped = useCell(session, (who) => !!who?.dropped);
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [kiosk, setKiosk] = useState(false);
  // A desk that shows no alarms any more must not be taken for a calm one.
  const desk = dropped && location.pathname === '/desk';
  useSiren(desk && !name ? 'lost' : null, 'dropped');
  const signIn = async (): Promise<void> => {
    // This click is the one that browsers want before they let a page sound.
    unlock();
    session.set(await post<Session>('/api/v1/session', { name: name.trim(), password, kiosk }));
  };
  return (
    <Alone title={t('sign.title')}>
      {dropped && (
        <div class="refusal" role="alert">
          <Icon name="critical" />
          <div>{t(desk ? 'sign.desk_dropped' : 'sign.dropped')}</div>
        </div>
      )}
      <Form onSubmit={signIn} submit={t('sign.submit')} disabled={!name.trim() || !password}>
        <Input label={t('sign.name')} value={name} onInput={setName} autocomplete="username" maxLength={64} required focus />
        <Input
          label={t('sign.password')}
          type="password"
          value={password}
          onInput={setPassword}
          autocomplete="current-password"
          maxLength={256}
          required
        />
        <Checkbox label={t('sign.kiosk')} hint={t('sign.kiosk_hint')} value={kiosk} onInput={setKiosk} />
      </Form>
      {oidc && (
        <p>
          <a class="button" href="/api/v1/session/oidc">
            <Icon name="lock" />
            <span>{t('sign.oidc', { name: oidc.name })}</span>
          </a>
        </p>
      )}
      <p class="hint">
        <Icon name="sound" size={16} /> {t('sign.sound_hint')}
      </p>
    </Alone>
  );
}
