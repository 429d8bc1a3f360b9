// Who may come in: accounts, programs with tokens, and who is signed in now.
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { del, post, put, useGet } from '../api';
import { useCell } from '../cell';
import { session, type Role } from '../session';
import { t, word } from '../texts';
import { Button } from '../ui/button';
import { Dialog } from '../ui/dialog';
import { Checkbox, Form, Input, Select } from '../ui/form';
import { Table, type Column } from '../ui/table';
import { day, moment, momentOf, span } from '../ui/time';
import { tell } from '../ui/toast';
import { listed } from './numbers';
import { Await, Copied, Part, Sheet, Sign, Tabs, useTab, type Tab } from './parts';
import { EXPLAINED, LEAST_PASSWORD, RIGHTS, ROLES } from './roles';
import { DAY_MS, dayOf } from './span';

export default function Users(): JSX.Element {
  const tabs: Tab[] = [
    ['accounts', t('users.accounts')],
    ['tokens', t('users.tokens')],
    ['sessions', t('users.sessions')],
    ['roles', t('users.roles')],
  ];
  const tab = useTab(tabs);
  return (
    <Sheet title={t('nav.users')}>
      <Tabs tabs={tabs} />
      {tab === 'tokens' ? <Tokens /> : tab === 'sessions' ? <Sessions /> : tab === 'roles' ? <Roles /> : <Accounts />}
    </Sheet>
  );
}

interface Account {
  name: string;
  role: Role;
  disabled?: boolean;
  made_at?: number | null;
  /** How often it is signed in now. */
  sessions?: number;
}

const roleOptions = (): { value: string; text: string }[] => ROLES.map((value) => ({ value, text: word('role', value) }));

function Accounts(): JSX.Element {
  const asked = useGet<{ rows: Account[] }>('/api/v1/accounts');
  const own = useCell(session, (who) => who?.name);
  const [changed, change] = useState<Account | 'new' | null>(null);
  const [removed, remove] = useState<Account | null>(null);
  const done = (): void => {
    change(null);
    remove(null);
    asked.again();
  };
  const columns: Column<Account>[] = [
    { key: 'name', title: t('sign.name'), by: (a) => a.name, cell: (a) => <strong>{a.name}</strong> },
    { key: 'role', title: t('users.role'), by: (a) => word('role', a.role), cell: (a) => word('role', a.role) },
    {
      key: 'state',
      title: t('devices.state'),
      by: (a) => (a.disabled ? 1 : 0),
      cell: (a) => <Sign kind={a.disabled ? 'none' : 'good'}>{t(a.disabled ? 'users.disabled' : 'users.enabled')}</Sign>,
    },
    { key: 'sessions', title: t('users.sessions'), figure: true, by: (a) => a.sessions ?? null, cell: (a) => a.sessions ?? '—' },
    { key: 'made', title: t('users.made'), by: (a) => a.made_at ?? null, cell: (a) => (a.made_at ? day(a.made_at) : '—') },
    {
      key: 'do',
      title: t('users.do'),
      cell: (a) => (
        <div class="row">
          <Button onClick={() => change(a)} label={t('users.change_name', { name: a.name })}>
            {t('users.change')}
          </Button>
          {a.name !== own && (
            <Button onClick={() => remove(a)} label={t('users.remove_name', { name: a.name })}>
              {t('users.remove')}
            </Button>
          )}
        </div>
      ),
    },
  ];
  return (
    <>
      <div class="row no-print">
        <Button kind="primary" onClick={() => change('new')}>
          {t('users.add')}
        </Button>
      </div>
      <Await asked={asked}>{({ rows }) => <Table caption={t('users.accounts')} columns={columns} rows={rows} id={(a) => a.name} sorted="name" />}</Await>
      {changed && <AccountForm account={changed === 'new' ? null : changed} own={changed !== 'new' && changed.name === own} close={() => change(null)} done={done} />}
      {removed && (
        <Sure
          title={t('users.remove_name', { name: removed.name })}
          text={t('users.remove_account')}
          submit={t('users.remove')}
          close={() => remove(null)}
          act={() => del(`/api/v1/accounts/${encodeURIComponent(removed.name)}`)}
          done={done}
        />
      )}
    </>
  );
}

interface Asked {
  title: string;
  text: string;
  submit: string;
  close: () => void;
  act: () => Promise<unknown>;
  done: () => void;
}

