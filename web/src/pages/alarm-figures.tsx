// How alarms did over some days: figures against their targets, and alarms by day.
import type { JSX } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import { asProblem, get, useGet, type Page, type Problem } from '../api';
import type { Alarm, Priority } from '../model';
import { setQuery, usePlace } from '../router';
import { lang, t, word } from '../texts';
import { Chart } from '../ui/chart';
import { Select } from '../ui/form';
import { Table } from '../ui/table';
import { Refusal } from '../ui/toast';
import { perDay } from './alarm-days';
import { number, percent } from './numbers';
import { Await, Bar, Part } from './parts';
import { FigureTable, type Figure } from './report-parts';
import { Files } from './reports';
import { DAY_MS, dayOf, spanAt } from './span';

const DAYS = ['1', '7', '14', '31'] as const;
const PRIORITIES: readonly Priority[] = ['critical', 'high', 'medium', 'low'];

interface Kpi {
  announced?: number;
  by_priority?: Partial<Record<Priority, number>>;
  taken?: Partial<Record<Priority, { count: number; p50_ms: number; p95_ms: number }>>;
}

export function AlarmFigures(): JSX.Element {
  const { query } = usePlace();
  const days = DAYS.find((known) => known === query.get('days')) ?? '7';
  // To the end of today, so that the question stays the same while it is looked at.
  const end = spanAt('day', Date.now()).to;
  const span = { from: spanAt('day', end - Number(days) * DAY_MS).from, to: end };
  const asked = useGet<{ kpi?: Kpi; figures?: Figure[] }>('/api/v1/reports/alarm-kpi', { ...span, format: 'json' });
  return (
    <>
      <div class="row filters no-print">
        <Select
          label={t('energy.span')}
          value={days}
          onInput={(value) => setQuery({ days: value })}
          options={DAYS.map((value) => ({ value, text: t('reports.days', { n: value }) }))}
        />
        <Files path="/api/v1/reports/alarm-kpi" query={{ ...span, lang: lang.get() }} pdf={false} />
      </div>
      <ByDay from={span.from} to={span.to} />
      <Await asked={asked}>
        {({ kpi, figures }) => (
          <>
            <ByPriority kpi={kpi ?? {}} />
            <FigureTable figures={figures ?? []} />
          </>
        )}
      </Await>
    </>
  );
}

/** Rows asked for at a time, and how often: some weeks of a busy school. */
const PER_PAGE = 1000;
const PAGES = 5;

function ByDay({ from, to }: { from: number; to: number }): JSX.Element {
  const [alarms, setAlarms] = useState<Alarm[]>([]);
  const [whole, setWhole] = useState(true);
  const [problem, setProblem] = useState<Problem | null>(null);
  useEffect(() => {
    const leave = new AbortController();
    const read = async (): Promise<void> => {
      const found: Alarm[] = [];
      let before: number | null = null;
      for (let page = 0; page < PAGES; page += 1) {
        const got: Page<Alarm> = await get<Page<Alarm>>('/api/v1/alarms', { limit: PER_PAGE, before }, leave.signal);
        found.push(...got.rows.filter((alarm) => alarm.raised_at >= from && !alarm.drill));
        before = got.next_before;
        const last = got.rows[got.rows.length - 1];
        if (before === null || !last || last.raised_at < from) break;
        if (page === PAGES - 1) setWhole(false);
      }
      if (!leave.signal.aborted) setAlarms(found);
    };
    setWhole(true);
    setProblem(null);
    read().catch((thrown: unknown) => !leave.signal.aborted && setProblem(asProblem(thrown)));
    return () => leave.abort();
  }, [from]);
  const words = lang.get();
  const series = useMemo(() => {
    const days = perDay(alarms, from, to);
    return [
      { name: t('reports.all_alarms'), kind: 'bars' as const, rows: days.map(({ at, all }): [number, number] => [at, all]) },
      { name: t('reports.urgent'), rows: days.map(({ at, urgent }): [number, number] => [at, urgent]) },
    ];
  }, [alarms, from, to, words]);
  return (
    <Part title={t('reports.by_day')}>
      <Refusal problem={problem} />
      <Chart title={t('reports.by_day')} unit={t('uploads.records')} series={series} label={dayOf} digits={0} height={220} />
      {!whole && <p class="hint">{t('reports.not_whole')}</p>}
    </Part>
  );
}

function ByPriority({ kpi }: { kpi: Kpi }): JSX.Element {
  const total = kpi.announced ?? 0;
  const secs = (ms: number | undefined): string => (ms === undefined ? '—' : number(ms / 1000, 0));
  return (
    <Part title={t('reports.by_priority')}>
      <Table
        caption={t('reports.by_priority')}
        rows={PRIORITIES}
        id={(p) => p}
        csv
        columns={[
          { key: 'p', title: t('rules.priority'), by: (p) => word('priority', p), cell: (p) => <span class={`badge ${p}`}>{word('priority', p)}</span> },
          { key: 'n', title: t('reports.announced'), figure: true, by: (p) => kpi.by_priority?.[p] ?? 0, cell: (p) => number(kpi.by_priority?.[p] ?? 0) },
          { key: 'bar', title: t('energy.as_bar'), cell: (p) => <Bar share={total ? (kpi.by_priority?.[p] ?? 0) / total : 0} /> },
          { key: 's', title: t('energy.share'), figure: true, by: (p) => (total ? (kpi.by_priority?.[p] ?? 0) / total : null), cell: (p) => percent(total ? (kpi.by_priority?.[p] ?? 0) / total : null) },
          { key: 'p50', title: t('reports.p50'), figure: true, by: (p) => kpi.taken?.[p]?.p50_ms ?? null, cell: (p) => secs(kpi.taken?.[p]?.p50_ms) },
          { key: 'p95', title: t('reports.p95'), figure: true, by: (p) => kpi.taken?.[p]?.p95_ms ?? null, cell: (p) => secs(kpi.taken?.[p]?.p95_ms) },
        ]}
      />
    </Part>
  );
}
