// Energy: a day, week, month or year, of the school, a building or a meter, beside comparable times.
import type { JSX } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import { asProblem, get, useGet, type Problem } from '../api';
import { useCell } from '../cell';
import { site } from '../live';
import type { PlaceOnMap } from '../model';
import { Link, setQuery, usePlace } from '../router';
import { said, t, word } from '../texts';
import { Button } from '../ui/button';
import { Chart } from '../ui/chart';
import { Input, Select } from '../ui/form';
import { Table, type Column } from '../ui/table';
import { momentOf, useNow } from '../ui/time';
import { Refusal } from '../ui/toast';
import { Meters } from './meters';
import { change, number, percent } from './numbers';
import { Await, Bar, Part, Sheet, Sign } from './parts';
import { beside, byMonth, type Answer, type Beside, type Row } from './series';
import { dayOf, rowName, spanAt, spanName, type Span, type Unit } from './span';

const UNITS: readonly Unit[] = ['day', 'week', 'month', 'year'];
const COMPARED = ['comparable', 'week', 'year', 'none'] as const;
const AGAIN_MS = 60_000;

interface Wanted {
  unit: Unit;
  span: Span;
  /** Some of it is to come: only what has passed can be compared. */
  current: boolean;
  place: string;
  device: string;
  compare: (typeof COMPARED)[number];
}

function useWanted(): Wanted {
  const { query } = usePlace();
  const now = useNow(AGAIN_MS);
  const unit = UNITS.find((known) => known === query.get('unit')) ?? 'day';
  const at = momentOf(query.get('day') ?? '') ?? now;
  const span = spanAt(unit, at);
  const asked = query.get('compare');
  // A year has no week before it; its comparable days are those of the year before.
  const usual = unit === 'year' ? 'year' : 'comparable';
  const compare = COMPARED.find((known) => known === asked) ?? usual;
  return { unit, span, current: span.to > now, place: query.get('place') ?? '', device: query.get('device') ?? '', compare };
}

function question({ unit, span, compare }: Wanted): Record<string, string | number | null> {
  return { from: span.from, to: span.to, level: unit === 'day' ? 'hour' : 'day', compare: compare === 'none' ? null : compare };
}

export default function Energy(): JSX.Element {
  const wanted = useWanted();
  const { unit, span, current, place, device } = wanted;
  const school = useCell(site);
  const places = school?.places ?? [];
  const asked = useGet<Answer>('/api/v1/energy/series', { ...question(wanted), place: device ? null : place, device }, current ? AGAIN_MS : undefined);
  const whole = device ? (school?.devices.find(({ id }) => id === device)?.name ?? device) : place ? placeName(place, places) : t('energy.school');
  const title = `${t('nav.energy')} · ${whole} · ${spanName(unit, span)}`;
  return (
    <Sheet title={t('nav.energy')}>
      <Choices wanted={wanted} places={places} meters={(school?.devices ?? []).filter((one) => one.class === 'energy-meter')} />
      <Await asked={asked}>
        {(answer) => (
          <>
            <Totals answer={answer} wanted={wanted} />
            <Meters {...answer} over={(answer.over ?? []).map(({ name, kwh }) => [name, kwh])} />
            <Course answer={answer} wanted={wanted} title={title} />
            {answer.below && <Below below={answer.below} total={answer.total ?? 0} />}
            <Items answer={answer} />
          </>
        )}
      </Await>
      {!device && <Buildings wanted={wanted} places={places} />}
    </Sheet>
  );
}

function placeName(id: string, places: readonly PlaceOnMap[]): string {
  const place = places.find((known) => known.id === id);
  return place ? said(place.path) : id;
}

