// All alarms, newest first, or those that are not over, with what narrows them.
import type { JSX } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import { usePaged } from '../api';
import { DrillBadge, PriorityBadge, StateBadge, SupportBadge } from '../alarms/badges';
import { whatOf } from '../alarms/words';
import { useCell } from '../cell';
import { site, watchAlarms } from '../live';
import type { Alarm } from '../model';
import { Link, setQuery, usePlace } from '../router';
import { lang, said, t, word } from '../texts';
import { Input, Select } from '../ui/form';
import { Icon, iconOf } from '../ui/icon';
import { PagedTable, type Column } from '../ui/table';
import { moment } from '../ui/time';

const CLASSES = ['help', 'fire', 'intrusion', 'security', 'energy', 'environment', 'equipment'];
const PRIORITIES = ['critical', 'high', 'medium', 'low'];
const RANKS: Record<string, number> = { critical: 0, high: 1, medium: 2, low: 3 };

/** Where an alarm was, in words. */
function where(alarm: Alarm): string {
  if (alarm.place_path) return said(alarm.place_path);
  const place = site.get()?.places.find(({ id }) => id === alarm.place);
  return place ? said(place.path) : (alarm.place ?? '—');
}

/** The alarms that changed while the page is shown, the oldest change first. */
function useChanged(): ReadonlyMap<number, Alarm> {
  const [changed, set] = useState<ReadonlyMap<number, Alarm>>(new Map());
  useEffect(
    () =>
      watchAlarms((alarm, change) => {
        if (change) set((old) => new Map(old).set(alarm.id, alarm));
      }),
    [],
  );
  return changed;
}

export default function Alarms(): JSX.Element {
  const { query } = usePlace();
  const words = useCell(lang);
  const school = useCell(site);
  const open = query.get('open') !== 'false';
  const [kind, priority, text] = [query.get('class') ?? '', query.get('priority') ?? '', query.get('text') ?? ''];
  const paged = usePaged<Alarm>('/api/v1/alarms', { open: open ? true : null, limit: 200 });
  const changed = useChanged();
  // What the list said may be older than what the stream says.
  const rows = useMemo(() => {
    const fresh = paged.rows.map((row) => changed.get(row.id) ?? row);
    const known = new Set(fresh.map(({ id }) => id));
    const newer = [...changed.values()].filter(({ id }) => !known.has(id) && paged.rows.every((row) => row.id < id));
    const wanted = text.trim().toLowerCase();
    return [...newer.reverse(), ...fresh].filter(
      (alarm) =>
        (!open || alarm.closed_at === null) &&
        (!kind || alarm.class === kind) &&
        (!priority || alarm.priority === priority) &&
        (!wanted || `${said(alarm.what)} ${where(alarm)} ${alarm.device ?? ''} ${alarm.key.rule}`.toLowerCase().includes(wanted)),
    );
  }, [paged.rows, changed, open, kind, priority, text, words, school]);
  const columns = useMemo<Column<Alarm>[]>(
    () => [
      { key: 'id', title: t('alarm.number'), cell: (a) => <Link to={`/alarms/${a.id}`}>#{a.id}</Link>, by: (a) => a.id },
      { key: 'priority', title: t('alarm.priority'), cell: (a) => <PriorityBadge priority={a.priority} />, by: (a) => RANKS[a.priority] ?? 9 },
      {
        key: 'what',
        title: t('alarm.what'),
        cell: (a) => (
          <>
            <Icon name={iconOf(a.class)} size={18} /> <Link to={`/alarms/${a.id}`}>{whatOf(a)}</Link> <DrillBadge alarm={a} /> <SupportBadge alarm={a} />
          </>
        ),
        by: whatOf,
      },
      { key: 'where', title: t('alarm.where'), cell: where, by: where },
      { key: 'when', title: t('alarm.when'), cell: (a) => moment(a.raised_at), by: (a) => a.raised_at },
      { key: 'state', title: t('alarm.state'), cell: (a) => <StateBadge alarm={a} />, by: (a) => a.state },
      { key: 'taken', title: t('alarm.taken_by'), cell: (a) => a.acknowledged?.by ?? '—', by: (a) => a.acknowledged?.by ?? null },
      {
        key: 'support',
        title: t('alarm.support'),
        cell: (a) => (a.support ? `${moment(a.support.at)} ${a.support.by}` : '—'),
        by: (a) => a.support?.at ?? null,
      },
      {
        key: 'truth',
        title: t('alarm.truth'),
        cell: (a) => (a.confirmed ? word('truth', a.confirmed.truth) : '—'),
        by: (a) => a.confirmed?.truth ?? null,
      },
    ],
    [words, school],
  );
  const options = (group: string, names: readonly string[]): { value: string; text: string }[] => [
    { value: '', text: t('all') },
    ...names.map((value) => ({ value, text: word(group, value) })),
  ];
  return (
    <>
      <h1>{t('nav.alarms')}</h1>
      <div class="row filters">
        <Select
          label={t('alarm.which')}
          value={open ? 'open' : 'all'}
          onInput={(value) => setQuery({ open: value === 'all' ? 'false' : null })}
          options={[
            { value: 'open', text: t('alarm.open_only') },
            { value: 'all', text: t('alarm.with_over') },
          ]}
        />
        <Select label={t('alarm.class')} value={kind} onInput={(value) => setQuery({ class: value })} options={options('class', CLASSES)} />
        <Select label={t('alarm.priority')} value={priority} onInput={(value) => setQuery({ priority: value })} options={options('priority', PRIORITIES)} />
        <Input label={t('alarm.text')} type="search" value={text} onInput={(value) => setQuery({ text: value })} maxLength={100} />
      </div>
      <PagedTable caption={t('nav.alarms')} columns={columns} paged={{ ...paged, rows }} id={(a) => a.id} empty={t('alarm.none')} csv />
    </>
  );
}
