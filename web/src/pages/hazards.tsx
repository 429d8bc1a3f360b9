// Hazards: found, checked, handled, closed; each step with who and when.
import type { JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { post, usePaged } from '../api';
import { useCell } from '../cell';
import { site } from '../live';
import type { Handled } from '../model';
import { Link, setQuery, usePlace } from '../router';
import { acting, may } from '../session';
import { lang, said, t, word } from '../texts';
import { Button } from '../ui/button';
import { Dialog } from '../ui/dialog';
import { Form, Input, Select } from '../ui/form';
import { PagedTable, type Column } from '../ui/table';
import { moment } from '../ui/time';

interface Hazard {
  id: number;
  stage: 'found' | 'checked' | 'handled' | 'closed';
  alarm: number | null;
  place: string | null;
  what: string;
  found: Handled;
  checked: Handled | null;
  handled: Handled | null;
  closed: Handled | null;
}

const NEXT = { found: 'checked', checked: 'handled', handled: 'closed', closed: null } as const;

function last(hazard: Hazard): Handled {
  return hazard.closed ?? hazard.handled ?? hazard.checked ?? hazard.found;
}

export default function Hazards(): JSX.Element {
  const words = useCell(lang);
  const school = useCell(site);
  const { query } = usePlace();
  const open = query.get('open') !== 'false';
  const paged = usePaged<Hazard>('/api/v1/hazards', { open: open ? true : null });
  const [step, setStep] = useState<Hazard | null>(null);
  const [finding, setFinding] = useState(false);
  const act = may('act');
  const where = (hazard: Hazard): string => {
    const place = school?.places.find(({ id }) => id === hazard.place);
    return place ? said(place.path) : (hazard.place ?? '—');
  };
  const columns = useMemo<Column<Hazard>[]>(
    () => [
      { key: 'id', title: t('alarm.number'), cell: (h) => `#${h.id}`, by: (h) => h.id },
      { key: 'what', title: t('hazard.what'), cell: (h) => h.what, by: (h) => h.what },
      { key: 'where', title: t('alarm.where'), cell: where, by: where },
      { key: 'alarm', title: t('hazard.alarm'), cell: (h) => (h.alarm === null ? '—' : <Link to={`/alarms/${h.alarm}`}>#{h.alarm}</Link>), by: (h) => h.alarm },
      { key: 'stage', title: t('hazard.stage'), cell: (h) => <span class="badge">{word('stage', h.stage)}</span>, by: (h) => h.stage },
      { key: 'found', title: t('hazard.found_at'), cell: (h) => `${moment(h.found.at)} ${h.found.by}`, by: (h) => h.found.at },
      {
        key: 'last',
        title: t('hazard.last'),
        cell: (h) => `${moment(last(h).at)} ${last(h).by} ${last(h).note}`,
        by: (h) => last(h).at,
      },
      {
        key: 'next',
        title: t('hazard.next'),
        cell: (h) => {
          const next = NEXT[h.stage];
          return act && next ? <Button onClick={() => setStep(h)}>{word('stage', next)}</Button> : '—';
        },
      },
    ],
    [words, school, act],
  );
  const done = (): void => {
    setStep(null);
    setFinding(false);
    paged.again();
  };
  return (
    <>
      <h1>{t('nav.hazards')}</h1>
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
        {act && (
          <Button kind="primary" onClick={() => setFinding(true)}>
            {t('hazard.find')}
          </Button>
        )}
      </div>
      <PagedTable caption={t('nav.hazards')} columns={columns} paged={paged} id={(h) => h.id} csv />
      {step && <Step hazard={step} onDone={done} onClose={() => setStep(null)} />}
      {finding && <Find onDone={done} onClose={() => setFinding(false)} />}
    </>
  );
}

function Step({ hazard, onDone, onClose }: { hazard: Hazard; onDone: () => void; onClose: () => void }): JSX.Element {
  const [note, setNote] = useState('');
  const next = NEXT[hazard.stage] ?? 'closed';
  const send = async (): Promise<void> => {
    await post(`/api/v1/hazards/${hazard.id}/${next}`, { ...acting(), note: note.trim() });
    onDone();
  };
  return (
    <Dialog title={`${word('stage', next)} · ${hazard.what}`} onClose={onClose}>
      <Form onSubmit={send} submit={word('stage', next)}>
        <Input label={t('hazard.seen')} value={note} onInput={setNote} lines={3} maxLength={1000} focus />
      </Form>
    </Dialog>
  );
}

function Find({ onDone, onClose }: { onDone: () => void; onClose: () => void }): JSX.Element {
  const places = useCell(site, (found) => found?.places) ?? [];
  const [what, setWhat] = useState('');
  const [place, setPlace] = useState('');
  const send = async (): Promise<void> => {
    await post('/api/v1/hazards', { ...acting(), what: what.trim(), ...(place ? { place } : {}) });
    onDone();
  };
  return (
    <Dialog title={t('hazard.find')} onClose={onClose}>
      <Form onSubmit={send} submit={t('hazard.find')} disabled={!what.trim()}>
        <Input label={t('hazard.what')} value={what} onInput={setWhat} maxLength={200} required focus />
        <Select
          label={t('alarm.where')}
          value={place}
          onInput={setPlace}
          options={[{ value: '', text: '—' }, ...places.map(({ id, path }) => ({ value: id, text: said(path) }))]}
        />
      </Form>
    </Dialog>
  );
}