function Choices({ wanted, places, meters }: { wanted: Wanted; places: readonly PlaceOnMap[]; meters: { id: string; name: string }[] }): JSX.Element {
  const { unit, span, current } = wanted;
  const move = (by: number): void => setQuery({ day: dayOf(spanAt(unit, span.from, by).from) });
  return (
    <div class="choices no-print">
      <div class="row" role="group" aria-label={t('energy.span')}>
        {UNITS.map((one) => (
          <Button key={one} pressed={one === unit} onClick={() => setQuery({ unit: one, compare: null })}>
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
        <Button onClick={() => setQuery({ day: null })} disabled={current}>
          {t('energy.now')}
        </Button>
        <Button onClick={() => print()}>{t('print')}</Button>
      </div>
      <div class="row filters">
        <Input label={t('day')} type="date" value={dayOf(span.from)} max={dayOf(Date.now())} onInput={(value) => momentOf(value) !== null && setQuery({ day: value })} />
        <Select
          label={t('energy.of')}
          value={wanted.device ? `device:${wanted.device}` : wanted.place}
          onInput={(value) => setQuery(value.startsWith('device:') ? { device: value.slice(7), place: null } : { place: value, device: null })}
          options={[
            { value: '', text: t('energy.school') },
            ...places.filter(({ parent }) => parent).map(({ id, path }) => ({ value: id, text: said(path) })),
            ...meters.map(({ id, name }) => ({ value: `device:${id}`, text: t('energy.meter', { name }) })),
          ]}
        />
        <Select
          label={t('energy.against')}
          value={wanted.compare}
          onInput={(value) => setQuery({ compare: value })}
          options={COMPARED.map((value) => ({ value, text: word('against', value) }))}
        />
      </div>
    </div>
  );
}

function Totals({ answer, wanted }: { answer: Answer; wanted: Wanted }): JSX.Element {
  const { total, compared } = beside(answer);
  return (
    <div class="cards totals">
      <div class="card">
        <h2>{t(wanted.current ? 'energy.so_far' : 'energy.total')}</h2>
        <p class="figure-big">
          {number(total, total < 100 ? 1 : 0)} <small>{answer.unit || 'kWh'}</small>
        </p>
      </div>
      {compared && (
        <div class="card">
          <h2>{word('against', wanted.compare)}</h2>
          <p class="figure-big">
            <Sign kind={compared.now > compared.then ? 'warn' : 'good'}>{change(compared.now, compared.then)}</Sign>
          </p>
          <p class="hint">{t('energy.then', { now: number(compared.now), then: number(compared.then) })}</p>
        </div>
      )}
    </div>
  );
}

const NOTHING: readonly Row[] = [];

/** Bars for hours and days; a year of days is a line, and its table is by month. */
function Course({ answer, wanted, title }: { answer: Answer; wanted: Wanted; title: string }): JSX.Element {
  const { unit, compare, span } = wanted;
  const { rows } = answer;
  const other = answer.compare ?? NOTHING;
  const name = t('energy.this');
  const otherName = word('against', compare);
  const year = unit === 'year';
  const series = useMemo(
    () => [
      { name, rows, kind: year ? ('line' as const) : ('bars' as const) },
      ...(other.length > 0 ? [{ name: otherName, rows: other, beside: true }] : []),
    ],
    [name, otherName, rows, other, year],
  );
  return (
    <Part title={t(unit === 'day' ? 'energy.by_hour' : 'energy.by_day')}>
      <Chart title={title} unit="kWh" series={series} label={(ms) => rowName(unit, ms)} digits={1} span={span} />
      {year && <Months rows={rows} other={other} name={otherName} />}
    </Part>
  );
}

interface Month {
  month: string;
  kwh: number;
  then: number | null;
}

function Months({ rows, other, name }: { rows: readonly Row[]; other: readonly Row[]; name: string }): JSX.Element {
  const months = useMemo((): Month[] => {
    const then = byMonth(other);
    return [...byMonth(rows)].map(([month, kwh]) => ({ month, kwh, then: then.get(month) ?? null }));
  }, [rows, other]);
  const most = Math.max(1, ...months.map(({ kwh }) => kwh));
  const columns: Column<Month>[] = [
    { key: 'month', title: t('energy.month'), by: (m) => m.month, cell: (m) => m.month },
    { key: 'kwh', title: 'kWh', figure: true, by: (m) => Math.round(m.kwh), cell: (m) => number(m.kwh) },
    { key: 'share', title: t('energy.as_bar'), cell: (m) => <Bar share={m.kwh / most} /> },
    { key: 'then', title: `${name} (kWh)`, figure: true, by: (m) => (m.then === null ? null : Math.round(m.then)), cell: (m) => number(m.then) },
    { key: 'change', title: t('energy.change'), figure: true, cell: (m) => (m.then === null ? '—' : change(m.kwh, m.then)) },
  ];
  return <Table caption={t('energy.by_month')} columns={columns} rows={months} id={(m) => m.month} csv />;
}

/** The meters right below the chosen one, and what none of them counts. */
function Below({ below, total }: { below: NonNullable<Answer['below']>; total: number }): JSX.Element {
  const { query } = usePlace();
  const rest = { device: '', name: t('energy.rest'), kwh: below.rest };
  type Sub = typeof rest | (typeof below.rows)[number];
  const share = ({ kwh }: Sub): number | null => (kwh === null || total <= 0 ? null : kwh / total);
  const columns: Column<Sub>[] = [
    { key: 'name', title: t('energy.sub_meter'), by: (s) => s.name, cell: (s) => (s.device ? <Link to={`/energy?${setIn(query, 'device', s.device)}`}>{s.name}</Link> : s.name) },
    { key: 'kwh', title: 'kWh', figure: true, by: (s) => (s.kwh === null ? null : Math.round(s.kwh)), cell: (s) => number(s.kwh) },
    { key: 'bar', title: t('energy.as_bar'), cell: (s) => <Bar share={share(s) ?? 0} /> },
    { key: 'share', title: t('energy.share'), figure: true, cell: (s) => percent(share(s)) },
  ];
  return (
    <Part title={t('energy.below')}>
      <Table caption={t('energy.below')} columns={columns} rows={[...below.rows, rest]} id={(s) => s.device} csv />
    </Part>
  );
}

function Items({ answer }: { answer: Answer }): JSX.Element | null {
  const items = answer.items ?? [];
  const total = items.reduce((sum, { kwh }) => sum + kwh, 0);
  if (items.length === 0 || total <= 0) return null;
  type Item = (typeof items)[number];
  const nameOf = (item: Item): string => said(item.name) || word('energy_item', item.item ?? 'other');
  const columns: Column<Item>[] = [
    { key: 'item', title: t('energy.item'), by: nameOf, cell: nameOf },
    { key: 'kwh', title: 'kWh', figure: true, by: (i) => Math.round(i.kwh), cell: (i) => number(i.kwh) },
    { key: 'bar', title: t('energy.as_bar'), cell: (i) => <Bar share={i.kwh / total} /> },
    { key: 'share', title: t('energy.share'), figure: true, by: (i) => Math.round((i.kwh / total) * 1000) / 10, cell: (i) => percent(i.kwh / total) },
  ];
  return (
    <Part title={t('energy.by_item')}>
      <Table caption={t('energy.by_item')} columns={columns} rows={items} id={(i) => i.item ?? ''} sorted="-kwh" csv />
    </Part>
  );
}

interface Building extends Beside {
  id: string;
  name: string;
}

interface BuildingsAsked {
  /** For which choice. */
  key: string;
  rows: Building[];
  problem: Problem | null;
  busy: boolean;
}

function ratio({ compared }: Beside): number | null {
  return compared && compared.then > 0 ? compared.now / compared.then : null;
}

/** The query with one key set. */
function setIn(query: URLSearchParams, key: string, value: string): string {
  const changed = new URLSearchParams(query);
  changed.set(key, value);
  return changed.toString();
}

const MOST_BUILDINGS = 40;
/** The gateway answers few questions about years at the same time. */
const AT_ONCE = 3;

/** Each building's total, asked for few at a time. */
function Buildings({ wanted, places }: { wanted: Wanted; places: readonly PlaceOnMap[] }): JSX.Element | null {
  const [asked, setAsked] = useState<BuildingsAsked>({ key: '', rows: [], problem: null, busy: true });
  const [turn, again] = useState(0);
  const { query } = usePlace();
  // Below a building the parts of it, else the buildings.
  const below = places.filter((place) => (wanted.place ? place.parent === wanted.place : place.kind === 'building'));
  const key = JSON.stringify([question(wanted), below.map(({ id }) => id), turn]);
  useEffect(() => {
    const leave = new AbortController();
    const waiting = below.slice(0, MOST_BUILDINGS);
    setAsked({ key, rows: [], problem: null, busy: waiting.length > 0 });
    const change = (to: (old: BuildingsAsked) => Partial<BuildingsAsked>): void => {
      if (!leave.signal.aborted) setAsked((old) => ({ ...old, ...to(old) }));
    };
    const next = async (): Promise<void> => {
      for (let place = waiting.shift(); place && !leave.signal.aborted; place = waiting.shift()) {
        const { id, path } = place;
        const answer = await get<Answer>('/api/v1/energy/series', { ...question(wanted), place: id }, leave.signal);
        const found = { id, name: said(path), ...beside(answer) };
        if (found.total > 0 || found.compared) change(({ rows }) => ({ rows: [...rows, found] }));
      }
    };
    Promise.all(Array.from({ length: AT_ONCE }, next)).then(
      () => change(() => ({ busy: false })),
      (thrown: unknown) => change(() => ({ problem: asProblem(thrown), busy: false })),
    );
    return () => leave.abort();
  }, [key]);
  if (below.length === 0) return null;
  // What was found for another choice is not shown under this one.
  const { rows, problem, busy } = asked.key === key ? asked : { rows: [], problem: null, busy: true };
  const most = Math.max(1, ...rows.map(({ total }) => total));
  const columns: Column<Building>[] = [
    { key: 'name', title: t('energy.building'), by: (b) => b.name, cell: (b) => <Link to={`/energy?${setIn(query, 'place', b.id)}`}>{b.name}</Link> },
    { key: 'kwh', title: 'kWh', figure: true, by: (b) => Math.round(b.total), cell: (b) => number(b.total) },
    { key: 'bar', title: t('energy.as_bar'), cell: (b) => <Bar share={b.total / most} /> },
    { key: 'then', title: t('energy.compared'), figure: true, by: (b) => (b.compared ? Math.round(b.compared.then) : null), cell: (b) => number(b.compared?.then) },
    { key: 'change', title: t('energy.change'), figure: true, by: ratio, cell: (b) => (b.compared ? change(b.compared.now, b.compared.then) : '—') },
  ];
  return (
    <Part title={t(wanted.place ? 'energy.by_part' : 'energy.by_building')}>
      <Refusal problem={problem} again={() => again(turn + 1)} />
      <Table caption={t('energy.by_building')} columns={columns} rows={rows} id={(b) => b.id} sorted="-kwh" busy={busy} empty={t('energy.no_meters')} csv />
    </Part>
  );
}
