// Looking for devices on a line or in a network, what they look like, and configuration ready to copy.
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { useCell } from '../cell';
import { site } from '../live';
import { lang, said, t, word, type Text } from '../texts';
import { Checkbox, Form, Input, Select } from '../ui/form';
import { Table, type Column } from '../ui/table';
import { JobProgress, useJob } from './job';
import { listed } from './numbers';
import { Copied, Part } from './parts';

export interface Likely {
  profile: string;
  name?: Text | string;
  percent: number;
  reasons?: Text[];
}

export interface Found {
  bus: string;
  address: string;
  /** How the line is set on which it answered; none in a network. */
  line?: { baud: number; parity: string | null } | null;
  identity?: string[];
  /** Whether it was compared with the profiles. */
  compared?: boolean;
  likely?: Likely[];
}

export interface Findings {
  found?: number;
  devices: Found[];
  remarks?: Text[];
  toml?: string | null;
}

const WAYS = ['tcp', 'converter', 'serial'] as const;
export type Way = (typeof WAYS)[number];

/** What the gateway is asked: where, and how patiently. */
export interface Search {
  way: Way;
  tcp: string;
  converter: string;
  serial: string;
  ids: string;
  patient: boolean;
}

export const USUAL: Search = { way: 'tcp', tcp: '192.168.1.0/24', converter: '', serial: '/dev/ttyUSB0', ids: '', patient: false };

export function asked(search: Search): Record<string, unknown> {
  const { way, ids, patient } = search;
  return { [way]: search[way].trim(), ...(ids.trim() ? { ids: ids.trim() } : {}), patient, lang: lang.get() };
}

/** The fields of a search. */
export function SearchFields({ search, change }: { search: Search; change: (to: Search) => void }): JSX.Element {
  const set = (part: Partial<Search>): void => change({ ...search, ...part });
  return (
    <>
      <div class="row filters">
        <Select
          label={t('discovery.way')}
          value={search.way}
          onInput={(way) => set({ way: way as Way })}
          options={WAYS.map((value) => ({ value, text: word('search', value) }))}
        />
        <Input
          key={search.way}
          label={word('search_field', search.way)}
          hint={word('search_hint', search.way)}
          value={search[search.way]}
          onInput={(value) => set({ [search.way]: value })}
          autocomplete="off"
          required
        />
        <Input label={t('discovery.ids')} hint={t('discovery.ids_hint')} value={search.ids} onInput={(ids) => set({ ids })} autocomplete="off" />
      </div>
      <Checkbox label={t('discovery.patient')} hint={t('discovery.patient_hint')} value={search.patient} onInput={(patient) => set({ patient })} />
    </>
  );
}

export function Discovery(): JSX.Element {
  const work = useJob<Findings>('discovery');
  const [search, change] = useState<Search>(USUAL);
  const [place, setPlace] = useState('');
  const places = useCell(site, (school) => school?.places) ?? [];
  return (
    <Part title={t('system.discovery')}>
      <p>{t('discovery.about')}</p>
      <Form
        onSubmit={() => work.begin({ ...asked(search), ...(place ? { place } : {}) })}
        submit={t('discovery.begin')}
        disabled={work.job?.state === 'running' || !search[search.way].trim()}
      >
        <SearchFields search={search} change={change} />
        <Select
          label={t('discovery.place')}
          value={place}
          onInput={setPlace}
          options={[{ value: '', text: t('discovery.place_later') }, ...places.map(({ id, path }) => ({ value: id, text: said(path) }))]}
        />
      </Form>
      <JobProgress work={work} />
      {work.job?.result && <Outcome found={work.job.result} />}
    </Part>
  );
}

function profileName(likely: Likely): string {
  return (typeof likely.name === 'string' ? likely.name : said(likely.name)) || likely.profile;
}

function Outcome({ found }: { found: Findings }): JSX.Element {
  const columns: Column<Found>[] = [
    { key: 'bus', title: t('discovery.where'), by: (d) => `${d.bus} ${d.address}`, cell: (d) => <code>{`${d.bus} / ${d.address}`}</code> },
    { key: 'identity', title: t('discovery.identity'), by: (d) => (d.identity ?? []).join(' '), cell: (d) => (d.identity ?? []).join(' ') || '—' },
    {
      key: 'likely',
      title: t('discovery.likely'),
      by: (d) => d.likely?.[0]?.percent ?? null,
      cell: (d) =>
        d.likely?.length ? (
          <ol class="likely">
            {d.likely.slice(0, 3).map((one) => (
              <li key={one.profile}>
                <strong>{one.percent}%</strong> {profileName(one)}
                {!!one.reasons?.length && <small> {listed(one.reasons.map((reason) => said(reason)))}</small>}
              </li>
            ))}
          </ol>
        ) : (
          t(d.compared === false ? 'discovery.not_compared' : 'discovery.unknown')
        ),
    },
  ];
  return (
    <>
      <p class="lead" role="status">
        {t('discovery.found', { n: found.found ?? found.devices.length })}
      </p>
      <Table caption={t('system.discovery')} columns={columns} rows={found.devices} id={(d) => `${d.bus} ${d.address}`} empty={t('discovery.nobody')} csv={found.devices.length > 0} />
      {!!found.remarks?.length && (
        <ul>
          {found.remarks.map((remark, n) => (
            <li key={n}>{said(remark)}</li>
          ))}
        </ul>
      )}
      {found.toml && (
        <>
          <h3>{t('discovery.toml')}</h3>
          <p>{t('discovery.toml_about')}</p>
          <Copied text={found.toml} label={t('discovery.toml')} />
        </>
      )}
    </>
  );
}
