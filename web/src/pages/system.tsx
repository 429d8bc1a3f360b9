// The machine: room, clock, backup, version; and the work that a technician begins here.
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { useGet } from '../api';
import { may } from '../session';
import { t, word } from '../texts';
import { Form, Input, Select } from '../ui/form';
import { Table } from '../ui/table';
import { moment, momentOf, span } from '../ui/time';
import { Discovery } from './discovery';
import { JobProgress, useJob } from './job';
import { bytes, number, percent } from './numbers';
import { Await, Bar, Facts, Part, Sheet, Sign, Tabs, useTab, type Tab } from './parts';
import { DAY_MS, dayOf } from './span';

interface SystemNow {
  version?: string;
  at?: number;
  uptime_secs?: number;
  clock?: { set?: boolean; offset_ms?: number | null; timezone?: string | null };
  disk?: { total?: number; free?: number; budget?: number; used?: number };
  parts?: Record<string, number>;
  last_backup?: { at: number; bytes?: number } | null;
  last_verify?: number | null;
  processes?: { name: string; rss?: number | null }[];
}

const AGAIN_MS = 30_000;
/** Backups and verifications are due after so long. */
const DUE_MS = 7 * DAY_MS;
const FULL = 0.9;
const CLOCK_OFF_MS = 2000;

export default function System(): JSX.Element {
  const tabs: Tab[] = [['now', t('system.now')]];
  if (may('work')) tabs.push(['export', t('system.export')], ['discovery', t('system.discovery')]);
  const tab = useTab(tabs);
  return (
    <Sheet title={t('nav.system')}>
      <Tabs tabs={tabs} />
      {tab === 'export' ? <Export /> : tab === 'discovery' ? <Discovery /> : <Now />}
    </Sheet>
  );
}

function Now(): JSX.Element {
  const asked = useGet<SystemNow>('/api/v1/system', {}, AGAIN_MS);
  return (
    <>
      <Await asked={asked}>
        {(now) => (
          <div class="cards">
            <section class="card">
              <h2>{t('system.program')}</h2>
              <Facts
                rows={[
                  [t('system.version'), now.version ?? '—'],
                  now.uptime_secs !== undefined && [t('system.uptime'), span(now.uptime_secs * 1000)],
                  ...(now.processes ?? []).map(({ name, rss }) => [t('system.memory', { name }), bytes(rss)] as const),
                ]}
              />
            </section>
            <Clock clock={now.clock} at={now.at} />
            <Disk disk={now.disk} />
            <section class="card">
              <h2>{t('system.safe')}</h2>
              <Facts
                rows={[
                  [t('system.last_backup'), <Since at={now.last_backup?.at} />],
                  !!now.last_backup?.bytes && [t('system.backup_size'), bytes(now.last_backup.bytes)],
                  [t('system.last_verify'), <Since at={now.last_verify} />],
                ]}
              />
            </section>
          </div>
        )}
      </Await>
      {may('work') && <BackUp done={asked.again} />}
      {asked.value?.parts && <Files parts={asked.value.parts} />}
    </>
  );
}

function Since({ at }: { at: number | null | undefined }): JSX.Element {
  if (!at) return <Sign kind="warn">{t('system.never')}</Sign>;
  return <Sign kind={Date.now() - at > DUE_MS ? 'warn' : 'good'}>{moment(at)}</Sign>;
}

function Clock({ clock, at }: { clock: SystemNow['clock']; at: number | undefined }): JSX.Element {
  const off = clock?.offset_ms;
  const far = typeof off === 'number' && Math.abs(off) > CLOCK_OFF_MS;
  return (
    <section class="card">
      <h2>{t('system.clock')}</h2>
      <Facts
        rows={[
          [t('system.set'), <Sign kind={clock?.set === false ? 'bad' : 'good'}>{t(clock?.set === false ? 'system.clock_not_set' : 'system.clock_set')}</Sign>],
          !!at && [t('system.gateway_time'), moment(at)],
          !!clock?.timezone && [t('system.timezone'), clock.timezone],
          typeof off === 'number' && [t('system.offset'), <Sign kind={far ? 'warn' : 'good'}>{t('system.offset_secs', { secs: number(off / 1000, 1) })}</Sign>],
        ]}
      />
    </section>
  );
}