/** What cannot be undone is asked once more. */
export function Sure({ title, text, submit, close, act, done }: Asked): JSX.Element {
  return (
    <Dialog title={title} onClose={close}>
      <Form
        kind="danger"
        submit={submit}
        onSubmit={async () => {
          await act();
          done();
        }}
        more={<Button onClick={close}>{t('cancel')}</Button>}
      >
        <p>{text}</p>
      </Form>
    </Dialog>
  );
}

function AccountForm({ account, own, close, done }: { account: Account | null; own: boolean; close: () => void; done: () => void }): JSX.Element {
  const [name, setName] = useState(account?.name ?? '');
  const [role, setRole] = useState<string>(account?.role ?? 'guard');
  const [password, setPassword] = useState('');
  const [disabled, setDisabled] = useState(account?.disabled ?? false);
  const tooShort = password !== '' && password.length < LEAST_PASSWORD;
  const save = async (): Promise<void> => {
    const given = { role, ...(password ? { password } : {}) };
    if (account) await put(`/api/v1/accounts/${encodeURIComponent(account.name)}`, { ...given, disabled });
    else await post('/api/v1/accounts', { ...given, name: name.trim() });
    tell(t('saved'));
    done();
  };
  return (
    <Dialog title={account ? t('users.change_name', { name: account.name }) : t('users.add')} onClose={close}>
      <Form onSubmit={save} submit={t('save')} disabled={!name.trim() || tooShort || (!account && !password)} more={<Button onClick={close}>{t('cancel')}</Button>}>
        {!account && <Input label={t('sign.name')} value={name} onInput={setName} maxLength={64} autocomplete="off" required focus />}
        <Select label={t('users.role')} value={role} onInput={setRole} options={roleOptions()} hint={may(role)} disabled={own} />
        <Input
          label={t(account ? 'users.new_password' : 'sign.password')}
          hint={t(account ? 'users.keep_password' : 'claim.password_hint')}
          error={tooShort ? t('users.too_short') : null}
          type="password"
          autocomplete="new-password"
          value={password}
          onInput={setPassword}
          maxLength={256}
          required={!account}
        />
        {account && !own && <Checkbox label={t('users.disable')} hint={t('users.disable_hint')} value={disabled} onInput={setDisabled} />}
      </Form>
    </Dialog>
  );
}

/** What a role may do, in a line. */
function may(role: string): string {
  const rights = RIGHTS[role as Role] ?? [];
  return listed(rights.map((right) => word('right', right)));
}

interface Token {
  name: string;
  role: Role;
  made_at?: number | null;
  expires_at: number;
}

const USUAL_DAYS = 90;

function Tokens(): JSX.Element {
  const asked = useGet<{ rows: Token[] }>('/api/v1/tokens');
  const [made, setMade] = useState<{ name: string; token: string } | null>(null);
  const [adding, add] = useState(false);
  const [removed, remove] = useState<Token | null>(null);
  const columns: Column<Token>[] = [
    { key: 'name', title: t('users.program'), by: (k) => k.name, cell: (k) => <strong>{k.name}</strong> },
    { key: 'role', title: t('users.role'), by: (k) => word('role', k.role), cell: (k) => word('role', k.role) },
    {
      key: 'until',
      title: t('users.until'),
      by: (k) => k.expires_at,
      cell: (k) => <Sign kind={k.expires_at > Date.now() ? 'good' : 'none'}>{k.expires_at > Date.now() ? day(k.expires_at) : t('users.expired', { at: day(k.expires_at) })}</Sign>,
    },
    {
      key: 'do',
      title: t('users.do'),
      cell: (k) => (
        <Button onClick={() => remove(k)} label={t('users.revoke_name', { name: k.name })}>
          {t('users.revoke')}
        </Button>
      ),
    },
  ];
  return (
    <>
      <p>{t('users.tokens_about')}</p>
      <div class="row no-print">
        <Button kind="primary" onClick={() => add(true)}>
          {t('users.add_token')}
        </Button>
      </div>
      {made && (
        <div class="notice good" role="alert">
          <div>
            <p>{t('users.token_once', { name: made.name })}</p>
            <Copied text={made.token} label={t('users.token')} />
            <Button onClick={() => setMade(null)}>{t('users.token_kept')}</Button>
          </div>
        </div>
      )}
      <Await asked={asked}>{({ rows }) => <Table caption={t('users.tokens')} columns={columns} rows={rows} id={(k) => k.name} sorted="name" empty={t('users.no_tokens')} />}</Await>
      {adding && (
        <TokenForm
          close={() => add(false)}
          done={(token) => {
            add(false);
            setMade(token);
            asked.again();
          }}
        />
      )}
      {removed && (
        <Sure
          title={t('users.revoke_name', { name: removed.name })}
          text={t('users.revoke_about')}
          submit={t('users.revoke')}
          close={() => remove(null)}
          act={() => del(`/api/v1/tokens/${encodeURIComponent(removed.name)}`)}
          done={() => {
            remove(null);
            asked.again();
          }}
        />
      )}
    </>
  );
}

