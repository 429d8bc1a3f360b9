// One alarm: how it stands, what was done about it and by whom, and what may be done now.
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { post, useGet } from '../api';
import { DrillBadge, PriorityBadge, StateBadge, SupportBadge } from '../alarms/badges';
import { whatOf } from '../alarms/words';
import { orderAlarm } from '../desk/orders';
import { Pictures } from '../desk/pictures';
import { watchAlarms } from '../live';
import type { Alarm, Change, Truth } from '../model';
import type { PageProps } from '../pages';
import { Link } from '../router';
import { acting, may } from '../session';
import { said, t, word } from '../texts';
import { Button } from '../ui/button';
import { Dialog } from '../ui/dialog';
import { Checkbox, Form, Input, Select } from '../ui/form';
import { Icon, iconOf } from '../ui/icon';
import { Table } from '../ui/table';
import { Refusal, tell } from '../ui/toast';
import { moment, span } from '../ui/time';
import '../desk/desk.css';

export default function AlarmPage({ gaps }: PageProps): JSX.Element {
  const id = Number(gaps.id);
  const asked = useGet<Alarm>(`/api/v1/alarms/${encodeURIComponent(gaps.id ?? '')}`);
  const { again } = asked;
  useEffect(() => watchAlarms((changed) => changed.id === id && again()), [id, again]);
  const alarm = asked.value;
  return (
    <>
      <p>
        <Link to="/alarms">← {t('nav.alarms')}</Link>
      </p>
      <Refusal problem={asked.problem} again={again} />
      {alarm && <Details alarm={alarm} again={again} />}
    </>
  );
}