function Disk({ disk }: { disk: SystemNow['disk'] }): JSX.Element {
  const taken = disk?.total ? 1 - (disk.free ?? 0) / disk.total : 0;
  const used = disk?.budget ? (disk.used ?? 0) / disk.budget : 0;
  return (
    <section class="card">
      <h2>{t('system.disk')}</h2>
      <p>
        {t('system.disk_taken', { free: bytes(disk?.free), total: bytes(disk?.total) })} <Bar share={taken} kind={taken > FULL ? 'bad' : 'plain'} />
      </p>
      <p>
        {t('system.budget_used', { used: bytes(disk?.used), budget: bytes(disk?.budget), share: percent(used, 0) })}{' '}
        <Bar share={used} kind={used > FULL ? 'bad' : 'plain'} />
      </p>
    </section>
  );
}

function Files({ parts }: { parts: Record<string, number> }): JSX.Element {
  const rows = Object.keys(parts).map((name) => ({ name, size: parts[name] ?? 0 }));
  const most = Math.max(1, ...rows.map(({ size }) => size));
  return (
    <Part title={t('system.files')}>
      <Table
        caption={t('system.files')}
        rows={rows}
        id={(f) => f.name}
        sorted="-size"
        csv
        columns={[
          { key: 'name', title: t('system.part'), by: (f) => f.name, cell: (f) => f.name },
          { key: 'size', title: t('system.size'), figure: true, by: (f) => f.size, cell: (f) => bytes(f.size) },
          { key: 'bar', title: t('energy.as_bar'), cell: (f) => <Bar share={f.size / most} /> },
        ]}
      />
    </Part>
  );
}

function BackUp({ done }: { done: () => void }): JSX.Element {
  const work = useJob<{ files: number; bytes: number; dir: string }>('backup', done);
  const result = work.job?.result;
  return (
    <Part title={t('system.backup')}>
      <p>{t('system.backup_about')}</p>
      <Form onSubmit={() => work.begin({})} submit={t('system.backup_begin')} disabled={work.job?.state === 'running'}>
        {null}
      </Form>
      <JobProgress work={work} />
      {result && <Facts rows={[!!result.dir && [t('system.backup_dir'), result.dir], [t('system.size'), bytes(result.bytes)]]} />}
    </Part>
  );
}

const USUAL_DAYS = 30;

function Export(): JSX.Element {
  const work = useJob<{ rows: number; bytes: number }>('export');
  const [what, setWhat] = useState('readings');
  const [format, setFormat] = useState('csv');
  const [from, setFrom] = useState(dayOf(Date.now() - USUAL_DAYS * DAY_MS));
  const [to, setTo] = useState(dayOf(Date.now()));
  const [first, last] = [momentOf(from), momentOf(to)];
  const wrong = first !== null && last !== null && last < first ? t('rules.wrong_span') : null;
  const begin = async (): Promise<void> => {
    if (first !== null && last !== null && !wrong) await work.begin({ what, format, from: first, to: last + DAY_MS });
  };
  const result = work.job?.result;
  return (
    <Part title={t('system.export')}>
      <p>{t('system.export_about')}</p>
      <Form onSubmit={begin} submit={t('system.export_begin')} disabled={work.job?.state === 'running' || first === null || last === null || !!wrong}>
        <div class="row filters">
          <Select
            label={t('system.what')}
            value={what}
            onInput={setWhat}
            options={(['readings', 'rollups', 'events', 'alarms'] as const).map((value) => ({ value, text: word('export_of', value) }))}
          />
          <Input label={t('from_day')} type="date" value={from} max={dayOf(Date.now())} onInput={setFrom} required />
          <Input label={t('to_day')} type="date" value={to} max={dayOf(Date.now())} error={wrong} onInput={setTo} required />
          <Select
            label={t('system.format')}
            value={format}
            onInput={setFormat}
            options={[
              { value: 'csv', text: 'CSV' },
              { value: 'parquet', text: 'Parquet' },
            ]}
          />
        </div>
      </Form>
      <JobProgress work={work} />
      {result && (
        <p role="status">
          {t('system.exported', { rows: number(result.rows), size: bytes(result.bytes) })}
        </p>
      )}
    </Part>
  );
}
