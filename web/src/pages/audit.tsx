// The audit trail: who did what and when, and whether all of it is still as it was written.
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { asProblem, post, Problem, usePaged } from '../api';
import { setQuery, usePlace } from '../router';
import { said, t, word, words } from '../texts';
import { Button } from '../ui/button';
import { Input, Select } from '../ui/form';
import { PagedTable, type Column } from '../ui/table';
import { moment } from '../ui/time';
import { Refusal } from '../ui/toast';
import { number } from './numbers';
import { Sheet, Sign } from './parts';

interface Entry {
  seq: number;
  at: number;
  actor: string;
  action: string;
  subject: string;
  detail: string;
}

const PER_PAGE = 100;
/** Longest text that the gateway looks for, in characters. */
const MOST = 100;

export default function AuditTrail(): JSX.Element {
  const { query } = usePlace();
  const asked = (name: string): string => query.get(name) ?? '';
  const [actor, action, q] = [asked('actor'), asked('action'), asked('q')];
  const paged = usePaged<Entry>('/api/v1/audit', { limit: PER_PAGE, actor, action, q });
  const actions = [{ value: '', text: t('all') }, ...words('action').map((value) => ({ value, text: word('action', value) }))];
  const columns: Column<Entry>[] = [
    { key: 'seq', title: t('audit.number'), figure: true, by: (e) => e.seq, cell: (e) => e.seq },
    { key: 'at', title: t('when'), by: (e) => e.at, cell: (e) => moment(e.at) },
    { key: 'actor', title: t('audit.who'), by: (e) => e.actor, cell: (e) => e.actor },
    { key: 'action', title: t('audit.what'), by: (e) => word('action', e.action), cell: (e) => word('action', e.action) },
    { key: 'subject', title: t('audit.subject'), by: (e) => e.subject, cell: (e) => e.subject },
    { key: 'detail', title: t('audit.detail'), by: (e) => e.detail, cell: (e) => <span class="raw">{e.detail}</span> },
  ];
  return (
    <Sheet title={t('nav.audit')}>
      <p>{t('audit.about')}</p>
      <Verify />
      <div class="row filters no-print">
        <Input label={t('audit.who')} type="search" maxLength={MOST} value={actor} onInput={(value) => setQuery({ actor: value })} />
        <Select label={t('audit.what')} value={action} onInput={(value) => setQuery({ action: value })} options={actions} />
        <Input label={t('audit.search')} type="search" maxLength={MOST} value={q} onInput={(value) => setQuery({ q: value })} />
      </div>
      <PagedTable caption={t('nav.audit')} columns={columns} paged={paged} id={(e) => e.seq} csv />
    </Sheet>
  );
}

interface Verified {
  ok: boolean;
  entries: number;
  head: string;
  /** Rows that are not as they were written. */
  broken?: { seq: number; detail?: string; detail_zh?: string }[];
}

function Verify(): JSX.Element {
  const [result, setResult] = useState<Verified | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const verify = async (): Promise<void> => {
    setResult(null);
    setProblem(null);
    try {
      setResult(await post<Verified>('/api/v1/audit/verify'));
    } catch (thrown) {
      setProblem(asProblem(thrown));
    }
  };
  return (
    <div class="no-print">
      <div class="row">
        <Button kind="primary" onClick={verify}>
          {t('audit.verify')}
        </Button>
        <span class="hint">{t('audit.verify_hint')}</span>
      </div>
      <Refusal problem={problem} />
      {result && (
        <div class={result.ok ? 'notice good' : 'refusal'} role="status">
          <div>
            <Sign kind={result.ok ? 'good' : 'bad'}>
              {result.ok ? t('audit.whole', { n: number(result.entries) }) : t('audit.broken', { n: result.broken?.[0]?.seq ?? '?' })}
            </Sign>
            {result.broken?.slice(0, 10).map(({ seq, detail = '', detail_zh = '' }) => (
              <p key={seq}>
                {seq}: {said({ zh: detail_zh, en: detail })}
              </p>
            ))}
            {result.head && (
              <p class="raw">
                {t('audit.head')} <code>{result.head}</code>
              </p>
            )}
          </div>
        </div>
      )}
    </div>
  );
}
