// Uploads: how complete they are, how far behind, what platforms refused, and the last error in plain words.
import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import { useGet, usePaged } from '../api';
import { said, t, word, type Text } from '../texts';
import { Chart } from '../ui/chart';
import { Table, PagedTable, type Column } from '../ui/table';
import { moment, span } from '../ui/time';
import { bytes, completeness, number } from './numbers';
import { Await, Bar, Facts, Part, Sheet, Sign, type SignKind } from './parts';
import { dayOf } from './span';

interface Owed {
  owed: number;
  accepted: number;
  waiting?: number;
  set_aside?: number;
}

interface Destination {
  id: string;
  state?: string;
  waiting: number;
  oldest?: number | null;
  lag_secs?: number;
  day?: Owed;
  month?: Owed;
  /** Moment a day begins, owed, accepted. */
  history?: [at: number, owed: number, accepted: number][];
  last_success?: number | null;
  last_failure?: number | null;
  last_error?: Text | null;
  consecutive_failures?: number;
  clock_ahead_ms?: number | null;
}

const AGAIN_MS = 15_000;
const STATES: Record<string, SignKind> = { up: 'good', retrying: 'warn', auth_refused: 'bad', clock_skew: 'bad', starting: 'none' };
/** A clock further off than this makes platforms refuse signatures. */
const CLOCK_OFF_MS = 60_000;

export default function Uploads(): JSX.Element {
  const asked = useGet<{ rows: Destination[] }>('/api/v1/uploads', {}, AGAIN_MS);
  return (
    <Sheet title={t('nav.uploads')}>
      <p>{t('uploads.about')}</p>
      <Await asked={asked}>
        {({ rows }) => (
          <>
            <Overview rows={rows} />
            {rows.map((row) => (
              <One key={row.id} row={row} />
            ))}
          </>
        )}
      </Await>
    </Sheet>
  );
}

function lag(row: Destination): number {
  return row.lag_secs ?? (row.oldest ? Math.max(0, (Date.now() - row.oldest) / 1000) : 0);
}

function Share({ of }: { of: Owed | undefined }): JSX.Element {
  if (!of) return <>—</>;
  const { share, text } = completeness(of);
  return (
    <span title={t('uploads.of', { accepted: number(of.accepted), owed: number(of.owed) })}>
      {text} <Bar share={share} kind={share >= 0.999 ? 'good' : share >= 0.95 ? 'plain' : 'bad'} />
    </span>
  );
}

function Overview({ rows }: { rows: Destination[] }): JSX.Element {
  const columns: Column<Destination>[] = [
    { key: 'id', title: t('uploads.platform'), by: (r) => r.id, cell: (r) => <strong>{r.id}</strong> },
    {
      key: 'state',
      title: t('devices.state'),
      by: (r) => r.state ?? '',
      cell: (r) => <Sign kind={STATES[r.state ?? ''] ?? 'none'}>{word('uplink', r.state ?? 'starting')}</Sign>,
    },
    { key: 'day', title: t('uploads.day'), by: (r) => (r.day ? completeness(r.day).share : null), cell: (r) => <Share of={r.day} /> },
    { key: 'month', title: t('uploads.month'), by: (r) => (r.month ? completeness(r.month).share : null), cell: (r) => <Share of={r.month} /> },
    { key: 'waiting', title: t('uploads.waiting'), figure: true, by: (r) => r.waiting, cell: (r) => number(r.waiting) },
    { key: 'lag', title: t('uploads.lag'), by: lag, cell: (r) => (r.waiting > 0 ? span(lag(r) * 1000) : t('uploads.no_lag')) },
    { key: 'aside', title: t('uploads.set_aside'), figure: true, by: (r) => r.month?.set_aside ?? null, cell: (r) => number(r.month?.set_aside) },
  ];
  return <Table caption={t('nav.uploads')} columns={columns} rows={rows} id={(r) => r.id} empty={t('uploads.none')} csv={rows.length > 0} />;
}

function One({ row }: { row: Destination }): JSX.Element {
  const off = Math.abs(row.clock_ahead_ms ?? 0) > CLOCK_OFF_MS;
  return (
    <Part title={row.id}>
      <div class="card">
        <Facts
          rows={[
            [t('uploads.last_success'), moment(row.last_success)],
            !!row.last_failure && [t('uploads.last_failure'), moment(row.last_failure)],
            !!row.last_error && [t(row.state === 'up' ? 'uploads.last_error_over' : 'uploads.last_error'), said(row.last_error)],
            !!row.consecutive_failures && [t('uploads.failures'), number(row.consecutive_failures)],
            !!row.oldest && [t('uploads.oldest'), moment(row.oldest)],
            off && [t('uploads.clock'), t('uploads.clock_off', { secs: number((row.clock_ahead_ms ?? 0) / 1000, 1) })],
          ]}
        />
      </div>
      <History row={row} />
      <SetAside id={row.id} />
    </Part>
  );
}

function History({ row }: { row: Destination }): JSX.Element | null {
  const series = useMemo(() => {
    const days = row.history ?? [];
    return [
      { name: t('uploads.accepted'), kind: 'bars' as const, rows: days.map(([at, , accepted]): [number, number] => [at, accepted]) },
      { name: t('uploads.owed'), beside: true, rows: days.map(([at, owed]): [number, number] => [at, owed]) },
    ];
  }, [row.history]);
  if (!row.history?.length) return null;
  return <Chart title={`${row.id} · ${t('uploads.history')}`} unit={t('uploads.records')} series={series} label={dayOf} digits={0} height={220} />;
}

interface Refused {
  seq: number;
  uid: string;
  reason: string;
  at: number;
  record: string;
}

function SetAside({ id }: { id: string }): JSX.Element {
  const paged = usePaged<Refused>(`/api/v1/destinations/${encodeURIComponent(id)}/set-aside`, { limit: 50 });
  const columns: Column<Refused>[] = [
    { key: 'at', title: t('when'), by: (r) => r.at, cell: (r) => moment(r.at) },
    { key: 'reason', title: t('uploads.why'), by: (r) => r.reason, cell: (r) => r.reason },
    { key: 'uid', title: t('uploads.uid'), by: (r) => r.uid, cell: (r) => <code>{r.uid}</code> },
    {
      key: 'record',
      title: t('uploads.record'),
      by: (r) => r.record,
      cell: (r) => (
        <details>
          <summary>{bytes(r.record.length)}</summary>
          <code class="raw">{r.record}</code>
        </details>
      ),
    },
  ];
  return (
    <>
      <h3>{t('uploads.aside_title')}</h3>
      <p>{t('uploads.aside_about')}</p>
      <PagedTable caption={t('uploads.aside_title')} columns={columns} paged={paged} id={(r) => r.seq} empty={t('uploads.aside_none')} />
    </>
  );
}
