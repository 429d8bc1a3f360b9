// Reports: what a shift hands over, how alarms did, and weeks, months and quarters; to read, to print, to keep.
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { asText, useGet } from '../api';
import { setQuery, usePlace } from '../router';
import { lang, said, t, word, type Text } from '../texts';
import { Button } from '../ui/button';
import { Input } from '../ui/form';
import { fieldOf, moment, momentOf, span as lasting, useNow } from '../ui/time';
import { AlarmFigures } from './alarm-figures';
import { Await, Facts, FileLink, Sheet, Sign, Tabs, useTab, type Tab } from './parts';
import { Period } from './period';
import { FigureTable, Listed, type Figure } from './report-parts';

export default function Reports(): JSX.Element {
  const tabs: Tab[] = [
    ['shift', t('reports.shift')],
    ['figures', t('reports.figures')],
    ['period', t('reports.period')],
  ];
  const tab = useTab(tabs);
  return (
    <Sheet title={t('nav.reports')}>
      <Tabs tabs={tabs} />
      {tab === 'figures' ? <AlarmFigures /> : tab === 'period' ? <Period /> : <Shift />}
    </Sheet>
  );
}

interface Entry {
  id: number;
  priority: string;
  class: string;
  what: Text;
  place: Text | null;
  raised_at: number;
  came?: number;
  state?: string;
  taken_by: string | null;
  taken_at?: number | null;
  taken_after_ms?: number | null;
  note?: string;
  truth?: string | null;
}

interface Quiet {
  id: number;
  priority: string;
  what: Text;
  place: Text | null;
  how: string;
  until?: number | null;
  until_clear?: boolean;
  by: string;
  note?: string;
}

interface Content {
  site?: string;
  gateway?: string;
  from: number;
  to: number;
  made_at?: number;
  guards?: number;
  open?: Entry[];
  quiet?: Quiet[];
  alarms?: Entry[];
  not_listed?: number;
  hazards?: { id: number; stage?: string; what?: string; place?: string | null }[];
  silent?: { device: string; name: string; place: Text | null; fault: string; since: number }[];
  areas?: { name: string; mode: string; by: string; since: number; open: number; bypassed: number }[];
  uploads?: { destination: string; waiting: number; lag_secs: number }[];
  figures?: Figure[];
}

const AGAIN_MS = 60_000;

function Shift(): JSX.Element {
  const { query } = usePlace();
  const at = momentOf(query.get('at') ?? '');
  // Not again by itself: each reading of a report is in the audit trail.
  const asked = useGet<{ content: Content; sha256?: string }>('/api/v1/reports/shift', { at, format: 'json' });
  return (
    <Await asked={asked}>
      {({ content, sha256 }) => (
        <>
          <Choose content={content} current={at === null} />
          <Handover content={content} sha256={sha256} />
        </>
      )}
    </Await>
  );
}

/** Which shift: the one that goes on, those before, or that of a moment. */
function Choose({ content, current }: { content: Content; current: boolean }): JSX.Element {
  const now = useNow(AGAIN_MS);
  const [typed, type] = useState(fieldOf(content.from, true));
  const to = (ms: number): void => setQuery({ at: ms >= now ? null : fieldOf(ms, true) });
  const files = { from: content.from, to: Math.min(content.to, Date.now()), lang: lang.get() };
  return (
    <div class="choices no-print">
      <div class="row">
        <Button onClick={() => to(content.from - 60_000)}>◀ {t('reports.shift_before')}</Button>
        {!current && <Button onClick={() => to(content.to + 60_000)}>{t('reports.shift_after')} ▶</Button>}
        <Button onClick={() => setQuery({ at: null })} disabled={current}>
          {t('reports.shift_now')}
        </Button>
        <Files path="/api/v1/reports/shift" query={files} />
      </div>
      <div class="row filters">
        <Input
          label={t('reports.shift_at')}
          type="datetime-local"
          value={typed}
          onInput={(value) => {
            type(value);
            const ms = momentOf(value);
            if (ms !== null && ms < now) setQuery({ at: value });
          }}
        />
      </div>
    </div>
  );
}

