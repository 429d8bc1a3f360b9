// Devices: how each stands, what is wrong in plain words; what was not understood, and who sends unasked.
import type { JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { useGet, usePaged } from '../api';
import { useCell } from '../cell';
import { live, site } from '../live';
import type { DeviceState } from '../model';
import { Link, setQuery, usePlace } from '../router';
import { may } from '../session';
import { said, t, word } from '../texts';
import { Button } from '../ui/button';
import { Input, Select } from '../ui/form';
import { PagedTable, Table, type Column } from '../ui/table';
import { moment, span, useNow } from '../ui/time';
import { Refusal } from '../ui/toast';
import type { Device } from './device-kinds';
import { DeviceSign } from './device-kinds';
import { number } from './numbers';
import { placeOf, within } from './places';
import { Await, Copied, Facts, Sheet, Tabs, useTab, type Tab } from './parts';

export default function Devices(): JSX.Element {
  const tabs: Tab[] = [['all', t('devices.all')]];
  if (may('diagnose')) tabs.push(['quarantine', t('devices.quarantine')], ['strangers', t('devices.strangers')]);
  const tab = useTab(tabs);
  return (
    <Sheet title={t('nav.devices')}>
      <Tabs tabs={tabs} />
      {tab === 'quarantine' ? <Quarantine /> : tab === 'strangers' ? <Strangers /> : <All />}
    </Sheet>
  );
}

/** So many rows are drawn at first: a large school has over a thousand devices. */
const AT_ONCE = 150;
const AGAIN_MS = 60_000;

function current(device: Device, states: ReadonlyMap<string, DeviceState>): Device {
  const now = states.get(device.id);
  return now ? { ...device, state: now.state, since: now.since, fault: now.fault, advice: now.advice } : device;
}

function All(): JSX.Element {
  const asked = useGet<{ rows: Device[] }>('/api/v1/devices', {}, AGAIN_MS);
  const states = useCell(live, (now) => now.devices);
  const school = useCell(site);
  const { query } = usePlace();
  const [most, setMost] = useState(AT_ONCE);
  const [state, place, kind, text] = ['state', 'place', 'class', 'q'].map((key) => query.get(key) ?? '') as [string, string, string, string];
  const devices = useMemo(() => (asked.value?.rows ?? []).map((device) => current(device, states)), [asked.value, states]);
  const places = school?.places ?? [];
  const inside = useMemo(() => within(place, places), [place, places]);
  const words = text.trim().toLowerCase();
  const shown = devices.filter(
    (device) =>
      (!state || device.state === state) &&
      (!kind || device.class === kind) &&
      (!inside || inside.has(device.place)) &&
      (!words || `${device.id} ${device.name}`.toLowerCase().includes(words)),
  );
  const classes = [...new Set(devices.map((device) => device.class))].sort();
  const any = { value: '', text: t('all') };
  const columns: Column<Device>[] = [
    { key: 'name', title: t('devices.name'), by: (d) => d.name, cell: (d) => <Link to={`/devices/${encodeURIComponent(d.id)}`}>{d.name}</Link> },
    { key: 'state', title: t('devices.state'), by: (d) => d.state, cell: (d) => <DeviceSign state={d.state} /> },
    { key: 'class', title: t('devices.class'), by: (d) => word('device_class', d.class), cell: (d) => word('device_class', d.class) },
    { key: 'place', title: t('devices.place'), by: (d) => placeOf(d.place, places), cell: (d) => placeOf(d.place, places) },
    { key: 'seen', title: t('devices.last_seen'), by: (d) => d.last_seen ?? null, cell: (d) => <Ago at={d.last_seen} /> },
    { key: 'fault', title: t('devices.fault'), by: (d) => said(d.advice), cell: (d) => <Fault device={d} /> },
  ];
  return (
    <>
      <Refusal problem={asked.problem} again={asked.again} />
      <div class="counts" role="status">
        {(['up', 'down', 'unknown'] as const).map((one) => (
          <span key={one}>
            <DeviceSign state={one} /> {number(devices.filter((device) => device.state === one).length)}
          </span>
        ))}
      </div>
      <div class="row filters no-print">
        <Input label={t('devices.search')} type="search" value={text} onInput={(value) => setQuery({ q: value })} />
        <Select
          label={t('devices.state')}
          value={state}
          onInput={(value) => setQuery({ state: value })}
          options={[any, ...['up', 'down', 'unknown'].map((value) => ({ value, text: word('device_state', value) }))]}
        />
        <Select
          label={t('devices.class')}
          value={kind}
          onInput={(value) => setQuery({ class: value })}
          options={[any, ...classes.map((value) => ({ value, text: word('device_class', value) }))]}
        />
        <Select
          label={t('devices.place')}
          value={place}
          onInput={(value) => setQuery({ place: value })}
          options={[any, ...places.map(({ id, path }) => ({ value: id, text: said(path) }))]}
        />
      </div>
      <Table
        caption={t('nav.devices')}
        columns={columns}
        rows={shown.slice(0, most)}
        id={(d) => d.id}
        busy={asked.busy && devices.length === 0}
        empty={t('devices.none')}
        sorted="state"
        csv
      />
      {shown.length > most && (
        <div class="row centre">
          <Button onClick={() => setMost(most + AT_ONCE)}>{t('devices.more', { n: shown.length - most })}</Button>
        </div>
      )}
    </>
  );
}

function Fault({ device }: { device: Device }): JSX.Element | null {
  if (device.state !== 'down') return device.contract ? <span>{t('devices.at_most_once')}</span> : null;
  return (
    <>
      {said(device.advice) || device.fault}
      {device.since ? <small> {t('devices.since', { at: moment(device.since) })}</small> : null}
    </>
  );
}

/** How long ago, with the moment itself on hand. */
export function Ago({ at }: { at: number | null | undefined }): JSX.Element {
  const now = useNow(10_000);
  if (!at) return <span>{t('devices.never')}</span>;
  return (
    <time dateTime={new Date(at).toISOString()} title={moment(at)}>
      {t('ago', { span: span(now - at) })}
    </time>
  );
}

interface Misread {
  seq: number;
  at: number;
  bus: string;
  device: string | null;
  origin: string;
  kind: string;
  reason: string;
  raw: string;
  raw_len: number;
}

function Quarantine(): JSX.Element {
  const paged = usePaged<Misread>('/api/v1/quarantine');
  const columns: Column<Misread>[] = [
    { key: 'at', title: t('when'), by: (r) => r.at, cell: (r) => moment(r.at) },
    {
      key: 'device',
      title: t('devices.from'),
      by: (r) => r.device ?? r.origin,
      cell: (r) => (
        <>
          {r.device ? <Link to={`/devices/${encodeURIComponent(r.device)}`}>{r.device}</Link> : r.bus} <small>{r.origin}</small>
        </>
      ),
    },
    { key: 'reason', title: t('reason'), by: (r) => r.reason, cell: (r) => `${word('misread', r.kind)}: ${r.reason}` },
    {
      key: 'raw',
      title: t('devices.raw'),
      by: (r) => r.raw,
      cell: (r) => (
        <details>
          <summary>{t('devices.bytes', { n: r.raw_len })}</summary>
          <code class="raw">{r.raw}</code>
        </details>
      ),
    },
  ];
  return (
    <>
      <p>{t('devices.quarantine_about')}</p>
      <PagedTable caption={t('devices.quarantine')} columns={columns} paged={paged} id={(r) => r.seq} empty={t('devices.quarantine_none')} />
    </>
  );
}

interface Stranger {
  bus: string;
  origin: string;
  first_at: number;
  last_at: number;
  messages: number;
}

function Strangers(): JSX.Element {
  const asked = useGet<{ rows: Stranger[] }>('/api/v1/strangers', {}, AGAIN_MS);
  const [chosen, choose] = useState<Stranger | null>(null);
  const columns: Column<Stranger>[] = [
    { key: 'origin', title: t('devices.origin'), by: (r) => r.origin, cell: (r) => <code>{r.origin}</code> },
    { key: 'bus', title: t('devices.bus'), by: (r) => r.bus, cell: (r) => r.bus },
    { key: 'first', title: t('devices.first_heard'), by: (r) => r.first_at, cell: (r) => moment(r.first_at) },
    { key: 'last', title: t('devices.last_heard'), by: (r) => r.last_at, cell: (r) => <Ago at={r.last_at} /> },
    { key: 'messages', title: t('devices.messages'), figure: true, by: (r) => r.messages, cell: (r) => number(r.messages) },
    { key: 'adopt', title: t('devices.adopt'), cell: (r) => <Button onClick={() => choose(r)}>{t('devices.adopt_how')}</Button> },
  ];
  return (
    <>
      <p>{t('devices.strangers_about')}</p>
      <Await asked={asked}>
        {({ rows }) => <Table caption={t('devices.strangers')} columns={columns} rows={rows} id={(r) => `${r.bus} ${r.origin}`} sorted="-last" empty={t('devices.strangers_none')} csv />}
      </Await>
      {chosen && (
        <div class="card" role="status">
          <Facts rows={[[t('devices.origin'), chosen.origin]]} />
          <p>{t('devices.adopt_about')}</p>
          <Copied
            label={t('devices.adopt')}
            text={`sudo schoolgate adopt '${chosen.origin.replace(/'/g, `'\\''`)}' --profile PROFILE --id ID --place PLACE --write /etc/schoolgate/conf.d/ID.toml\nsudo schoolgate check && sudo systemctl restart schoolgate`}
          />
        </div>
      )}
    </>
  );
}
