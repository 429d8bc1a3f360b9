// The report of a week, month or quarter: alarms, energy, uploads and devices.
import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import { useGet } from '../api';
import { setQuery, usePlace } from '../router';
import { may } from '../session';
import { lang, said, t, word, type Text } from '../texts';
import { Button } from '../ui/button';
import { Chart } from '../ui/chart';
import { Table, type Column } from '../ui/table';
import { moment, momentOf, span as lasting } from '../ui/time';
import { Meters } from './meters';
import { change, completeness, number, percent } from './numbers';
import { Await, Bar, Facts, Part } from './parts';
import { FigureTable, type Figure } from './report-parts';
import { Files } from './reports';
import type { Answer } from './series';
import { dayOf, spanAt, spanName, type Unit } from './span';

const UNITS = ['week', 'month', 'quarter'] as const;

interface PeriodReport {
  head: { site?: string; from: number; to: number; made_at?: number };
  figures?: Figure[];
  energy?: Used | null;
  devices?: Uptime[];
  uploads?: { destination: string; owed: number; accepted: number; set_aside?: number }[];
}

interface Used {
  kwh: number;
  comparable_kwh?: number | null;
  before_kwh?: number | null;
  year_before_kwh?: number | null;
  items?: [item: string | null, kwh: number][];
  meters?: number;
  within?: number;
  unknown?: number;
  over?: [name: string, kwh: number][];
}

interface Uptime {
  device: string;
  name: string;
  place?: Text | null;
  share?: number | null;
  down_ms?: number;
  outages?: number;
}

export function Period(): JSX.Element {
  const { query } = usePlace();
  const unit = UNITS.find((known) => known === query.get('unit')) ?? 'week';
  const span = spanAt(unit, momentOf(query.get('day') ?? '') ?? Date.now());
  const current = span.to > Date.now();
  // Any moment of it: its first.
  const asking = { unit, at: span.from };
  const asked = useGet<{ content: PeriodReport; sha256?: string }>('/api/v1/reports/period', { ...asking, format: 'json' });
  const move = (by: number): void => setQuery({ day: dayOf(spanAt(unit, span.from, by).from) });
  return (
    <>
      <div class="row no-print" role="group" aria-label={t('energy.span')}>
        {UNITS.map((one) => (
          <Button key={one} pressed={one === unit} onClick={() => setQuery({ unit: one })}>
            {word('span', one)}
          </Button>
        ))}
        <Button onClick={() => move(-1)} label={t('energy.earlier')}>
          ◀
        </Button>
        <strong class="span-name">{spanName(unit, span)}</strong>
        <Button onClick={() => move(1)} label={t('energy.later')} disabled={current}>
          ▶
        </Button>
        <Files path="/api/v1/reports/period" query={{ ...asking, lang: lang.get() }} />
      </div>
      <Await asked={asked}>{({ content, sha256 }) => <Body report={content} sha256={sha256} unit={unit} />}</Await>
    </>
  );
}

function Body({ report, sha256, unit }: { report: PeriodReport; sha256: string | undefined; unit: Unit }): JSX.Element {
  const { head } = report;
  const uploads = report.uploads ?? [];
  const columns: Column<(typeof uploads)[number]>[] = [
    { key: 'id', title: t('uploads.platform'), cell: (u) => u.destination },
    { key: 'share', title: t('reports.complete'), cell: (u) => completeness(u).text },
    { key: 'bar', title: t('energy.as_bar'), cell: (u) => <Bar share={completeness(u).share} /> },
    { key: 'of', title: t('uploads.records'), cell: (u) => t('uploads.of', { accepted: number(u.accepted), owed: number(u.owed) }) },
    { key: 'aside', title: t('uploads.refused'), figure: true, cell: (u) => number(u.set_aside) },
  ];
  return (
    <article class="report">
      <h2>
        {head.site} {t('reports.period_title')} {spanName(unit, head)}
      </h2>
      <Facts rows={[!!head.made_at && [t('reports.made_at'), moment(head.made_at)], !!sha256 && ['SHA-256', <code class="raw">{sha256}</code>]]} />
      {report.energy && <EnergyPart energy={report.energy} head={head} />}
      <FigureTable figures={report.figures ?? []} />
      <Devices rows={report.devices ?? []} />
      {uploads.length > 0 && (
        <Part title={t('nav.uploads')}>
          <Table caption={t('nav.uploads')} rows={uploads} id={(u) => u.destination} columns={columns} />
        </Part>
      )}
    </article>
  );
}

