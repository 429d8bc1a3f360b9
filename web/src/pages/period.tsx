// The report of a week, month or quarter: alarms, energy, uploads and devices.
import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import { useGet } from '../api';
import { setQuery, usePlace } from '../router';
import { lang, said, t, word, type Text } from '../texts';
import { Button } from '../ui/button';
import { Chart } from '../ui/chart';
import { Table } from '../ui/table';
import { moment, momentOf } from '../ui/time';
import { change, completeness, number } from './numbers';
import { Await, Bar, Facts, Part } from './parts';
import { FigureTable, type Figure } from './report-parts';
import { Files } from './reports';
import type { Row } from './series';
import { dayOf, spanAt, spanName, type Unit } from './span';

const UNITS = ['week', 'month', 'quarter'] as const;

interface PeriodReport {
  from?: number;
  to?: number;
  site?: string;
  made_at?: number;
  figures?: Figure[];
  energy?: {
    total?: number;
    compare_total?: number | null;
    rows?: Row[];
    items?: { item: string | null; name?: Text; kwh: number }[];
    places?: { place: string; path?: Text; kwh: number }[];
  } | null;
  uploads?: { destination?: string; id?: string; owed: number; accepted: number }[];
}

export function Period(): JSX.Element {
  const { query } = usePlace();
  const unit = UNITS.find((known) => known === query.get('unit')) ?? 'week';
  const span = spanAt(unit, momentOf(query.get('day') ?? '') ?? Date.now());
  const current = span.to > Date.now();
  // Any moment of it: its first.
  const asking = { unit, at: span.from };
  const asked = useGet<PeriodReport & { content?: PeriodReport; sha256?: string }>('/api/v1/reports/period', { ...asking, format: 'json' });
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
      <Await asked={asked}>{(answer) => <Body report={answer.content ?? answer} sha256={answer.sha256} unit={unit} />}</Await>
    </>
  );
}

function Body({ report, sha256, unit }: { report: PeriodReport; sha256: string | undefined; unit: Unit }): JSX.Element {
  const span = report.from !== undefined && report.to !== undefined ? { from: report.from, to: report.to } : null;
  const uploads = report.uploads ?? [];
  return (
    <article class="report">
      <h2>
        {report.site} {t('reports.period_title')} {span && spanName(unit, span)}
      </h2>
      <Facts rows={[!!report.made_at && [t('reports.made_at'), moment(report.made_at)], !!sha256 && ['SHA-256', <code class="raw">{sha256}</code>]]} />
      <FigureTable figures={report.figures ?? []} />
      {report.energy && <EnergyPart energy={report.energy} />}
      {uploads.length > 0 && (
        <Part title={t('nav.uploads')}>
          <Table
            caption={t('nav.uploads')}
            rows={uploads}
            id={(u) => u.destination ?? u.id ?? ''}
            columns={[
              { key: 'id', title: t('uploads.platform'), cell: (u) => u.destination ?? u.id },
              { key: 'share', title: t('reports.complete'), cell: (u) => completeness(u).text },
              { key: 'bar', title: t('energy.as_bar'), cell: (u) => <Bar share={completeness(u).share} /> },
              { key: 'of', title: t('uploads.records'), cell: (u) => t('uploads.of', { accepted: number(u.accepted), owed: number(u.owed) }) },
            ]}
          />
        </Part>
      )}
    </article>
  );
}

function EnergyPart({ energy }: { energy: NonNullable<PeriodReport['energy']> }): JSX.Element {
  const rows = energy.rows ?? [];
  const series = useMemo(() => [{ name: t('energy.total'), rows, kind: 'bars' as const }], [energy]);
  const parts = [
    ...(energy.items ?? []).map(({ item, name, kwh }) => ({ name: said(name) || word('energy_item', item ?? 'other'), kwh })),
    ...(energy.places ?? []).map(({ place, path, kwh }) => ({ name: said(path) || place, kwh })),
  ];
  const most = Math.max(1, ...parts.map(({ kwh }) => kwh));
  return (
    <Part title={t('nav.energy')}>
      <p class="lead">
        {number(energy.total)} kWh{' '}
        {typeof energy.compare_total === 'number' && energy.compare_total > 0 && t('reports.beside', { change: change(energy.total ?? 0, energy.compare_total) })}
      </p>
      {rows.length > 0 && <Chart title={t('energy.by_day')} unit="kWh" series={series} label={dayOf} height={220} />}
      {parts.length > 0 && (
        <Table
          caption={t('energy.by_item')}
          rows={parts}
          id={(p) => p.name}
          columns={[
            { key: 'name', title: t('energy.item'), cell: (p) => p.name },
            { key: 'kwh', title: 'kWh', figure: true, cell: (p) => number(p.kwh) },
            { key: 'bar', title: t('energy.as_bar'), cell: (p) => <Bar share={p.kwh / most} /> },
          ]}
        />
      )}
    </Part>
  );
}
