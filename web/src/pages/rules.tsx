// Rules: what each watches for, whether it ever can, and what it would have raised in the past.
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { useGet } from '../api';
import { useCell } from '../cell';
import { site } from '../live';
import { may } from '../session';
import { said, t, word, type Text } from '../texts';
import { Button } from '../ui/button';
import { Form, Input } from '../ui/form';
import { Table, type Column } from '../ui/table';
import { moment, momentOf, span } from '../ui/time';
import { JobProgress, useJob } from './job';
import { counted, number } from './numbers';
import { placeOf } from './places';
import { Await, Part, Sheet, Sign, Tabs, useTab, type Tab } from './parts';
import { DAY_MS, dayOf } from './span';
import { Timeline } from './timeline';

interface Rule {
  id: string;
  kind: string;
  doc?: Text;
  priority: string;
  class: string;
  place?: string | null;
  says?: Text;
  file?: string | null;
  line?: number | null;
  open?: number;
  raised_30d?: number;
  never?: Text | string | null;
}

/** What people look after first comes first. */
const CLASSES = ['help', 'fire', 'intrusion', 'security', 'environment', 'energy', 'equipment'];

export default function Rules(): JSX.Element {
  const tabs: Tab[] = [['list', t('rules.list')]];
  if (may('work')) tabs.push(['try', t('rules.try')]);
  const tab = useTab(tabs);
  const asked = useGet<{ rows: Rule[] }>('/api/v1/rules');
  return (
    <Sheet title={t('nav.rules')}>
      <Tabs tabs={tabs} />
      <Await asked={asked}>{({ rows }) => (tab === 'try' ? <TryOut rules={rows} /> : <List rules={rows} />)}</Await>
    </Sheet>
  );
}

function never(rule: Rule): string {
  return typeof rule.never === 'string' ? rule.never : said(rule.never);
}

function saysOf(rule: Rule): string {
  return said(rule.says) || said(rule.doc) || word('rule_kind', rule.kind);
}

function List({ rules }: { rules: Rule[] }): JSX.Element {
  const places = useCell(site, (school) => school?.places) ?? [];
  const dead = rules.filter((rule) => rule.never);
  const classes = [...CLASSES, ...new Set(rules.map((rule) => rule.class).filter((name) => !CLASSES.includes(name)))];
  const columns: Column<Rule>[] = [
    {
      key: 'says',
      title: t('rules.says'),
      by: saysOf,
      cell: (r) => (
        <>
          <strong>{saysOf(r)}</strong>
          <small class="line">
            <code>{r.id}</code>
            {r.file && <span title={r.file}>{` · ${r.file.split('/').pop()}${r.line ? `:${r.line}` : ''}`}</span>}
          </small>
        </>
      ),
    },
    { key: 'priority', title: t('rules.priority'), by: (r) => r.priority, cell: (r) => <span class={`badge ${r.priority}`}>{word('priority', r.priority)}</span> },
    { key: 'place', title: t('devices.place'), by: (r) => placeOf(r.place, places), cell: (r) => placeOf(r.place, places) || t('rules.everywhere') },
    { key: 'state', title: t('devices.state'), by: (r) => (r.never ? -1 : (r.open ?? 0)), cell: (r) => <RuleState rule={r} /> },
    { key: 'raised', title: t('rules.raised_30d'), figure: true, by: (r) => r.raised_30d ?? null, cell: (r) => number(r.raised_30d) },
  ];
  return (
    <>
      {dead.length > 0 && (
        <div class="notice">
          <div>{t('rules.dead', { n: dead.length })}</div>
        </div>
      )}
      {classes.map((name) => {
        const rows = rules.filter((rule) => rule.class === name);
        return (
          rows.length > 0 && (
            <Part key={name} title={counted(word('class', name), rows.length)}>
              <Table caption={word('class', name)} columns={columns} rows={rows} id={(r) => r.id} />
            </Part>
          )
        );
      })}
      {rules.length === 0 && <p class="empty">{t('rules.none')}</p>}
    </>
  );
}

function RuleState({ rule }: { rule: Rule }): JSX.Element {
  if (rule.never) {
    return (
      <Sign kind="bad">
        {t('rules.never')}
        <small class="line">{never(rule)}</small>
      </Sign>
    );
  }
  if (rule.open) return <Sign kind="warn">{t('rules.open', { n: rule.open })}</Sign>;
  return <Sign kind="good">{t('rules.watching')}</Sign>;
}

export interface Tried {
  rule: string;
  subject: string;
  from: number;
  to: number | null;
  did: boolean;
  /** It was raised then, and would not be now. */
  would?: boolean;
}