function Details({ alarm, again }: { alarm: Alarm; again: () => void }): JSX.Element {
  return (
    <>
      <h1>
        <Icon name={iconOf(alarm.class)} size={28} /> {whatOf(alarm)}
      </h1>
      <p class="row">
        <PriorityBadge priority={alarm.priority} />
        <StateBadge alarm={alarm} />
        <DrillBadge alarm={alarm} />
        <SupportBadge alarm={alarm} />
      </p>
      <Orders alarm={alarm} again={again} />
      <div class="cards halves">
        <section class="card">
          <h2>{t('alarm.facts')}</h2>
          <Facts alarm={alarm} />
        </section>
        {may('pictures') && (
          <section class="card">
            <h2>{t('desk.pictures')}</h2>
            <Pictures alarm={alarm.id} />
          </section>
        )}
      </div>
      <h2>{t('alarm.history')}</h2>
      <Table<Change & { n: number }>
        caption={t('alarm.history')}
        rows={(alarm.history ?? []).map((step, n) => ({ ...step, n }))}
        id={(step) => step.n}
        columns={[
          { key: 'at', title: t('when'), cell: (step) => moment(step.at), by: (step) => step.at },
          { key: 'kind', title: t('alarm.step'), cell: (step) => word('change', step.kind), by: (step) => word('change', step.kind) },
          { key: 'actor', title: t('alarm.who'), cell: (step) => (step.actor === 'gateway' ? t('alarm.gateway') : step.actor), by: (step) => step.actor },
          { key: 'note', title: t('note'), cell: (step) => step.note || '—', by: (step) => step.note },
        ]}
      />
      {(alarm.explains ?? []).length > 0 && (
        <>
          <h2>{t('alarm.explains')}</h2>
          <ul>
            {alarm.explains?.map((other) => (
              <li key={other.id}>
                <Link to={`/alarms/${other.id}`}>
                  #{other.id} {said(other.what)}
                </Link>
              </li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}

function Facts({ alarm }: { alarm: Alarm }): JSX.Element {
  const rows: [string, ComponentChildren][] = [
    [t('alarm.number'), `#${alarm.id}`],
    [t('alarm.class'), word('class', alarm.class)],
    [t('alarm.where'), said(alarm.place_path) || alarm.place || '—'],
    [t('alarm.device'), alarm.device ?? '—'],
    [t('alarm.rule'), alarm.key.rule],
    [t('alarm.when'), moment(alarm.raised_at)],
    [t('alarm.occurrences'), String(alarm.occurrences)],
  ];
  if (alarm.cleared_at !== null && alarm.cleared_at > alarm.raised_at) rows.push([t('alarm.cleared_at'), moment(alarm.cleared_at)]);
  if (alarm.acknowledged) rows.push([t('alarm.taken_by'), `${alarm.acknowledged.by}, ${moment(alarm.acknowledged.at)} ${alarm.acknowledged.note}`]);
  if (alarm.reset) rows.push([t('alarm.reset_by'), `${alarm.reset.by}, ${moment(alarm.reset.at)} ${alarm.reset.note}`]);
  if (alarm.closed_at !== null) rows.push([t('alarm.closed_at'), moment(alarm.closed_at)]);
  if (alarm.confirmed) rows.push([t('alarm.truth'), `${word('truth', alarm.confirmed.truth)}, ${alarm.confirmed.by} ${alarm.confirmed.note}`]);
  if (alarm.support) {
    const { by, at, note, told_at: told } = alarm.support;
    rows.push([t('alarm.support'), `${by}, ${moment(at)} ${note}`]);
    if (told !== undefined) rows.push([t('alarm.support_told'), moment(told)]);
  }
  if (alarm.shelved) rows.push([t('alarm.shelved'), t('alarm.shelved_by', { name: alarm.shelved.by, until: moment(alarm.shelved.until), why: alarm.shelved.note })]);
  if (alarm.out_of_service) {
    const { by, note, until } = alarm.out_of_service;
    rows.push([t('alarm.out'), `${by}, ${note}${until === null ? '' : ` → ${moment(until)}`}`]);
  }
  if (alarm.suppressed) rows.push([t('alarm.suppressed'), alarm.suppressed.by]);
  if (alarm.inhibited_by !== undefined) {
    rows.push([t('alarm.inhibited'), <Link to={`/alarms/${alarm.inhibited_by}`}>#{alarm.inhibited_by}</Link>]);
  }
  if (alarm.chattering) rows.push([t('alarm.chattering'), t('alarm.chatter_count', { n: alarm.chattering.count, since: moment(alarm.chattering.since) })]);
  if (alarm.first) rows.push([t('alarm.first'), t('yes')]);
  return (
    <dl class="facts">
      {rows.map(([name, value]) => (
        <>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </>
      ))}
    </dl>
  );
}

type Asking = 'shelve' | 'out' | 'confirm' | 'hazard';

function Orders({ alarm, again }: { alarm: Alarm; again: () => void }): JSX.Element | null {
  const [asking, setAsking] = useState<Asking | null>(null);
  const open = alarm.closed_at === null;
  const order = (verb: string) => async (): Promise<void> => {
    await orderAlarm(alarm.id, verb);
    again();
  };
  const done = (): void => {
    setAsking(null);
    again();
  };
  const act = may('act');
  // Nothing and nobody may keep a call for help or fire quiet.
  const hush = may('hush') && open && alarm.class !== 'help' && alarm.class !== 'fire';
  return (
    <div class="row orders">
      {act && open && !alarm.acknowledged && (
        <Button big kind="primary" icon="check" onClick={order('acknowledge')}>
          {t('desk.acknowledge')}
        </Button>
      )}
      {act && open && alarm.latched && alarm.acknowledged && !alarm.reset && (
        <Button big kind="good" icon="check" onClick={order('reset')}>
          {t('desk.reset')}
        </Button>
      )}
      {act && <Button onClick={() => setAsking('confirm')}>{t('alarm.confirm')}</Button>}
      {hush && !alarm.shelved && (
        <Button icon="mute" onClick={() => setAsking('shelve')}>
          {t('alarm.shelve')}
        </Button>
      )}
      {may('hush') && open && alarm.shelved && <Button onClick={order('unshelve')}>{t('alarm.unshelve')}</Button>}
      {hush && !alarm.out_of_service && <Button onClick={() => setAsking('out')}>{t('alarm.take_out')}</Button>}
      {may('hush') && open && alarm.out_of_service && <Button onClick={order('in-service')}>{t('alarm.put_back')}</Button>}
      {act && <Button onClick={() => setAsking('hazard')}>{t('hazard.find')}</Button>}
      {asking === 'confirm' && <Confirm alarm={alarm} onDone={done} onClose={() => setAsking(null)} />}
      {(asking === 'shelve' || asking === 'out') && <Quiet alarm={alarm} out={asking === 'out'} onDone={done} onClose={() => setAsking(null)} />}
      {asking === 'hazard' && <FindHazard alarm={alarm} onClose={() => setAsking(null)} />}
    </div>
  );
}

interface AskProps {
  alarm: Alarm;
  onDone: () => void;
  onClose: () => void;
}

const TRUTHS: Truth[] = ['real', 'false', 'drill', 'nuisance'];

function Confirm({ alarm, onDone, onClose }: AskProps): JSX.Element {
  const [result, setResult] = useState<string>(alarm.confirmed?.truth ?? 'real');
  const [note, setNote] = useState('');
  const send = async (): Promise<void> => {
    await orderAlarm(alarm.id, 'confirm', { result, note: note.trim() });
    onDone();
  };
  return (
    <Dialog title={t('alarm.confirm')} onClose={onClose}>
      <Form onSubmit={send} submit={t('save')}>
        <Select label={t('alarm.truth')} value={result} onInput={setResult} options={TRUTHS.map((value) => ({ value, text: word('truth', value) }))} />
        <Input label={t('note')} value={note} onInput={setNote} lines={3} maxLength={1000} />
      </Form>
    </Dialog>
  );
}

const SPANS = [900, 3600, 7200, 14_400, 28_800, 86_400];

function Quiet({ alarm, out, onDone, onClose }: AskProps & { out: boolean }): JSX.Element {
  const [note, setNote] = useState('');
  const [secs, setSecs] = useState(out ? '' : '3600');
  const [once, setOnce] = useState(false);
  const send = async (): Promise<void> => {
    const body = { note: note.trim(), ...(secs ? { for_secs: Number(secs) } : {}), ...(!out && once ? { until_clear: true } : {}) };
    await orderAlarm(alarm.id, out ? 'out-of-service' : 'shelve', body);
    onDone();
  };
  const options = SPANS.map((one) => ({ value: String(one), text: span(one * 1000) }));
  return (
    <Dialog title={t(out ? 'alarm.take_out' : 'alarm.shelve')} onClose={onClose}>
      <p>{t(out ? 'alarm.out_about' : 'alarm.shelve_about')}</p>
      <Form onSubmit={send} submit={t(out ? 'alarm.take_out' : 'alarm.shelve')} disabled={!note.trim()}>
        <Input label={t('reason')} value={note} onInput={setNote} maxLength={1000} required focus />
        <Select
          label={t('alarm.for')}
          value={secs}
          onInput={setSecs}
          options={out ? [{ value: '', text: t('alarm.no_end') }, ...options, { value: '604800', text: span(604_800_000) }] : options}
        />
        {!out && <Checkbox label={t('alarm.until_clear')} value={once} onInput={setOnce} />}
      </Form>
    </Dialog>
  );
}

function FindHazard({ alarm, onClose }: { alarm: Alarm; onClose: () => void }): JSX.Element {
  const [what, setWhat] = useState('');
  const send = async (): Promise<void> => {
    await post('/api/v1/hazards', { ...acting(), what: what.trim(), alarm: alarm.id, ...(alarm.place ? { place: alarm.place } : {}) });
    tell(t('hazard.found'));
    onClose();
  };
  return (
    <Dialog title={t('hazard.find')} onClose={onClose}>
      <Form onSubmit={send} submit={t('hazard.find')} disabled={!what.trim()}>
        <Input label={t('hazard.what')} value={what} onInput={setWhat} maxLength={200} required focus />
      </Form>
    </Dialog>
  );
}
