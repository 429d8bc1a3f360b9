// First use: whoever has the claim code becomes the first administrator.
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { post } from '../api';
import { session, type Session } from '../session';
import { t } from '../texts';
import { Form, Input } from '../ui/form';
import { Alone } from './alone';
import { grouped, whole } from './code';

const LEAST_PASSWORD = 12;

export function Claim(): JSX.Element {
  const [code, setCode] = useState('');
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [repeat, setRepeat] = useState('');
  const [tried, setTried] = useState(false);
  const differ = repeat !== '' && repeat !== password;
  const claim = async (): Promise<void> => {
    setTried(true);
    if (!whole(code) || differ) return;
    session.set(await post<Session>('/api/v1/claim', { code: grouped(code), name: name.trim(), password }));
  };
  return (
    <Alone title={t('claim.title')}>
      <p>{t('claim.about')}</p>
      <Form onSubmit={claim} submit={t('claim.submit')} disabled={!name.trim() || password.length < LEAST_PASSWORD || !repeat}>
        <Input
          label={t('claim.code')}
          hint={t('claim.code_hint')}
          error={tried && !whole(code) ? t('claim.code_wrong') : null}
          value={code}
          onInput={(text) => setCode(grouped(text))}
          autocomplete="one-time-code"
          maxLength={24}
          required
          focus
        />
        <Input label={t('claim.name')} value={name} onInput={setName} autocomplete="username" maxLength={64} required />
        <Input
          label={t('claim.password')}
          hint={t('claim.password_hint')}
          type="password"
          value={password}
          onInput={setPassword}
          autocomplete="new-password"
          maxLength={256}
          required
        />
        <Input
          label={t('claim.repeat')}
          error={differ ? t('claim.differ') : null}
          type="password"
          value={repeat}
          onInput={setRepeat}
          autocomplete="new-password"
          maxLength={256}
          required
        />
      </Form>
    </Alone>
  );
}