interface Outcome {
  would: number;
  did: number;
  rows: Tried[];
  /** Further ones that are not listed. */
  more?: number;
  /** When what is stored begins. */
  oldest?: { reading?: number | null; event?: number | null };
}

/** Days that are tried unless told otherwise. */
const USUAL_DAYS = 7;

function TryOut({ rules }: { rules: Rule[] }): JSX.Element {
  const work = useJob<Outcome>('replay');
  const [from, setFrom] = useState(dayOf(Date.now() - USUAL_DAYS * DAY_MS));
  const [to, setTo] = useState(dayOf(Date.now()));
  const [chosen, choose] = useState<ReadonlySet<string>>(new Set());
  const [first, last] = [momentOf(from), momentOf(to)];
  const wrong = first !== null && last !== null && last < first ? t('rules.wrong_span') : null;
  const toggle = (id: string): void => {
    const next = new Set(chosen);
    if (!next.delete(id)) next.add(id);
    choose(next);
  };
  const begin = async (): Promise<void> => {
    if (first === null || last === null || wrong) return;
    // Through the whole of the last day.
    await work.begin({ from: first, to: Math.min(Date.now(), last + DAY_MS), rules: [...chosen] });
  };
  const running = work.job?.state === 'running';
  return (
    <>
      <p>{t('rules.try_about')}</p>
      <Form onSubmit={begin} submit={t('rules.begin')} disabled={running || first === null || last === null || !!wrong}>
        <div class="row filters">
          <Input label={t('from_day')} type="date" value={from} onInput={setFrom} max={dayOf(Date.now())} required />
          <Input label={t('to_day')} type="date" value={to} onInput={setTo} max={dayOf(Date.now())} error={wrong} required />
        </div>
        <fieldset class="choose">
          <legend>{t('rules.which', { n: chosen.size || t('all') })}</legend>
          {rules.map((rule) => (
            <label key={rule.id}>
              <input type="checkbox" checked={chosen.has(rule.id)} onChange={() => toggle(rule.id)} />{' '}
              <span>
                {saysOf(rule)}
                <small class="line">
                  <code>{rule.id}</code>
                </small>
              </span>
            </label>
          ))}
        </fieldset>
      </Form>
      <JobProgress work={work} />
      {work.job?.result && <Result outcome={work.job.result} />}
    </>
  );
}

function Result({ outcome }: { outcome: Outcome }): JSX.Element {
  const rows = outcome.rows ?? [];
  const [most, setMost] = useState(MOST_ROWS);
  const columns: Column<Tried>[] = [
    { key: 'rule', title: t('rules.rule'), by: (r) => r.rule, cell: (r) => <code>{r.rule}</code> },
    { key: 'subject', title: t('rules.subject'), by: (r) => r.subject, cell: (r) => r.subject },
    { key: 'from', title: t('rules.from'), by: (r) => r.from, cell: (r) => moment(r.from) },
    { key: 'to', title: t('rules.until'), by: (r) => r.to, cell: (r) => (r.to === null ? t('rules.goes_on') : moment(r.to)) },
    { key: 'lasting', title: t('rules.lasting'), by: (r) => (r.to === null ? null : r.to - r.from), cell: (r) => (r.to === null ? '—' : span(r.to - r.from)) },
    { key: 'did', title: t('rules.then'), by: (r) => verdict(r), cell: (r) => <Sign kind={r.did ? (r.would === false ? 'warn' : 'good') : 'none'}>{verdict(r)}</Sign> },
  ];
  return (
    <Part title={t('rules.result')}>
      <p class="lead" role="status">
        {t('rules.outcome', { would: number(outcome.would), did: number(outcome.did) })}
      </p>
      {!!outcome.oldest?.reading && <p class="hint">{t('rules.oldest', { at: moment(outcome.oldest.reading) })}</p>}
      {!!outcome.more && <p class="hint">{t('rules.not_listed', { n: outcome.more })}</p>}
      <Timeline rows={rows} />
      <Table
        caption={t('rules.result')}
        columns={columns}
        rows={rows.slice(0, most)}
        id={(r) => `${r.rule} ${r.subject} ${r.from} ${r.did} ${r.would}`}
        empty={t('rules.nothing_raised')}
        csv
      />
      {rows.length > most && (
        <div class="row centre">
          <Button onClick={() => setMost(most + MOST_ROWS)}>{t('devices.more', { n: rows.length - most })}</Button>
        </div>
      )}
    </Part>
  );
}

const MOST_ROWS = 300;

function verdict(row: Tried): string {
  if (row.would === false) return t('rules.did_only');
  return t(row.did ? 'rules.did' : 'rules.did_not');
}