function EnergyPart({ energy, head }: { energy: Used; head: PeriodReport['head'] }): JSX.Element {
  const items = energy.items ?? [];
  const most = Math.max(1, ...items.map(([, kwh]) => kwh));
  const beside = (then: number | null | undefined): string => (typeof then === 'number' ? `${number(then)} kWh (${change(energy.kwh, then)})` : '—');
  return (
    <Part title={t('nav.energy')}>
      <Facts
        rows={[
          [t('energy.total'), <strong>{number(energy.kwh)} kWh</strong>],
          [t('reports.comparable'), beside(energy.comparable_kwh)],
          [t('reports.before'), beside(energy.before_kwh)],
          [t('reports.year_before'), beside(energy.year_before_kwh)],
        ]}
      />
      <Meters {...energy} over={energy.over ?? []} />
      {may('energy') && <Days from={head.from} to={head.to} />}
      {items.length > 0 && (
        <Table
          caption={t('energy.by_item')}
          rows={items}
          id={([item]) => item ?? ''}
          columns={[
            { key: 'name', title: t('energy.item'), cell: ([item]) => word('energy_item', item ?? 'other') },
            { key: 'kwh', title: 'kWh', figure: true, cell: ([, kwh]) => number(kwh) },
            { key: 'bar', title: t('energy.as_bar'), cell: ([, kwh]) => <Bar share={kwh / most} /> },
          ]}
        />
      )}
    </Part>
  );
}

/** The days of the period, for whoever may see energy over time. */
function Days({ from, to }: { from: number; to: number }): JSX.Element | null {
  const asked = useGet<Answer>('/api/v1/energy/series', { from, to, level: 'day' });
  const rows = asked.value?.rows;
  const series = useMemo(() => [{ name: t('energy.total'), rows: rows ?? [], kind: 'bars' as const }], [rows]);
  return rows?.length ? <Chart title={t('energy.by_day')} unit="kWh" series={series} label={dayOf} height={220} /> : null;
}

/** So many are listed: those that answered least come first. */
const MOST_DEVICES = 20;

function Devices({ rows }: { rows: Uptime[] }): JSX.Element | null {
  // Of a period that nothing is known of, nothing is told.
  const known = rows.filter(({ share }) => typeof share === 'number');
  if (known.length === 0) return null;
  return (
    <Part title={t('reports.answered')}>
      <Table
        caption={t('reports.answered')}
        rows={known.slice(0, MOST_DEVICES)}
        id={(d) => d.device}
        csv
        columns={[
          { key: 'name', title: t('devices.name'), by: (d) => d.name, cell: (d) => d.name },
          { key: 'place', title: t('devices.place'), by: (d) => said(d.place), cell: (d) => said(d.place) },
          { key: 'share', title: t('reports.answered_share'), figure: true, by: (d) => d.share ?? null, cell: (d) => percent(d.share, 2) },
          { key: 'bar', title: t('energy.as_bar'), cell: (d) => <Bar share={d.share ?? 0} kind={(d.share ?? 0) < 0.95 ? 'bad' : 'plain'} /> },
          { key: 'down', title: t('reports.down'), by: (d) => d.down_ms ?? null, cell: (d) => lasting(d.down_ms ?? 0) },
          { key: 'outages', title: t('reports.outages'), figure: true, by: (d) => d.outages ?? null, cell: (d) => number(d.outages) },
        ]}
      />
      {known.length > MOST_DEVICES && <p class="hint">{t('reports.least_first', { n: known.length - MOST_DEVICES })}</p>}
    </Part>
  );
}
