// One device: what it says now, a day of its values, and asking it on the spot.
import type { JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { asProblem, post, Problem, useGet, usePaged } from '../api';
import { useCell } from '../cell';
import { live, site } from '../live';
import type { PageProps } from '../pages';
import { setQuery, usePlace } from '../router';
import { may } from '../session';
import { said, t, word, type Text } from '../texts';
import { Button } from '../ui/button';
import { Chart } from '../ui/chart';
import { Input, Select } from '../ui/form';
import { PagedTable, Table, type Column } from '../ui/table';
import { fieldOf, moment, momentOf } from '../ui/time';
import { Refusal } from '../ui/toast';
import { DeviceSign, type Device, type PointNow } from './device-kinds';
import { Ago } from './devices';
import { measured } from './numbers';
import { Await, Facts, Part, Sheet, Sign } from './parts';
import { placeOf } from './places';
import { pointName } from './points';
import { DAY_MS, dayOf, spanAt } from './span';

const AGAIN_MS = 15_000;

export default function DevicePage({ gaps }: PageProps): JSX.Element {
  const id = gaps.id ?? '';
  const path = `/api/v1/devices/${encodeURIComponent(id)}`;
  const asked = useGet<Device>(path, {}, AGAIN_MS);
  const now = useCell(live, (all) => all.devices.get(id));
  const places = useCell(site, (school) => school?.places) ?? [];
  const device = asked.value && now ? { ...asked.value, ...now } : asked.value;
  return (
    <Sheet title={device?.name ?? id} back={{ to: '/devices', text: t('nav.devices') }}>
      <Await asked={{ ...asked, value: device }}>
        {(found) => (
          <>
            <div class="card">
              <Facts
                rows={[
                  [t('devices.state'), <DeviceSign state={found.state} />],
                  !!found.since && [t('devices.state_since'), moment(found.since)],
                  found.state === 'down' && [t('devices.fault'), <strong>{said(found.advice) || word('fault', found.fault ?? '')}</strong>],
                  [t('devices.last_seen'), <Ago at={found.last_seen} />],
                  [t('devices.place'), placeOf(found.place, places)],
                  [t('devices.class'), word('device_class', found.class)],
                  !!found.profile && [t('devices.profile'), found.profile],
                  !!found.bus && [t('devices.bus'), found.bus],
                  ['ID', found.id],
                  !!found.contract && [t('note'), t('devices.at_most_once')],
                ]}
              />
              {may('work') && <Probe path={path} />}
            </div>
            <Points points={found.points ?? {}} />
            <DayChart device={found} />
            <Events id={id} />
          </>
        )}
      </Await>
    </Sheet>
  );
}

interface Answer {
  ok: boolean;
  took_ms?: number;
  says?: Text;
  values?: { point: string; value: number | null; unit?: string; name?: Text }[];
}

function Probe({ path }: { path: string }): JSX.Element {
  const [answer, setAnswer] = useState<Answer | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const ask = async (): Promise<void> => {
    setProblem(null);
    setAnswer(null);
    try {
      setAnswer(await post<Answer>(`${path}/probe`));
    } catch (thrown) {
      setProblem(asProblem(thrown));
    }
  };
  return (
    <div class="probe no-print">
      <div class="row">
        <Button onClick={ask}>{t('devices.probe')}</Button>
        <span class="hint">{t('devices.probe_hint')}</span>
      </div>
      <Refusal problem={problem} />
      {answer && (
        <div class={answer.ok ? 'notice good' : 'notice'} role="status">
          <div>
            <p>
              <Sign kind={answer.ok ? 'good' : 'bad'}>{said(answer.says) || t(answer.ok ? 'devices.probe_ok' : 'devices.probe_failed')}</Sign>{' '}
              {answer.took_ms !== undefined && <small>{t('devices.took', { ms: Math.round(answer.took_ms) })}</small>}
            </p>
            {!!answer.values?.length && (
              <Table
                caption={t('devices.probe_values')}
                rows={answer.values}
                id={(v) => v.point}
                columns={[
                  { key: 'point', title: t('devices.point'), cell: (v) => said(v.name) || pointName(v.point) },
                  { key: 'value', title: t('devices.value'), figure: true, cell: (v) => `${measured(v.value)} ${v.unit ?? ''}` },
                ]}
              />
            )}
          </div>
        </div>
      )}
    </div>
  );
}

type Named = PointNow & { id: string };

function nameOf(point: Named): string {
  return said(point.name) || pointName(point.id);
}

function Points({ points }: { points: Record<string, PointNow> }): JSX.Element {
  const rows = Object.keys(points).map((id): Named => ({ value: null, unit: '', ...points[id], id }));
  const columns: Column<Named>[] = [
    { key: 'point', title: t('devices.point'), by: nameOf, cell: (p) => <span title={p.id}>{nameOf(p)}</span> },
    { key: 'value', title: t('devices.value'), figure: true, by: (p) => p.value, cell: (p) => `${measured(p.value)} ${p.unit === '1' ? '' : p.unit}` },
    { key: 'quality', title: t('devices.quality'), by: (p) => p.quality ?? '', cell: (p) => <Quality point={p} /> },
    { key: 'at', title: t('when'), by: (p) => p.at ?? null, cell: (p) => moment(p.at) },
  ];
  return (
    <Part title={t('devices.points')}>
      <Table caption={t('devices.points')} columns={columns} rows={rows} id={(p) => p.id} csv={rows.length > 0} empty={t('devices.no_points')} />
    </Part>
  );
}

function Quality({ point }: { point: PointNow }): JSX.Element {
  const quality = point.quality ?? 'good';
  return (
    <Sign kind={quality === 'good' ? 'good' : quality === 'bad' ? 'bad' : 'warn'}>
      {word('quality', quality)}
      {point.doubt && <small> {word('doubt', point.doubt)}</small>}
    </Sign>
  );
}

interface Minute {
  start: number;
  count: number;
  sum: number;
  last: number;
  delta: number | null;
  unit: string;
  kind: string;
}

interface ReadingRow {
  at: number;
  value: number | null;
  unit: string;
}

/** Values of a point over a day, by the minute; whoever may not see energy over time sees the latest readings. */
function DayChart({ device }: { device: Device }): JSX.Element | null {
  const { query } = usePlace();
  const points = Object.keys(device.points ?? {});
  const point = points.find((id) => id === query.get('point')) ?? points.find((id) => /^(power|temperature|volume)/.test(id)) ?? points[0];
  const today = dayOf(Date.now());
  const date = query.get('day') ?? today;
  const { from, to } = spanAt('day', momentOf(date) ?? Date.now());
  const byMinute = may('energy');
  const minutes = useGet<{ rows: Minute[] }>(byMinute && point ? '/api/v1/rollups' : null, {
    device: device.id,
    point,
    level: 'minute',
    from,
    to: Math.min(to, from + DAY_MS),
  });
  const latest = useGet<{ rows: ReadingRow[] }>(!byMinute && point ? '/api/v1/readings' : null, { device: device.id, point, limit: 1000 });
  const unit = (point && device.points?.[point]?.unit) || '';
  const shown = unit === '1' ? '' : unit;
  const name = point ? pointName(point) : '';
  const rows = useMemo((): [number, number | null][] => {
    if (byMinute) return (minutes.value?.rows ?? []).map((row) => [row.start, valueOf(row)]);
    return (latest.value?.rows ?? []).map((row): [number, number | null] => [row.at, row.value]).reverse();
  }, [byMinute, minutes.value, latest.value]);
  const series = useMemo(() => [{ name, rows }], [name, rows]);
  if (!point) return null;
  return (
    <Part title={byMinute ? t('devices.day_chart') : t('devices.latest_chart')}>
      <div class="row filters no-print">
        <Select
          label={t('devices.point')}
          value={point}
          onInput={(value) => setQuery({ point: value })}
          options={points.map((id) => ({ value: id, text: pointName(id) }))}
        />
        {byMinute && <Input label={t('day')} type="date" value={date} max={fieldOf(Date.now(), false)} onInput={(value) => setQuery({ day: value })} />}
      </div>
      <Refusal problem={byMinute ? minutes.problem : latest.problem} again={byMinute ? minutes.again : latest.again} />
      <Chart title={`${device.name} · ${name} · ${byMinute ? date : t('devices.latest')}`} unit={shown} series={series} digits={2} span={byMinute ? { from, to } : undefined} />
    </Part>
  );
}

/** What a minute says: of counters what was added, of states how it ended, of others the mean. */
function valueOf(row: Minute): number | null {
  if (row.kind === 'counter') return row.delta;
  if (row.kind === 'state') return row.last;
  return row.count > 0 ? row.sum / row.count : null;
}

interface EventRow {
  seq: number;
  at: number;
  kind: string;
  phase: string;
  code: string | null;
  retained?: boolean;
}

function Events({ id }: { id: string }): JSX.Element {
  const paged = usePaged<EventRow>('/api/v1/events', { device: id, limit: 30 });
  const columns: Column<EventRow>[] = [
    { key: 'at', title: t('when'), by: (e) => e.at, cell: (e) => moment(e.at) },
    { key: 'kind', title: t('devices.event'), by: (e) => e.kind, cell: (e) => word('event', e.kind) },
    { key: 'phase', title: t('devices.phase'), by: (e) => e.phase, cell: (e) => word('phase', e.phase) },
    { key: 'code', title: t('devices.code'), by: (e) => e.code ?? '', cell: (e) => e.code ?? '' },
  ];
  return (
    <Part title={t('devices.events')}>
      <PagedTable caption={t('devices.events')} columns={columns} paged={paged} id={(e) => e.seq} empty={t('devices.no_events')} />
    </Part>
  );
}
