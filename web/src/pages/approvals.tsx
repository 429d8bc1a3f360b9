// Exports of personal data: asked for by one person, agreed to by another.
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { post, useGet } from '../api';
import { useCell } from '../cell';
import { may, session } from '../session';
import { t, word } from '../texts';
import { Button } from '../ui/button';
import { Dialog } from '../ui/dialog';
import { Form, Input } from '../ui/form';
import { Table, type Column } from '../ui/table';
import { moment } from '../ui/time';
import { tell } from '../ui/toast';
import { Await, FileLink, Sheet, Sign, type SignKind } from './parts';

interface Approval {
  id: string | number;
  /** Who asked. */
  by: string;
  purpose: string;
  asked_at: number;
  stage: string;
  answered_by?: string | null;
}

const AGAIN_MS = 10_000;
const SIGNS: Record<string, SignKind> = { waiting: 'warn', approved: 'good', refused: 'bad', fetched: 'none', expired: 'none' };

export default function Approvals(): JSX.Element {
  const asked = useGet<{ rows: Approval[] }>('/api/v1/approvals', {}, AGAIN_MS);
  const own = useCell(session, (who) => who?.name);
  const [asking, ask] = useState(false);
  const path = (one: Approval, verb: string): string => `/api/v1/approvals/${encodeURIComponent(String(one.id))}/${verb}`;
  const decide = async (one: Approval, verb: 'approve' | 'refuse'): Promise<void> => {
    await post(path(one, verb));
    tell(t(verb === 'approve' ? 'approvals.approved_now' : 'approvals.refused_now'));
    asked.again();
  };
  const columns: Column<Approval>[] = [
    { key: 'at', title: t('when'), by: (a) => a.asked_at, cell: (a) => moment(a.asked_at) },
    { key: 'asker', title: t('approvals.asker'), by: (a) => a.by, cell: (a) => a.by },
    { key: 'purpose', title: t('approvals.purpose'), by: (a) => a.purpose, cell: (a) => a.purpose },
    { key: 'stage', title: t('devices.state'), by: (a) => a.stage, cell: (a) => <Sign kind={SIGNS[a.stage] ?? 'none'}>{word('approval', a.stage)}</Sign> },
    { key: 'by', title: t('approvals.by'), by: (a) => a.answered_by ?? '', cell: (a) => a.answered_by ?? '—' },
    {
      key: 'do',
      title: t('users.do'),
      cell: (a) => (
        <div class="row">
          {a.stage === 'waiting' && a.by !== own && may('approve') && (
            <>
              <Button kind="good" onClick={() => decide(a, 'approve')}>
                {t('approvals.approve')}
              </Button>
              <Button onClick={() => decide(a, 'refuse')}>{t('approvals.refuse')}</Button>
            </>
          )}
          {a.stage === 'waiting' && a.by === own && <span class="hint">{t('approvals.another')}</span>}
          {a.stage === 'approved' && a.by === own && <FileLink href={path(a, 'file')}>{t('approvals.fetch')}</FileLink>}
        </div>
      ),
    },
  ];
  return (
    <Sheet title={t('nav.approvals')}>
      <p>{t('approvals.about')}</p>
      {may('persons') && (
        <div class="row no-print">
          <Button kind="primary" onClick={() => ask(true)}>
            {t('approvals.ask')}
          </Button>
        </div>
      )}
      <Await asked={asked}>{({ rows }) => <Table caption={t('nav.approvals')} columns={columns} rows={rows} id={(a) => a.id} sorted="-at" empty={t('approvals.none')} />}</Await>
      {asking && (
        <Ask
          close={() => ask(false)}
          done={() => {
            ask(false);
            asked.again();
          }}
        />
      )}
    </Sheet>
  );
}

function Ask({ close, done }: { close: () => void; done: () => void }): JSX.Element {
  const [purpose, setPurpose] = useState('');
  const send = async (): Promise<void> => {
    await post('/api/v1/people/export', { purpose: purpose.trim() });
    tell(t('approvals.asked'));
    done();
  };
  return (
    <Dialog title={t('approvals.ask')} onClose={close}>
      <Form onSubmit={send} submit={t('approvals.send')} disabled={!purpose.trim()} more={<Button onClick={close}>{t('cancel')}</Button>}>
        <Input label={t('approvals.purpose')} hint={t('approvals.purpose_hint')} value={purpose} onInput={setPurpose} maxLength={200} required focus />
      </Form>
    </Dialog>
  );
}