/** The same report as files, and on paper. */
export function Files({ path, query, pdf = true }: { path: string; query: Record<string, string | number | null>; pdf?: boolean }): JSX.Element {
  return (
    <>
      {pdf && <FileLink href={path + asText({ ...query, format: 'pdf' })}>PDF</FileLink>}
      <FileLink href={path + asText({ ...query, format: 'csv' })}>CSV</FileLink>
      <Button onClick={() => print()}>{t('print')}</Button>
    </>
  );
}

function Handover({ content, sha256 }: { content: Content; sha256: string | undefined }): JSX.Element {
  const c = content;
  return (
    <article class="report">
      <h2>
        {c.site} · {t('reports.handover')}
      </h2>
      <p class="lead">
        {moment(c.from)} – {moment(c.to)}
      </p>
      <Facts
        rows={[
          !!c.made_at && [t('reports.made_at'), moment(c.made_at)],
          !!c.guards && [t('reports.guards'), c.guards],
          !!sha256 && ['SHA-256', <code class="raw">{sha256}</code>],
        ]}
      />
      <Listed title={t('reports.open')} rows={c.open} empty={t('reports.open_none')} heads={ENTRY()} cells={entry} id={(e) => e.id} />
      <Listed
        title={t('reports.quiet')}
        rows={c.quiet}
        heads={[t('reports.alarm'), t('devices.place'), t('reports.how'), t('reports.until'), t('reports.by'), t('note')]}
        cells={(q) => [What(q), said(q.place), word('quiet', q.how), q.until ? moment(q.until) : q.until_clear ? t('reports.until_clear') : '—', q.by, q.note ?? '']}
        id={(q) => q.id}
      />
      <Listed title={t('reports.alarms')} rows={c.alarms} empty={t('reports.alarms_none')} heads={ENTRY()} cells={entry} id={(e) => e.id} />
      {!!c.not_listed && <p class="hint">{t('rules.not_listed', { n: c.not_listed })}</p>}
      <Listed
        title={t('reports.hazards')}
        rows={c.hazards}
        heads={[t('audit.number'), t('audit.what'), t('devices.state')]}
        cells={(h) => [h.id, h.what ?? '', word('stage', h.stage ?? '')]}
        id={(h) => h.id}
      />
      <Listed
        title={t('reports.silent')}
        rows={c.silent}
        empty={t('reports.silent_none')}
        heads={[t('devices.name'), t('devices.place'), t('devices.fault'), t('devices.state_since')]}
        cells={(d) => [d.name, said(d.place), word('fault', d.fault), moment(d.since)]}
        id={(d) => d.device}
      />
      <Listed
        title={t('reports.areas')}
        rows={c.areas}
        heads={[t('devices.name'), t('devices.state'), t('reports.by'), t('reports.openings')]}
        cells={(a) => [a.name, word('mode', a.mode), a.by, t('reports.open_bypassed', { open: a.open, bypassed: a.bypassed })]}
        id={(a) => a.name}
      />
      <Listed
        title={t('nav.uploads')}
        rows={c.uploads}
        heads={[t('uploads.platform'), t('uploads.waiting'), t('uploads.lag')]}
        cells={(u) => [u.destination, u.waiting, u.waiting ? lasting(u.lag_secs * 1000) : t('uploads.no_lag')]}
        id={(u) => u.destination}
      />
      <FigureTable figures={c.figures ?? []} />
      <div class="signatures">
        <p>{t('reports.hands_over')}</p>
        <p>{t('reports.takes_over')}</p>
      </div>
    </article>
  );
}

function What({ id, priority, what }: { id: number; priority: string; what: Text }): JSX.Element {
  return (
    <>
      <span class={`badge ${priority}`}>{word('priority', priority)}</span> #{id} {said(what)}
    </>
  );
}

const ENTRY = (): string[] => [t('reports.alarm'), t('devices.place'), t('reports.raised_at'), t('reports.taken'), t('note')];

function entry(e: Entry): (JSX.Element | string | number)[] {
  const taken = e.taken_by ? (
    <>
      <Sign kind="good">{e.taken_by}</Sign>
      {typeof e.taken_after_ms === 'number' && <small class="line">{t('reports.after_secs', { secs: Math.round(e.taken_after_ms / 1000) })}</small>}
    </>
  ) : (
    <Sign kind="bad">{t('reports.not_taken')}</Sign>
  );
  const note = [e.truth ? word('truth', e.truth) : '', e.note ?? ''].filter(Boolean).join(' · ');
  return [What(e), said(e.place), moment(e.raised_at), taken, note];
}