function TokenForm({ close, done }: { close: () => void; done: (made: { name: string; token: string }) => void }): JSX.Element {
  const [name, setName] = useState('');
  const [role, setRole] = useState('viewer');
  const [until, setUntil] = useState(dayOf(Date.now() + USUAL_DAYS * DAY_MS));
  const at = momentOf(until);
  const make = async (): Promise<void> => {
    const made = await post<{ token: string }>('/api/v1/tokens', { name: name.trim(), role, expires_at: (at ?? 0) + DAY_MS - 1 });
    done({ name: name.trim(), token: made.token });
  };
  return (
    <Dialog title={t('users.add_token')} onClose={close}>
      <Form onSubmit={make} submit={t('users.make_token')} disabled={!name.trim() || at === null} more={<Button onClick={close}>{t('cancel')}</Button>}>
        <Input label={t('users.program')} value={name} onInput={setName} maxLength={64} autocomplete="off" required focus />
        <Select label={t('users.role')} value={role} onInput={setRole} options={roleOptions().filter(({ value }) => value !== 'kiosk')} hint={may(role)} />
        <Input label={t('users.until')} type="date" value={until} min={dayOf(Date.now())} onInput={setUntil} required />
      </Form>
    </Dialog>
  );
}

interface Opened {
  id: string | number;
  name: string;
  role: Role;
  kiosk?: boolean;
  opened_at?: number | null;
  /** Nothing was asked for since. */
  quiet_secs?: number | null;
  own?: boolean;
}

function Sessions(): JSX.Element {
  const asked = useGet<{ rows: Opened[] }>('/api/v1/sessions');
  const end = async (one: Opened): Promise<void> => {
    await del(`/api/v1/sessions/${encodeURIComponent(String(one.id))}`);
    tell(t('users.ended'));
    asked.again();
  };
  const columns: Column<Opened>[] = [
    {
      key: 'name',
      title: t('sign.name'),
      by: (s) => s.name,
      cell: (s) => (
        <>
          <strong>{s.name}</strong> {s.own && <span class="badge">{t('users.this_one')}</span>} {s.kiosk && <span class="badge">{word('role', 'kiosk')}</span>}
        </>
      ),
    },
    { key: 'role', title: t('users.role'), by: (s) => word('role', s.role), cell: (s) => word('role', s.role) },
    { key: 'begun', title: t('users.begun'), by: (s) => s.opened_at ?? null, cell: (s) => moment(s.opened_at) },
    { key: 'quiet', title: t('users.quiet'), by: (s) => s.quiet_secs ?? null, cell: (s) => (typeof s.quiet_secs === 'number' ? span(s.quiet_secs * 1000) : '—') },
    { key: 'do', title: t('users.do'), cell: (s) => !s.own && <Button onClick={() => end(s)}>{t('users.end')}</Button> },
  ];
  return <Await asked={asked}>{({ rows }) => <Table caption={t('users.sessions')} columns={columns} rows={rows} id={(s) => s.id} sorted="-begun" />}</Await>;
}

function Roles(): JSX.Element {
  return (
    <Part title={t('users.what_roles_may')}>
      <div class="scroll wide" tabIndex={0} role="region" aria-label={t('users.what_roles_may')}>
        <table class="plain">
          <thead>
            <tr>
              <th scope="col">{t('users.may')}</th>
              {ROLES.map((role) => (
                <th key={role} scope="col">
                  {word('role', role)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {EXPLAINED.map((right) => (
              <tr key={right}>
                <th scope="row">{word('right', right)}</th>
                {ROLES.map((role) => (
                  <td key={role}>{RIGHTS[role].includes(right) ? <span class="tick">✓ {t('yes')}</span> : <span class="hint">{t('no')}</span>}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Part>
  );
}
