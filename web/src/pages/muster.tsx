// Who is where, in figures; and in an evacuation who is safe and who is missing, by place and group.
import type { JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { post } from '../api';
import { useCell } from '../cell';
import { live, site } from '../live';
import type { Muster, Zone } from '../model';
import { acting, may } from '../session';
import { lang, said, t, word } from '../texts';
import { Button, HoldButton } from '../ui/button';
import { Icon } from '../ui/icon';
import { Table, type Column } from '../ui/table';
import { tell } from '../ui/toast';
import { moment, span, useNow } from '../ui/time';
import '../campus/campus.css';

function nameOf(place: string): string {
  const found = site.get()?.places.find(({ id }) => id === place);
  return found ? said(found.path) : place;
}

export default function MusterPage(): JSX.Element {
  const ready = useCell(live, (now) => now.ready);
  const muster = useCell(live, (now) => now.muster);
  if (!ready) return <p class="empty">{t('loading')}</p>;
  return (
    <>
      <h1>{t('nav.muster')}</h1>
      {muster ? <Running muster={muster} /> : <Begin />}
      <Counts />
    </>
  );
}

function Begin(): JSX.Element | null {
  const start = (cause: string) => async (): Promise<void> => {
    await post('/api/v1/muster/start', { ...acting(), cause });
  };
  return (
    <section class="card">
      <h2>{t('muster.none')}</h2>
      <p>{t('muster.about')}</p>
      {may('respond') && (
        <div class="row">
          <HoldButton icon="people" onClick={start('evacuation')}>
            {t('muster.start')}
          </HoldButton>
          <Button big icon="drill" onClick={start('drill')}>
            {t('muster.start_drill')}
          </Button>
        </div>
      )}
    </section>
  );
}

type Row = Muster['rows'][number];

function Running({ muster }: { muster: Muster }): JSX.Element {
  const now = useNow();
  const words = useCell(lang);
  const school = useCell(site);
  const respond = may('respond');
  const { sum } = muster;
  const safe = async (group: string): Promise<void> => {
    await post('/api/v1/muster/safe', { ...acting(), group });
    tell(t('muster.group_safe', { group }));
  };
  const close = async (): Promise<void> => {
    await post('/api/v1/muster/close', acting());
  };
  const [asked, setAsked] = useState(false);
  const columns = useMemo<Column<Row>[]>(
    () => [
      { key: 'missing', title: t('muster.missing'), cell: (r) => <strong>{r.missing}</strong>, by: (r) => r.missing, figure: true },
      { key: 'group', title: t('muster.group'), cell: (r) => r.group ?? t('muster.no_group'), by: (r) => r.group },
      { key: 'place', title: t('muster.place'), cell: (r) => nameOf(r.place), by: (r) => nameOf(r.place) },
      { key: 'listed', title: t('muster.listed'), cell: (r) => r.listed, by: (r) => r.listed, figure: true },
      { key: 'safe', title: t('muster.safe'), cell: (r) => r.safe, by: (r) => r.safe, figure: true },
      { key: 'left', title: t('muster.left'), cell: (r) => r.left, by: (r) => r.left, figure: true },
      {
        key: 'order',
        title: t('muster.mark'),
        cell: (r) => {
          const { group } = r;
          return respond && group !== null && r.missing > 0 ? (
            <Button icon="check" onClick={() => safe(group)}>
              {t('muster.all_safe')}
            </Button>
          ) : (
            '—'
          );
        },
      },
    ],
    [words, school, respond],
  );
  const cause = muster.fire ? t('muster.by_fire') : word('muster.cause', muster.called ?? '');
  return (
    <section aria-live="polite">
      <p class={sum.missing ? 'notice' : 'notice good'}>
        <Icon name={sum.missing ? 'critical' : 'check'} />
        <span>
          <strong>{cause}</strong> · {t('muster.since', { at: moment(muster.since), span: span(now - muster.since) })}
        </span>
      </p>
      <div class="cards figures">
        {(['missing', 'safe', 'left', 'listed'] as const).map((key) => (
          <div key={key} class={`card ${key === 'missing' && sum.missing ? 'bad' : ''}`}>
            <div>{word('muster', key)}</div>
            <div class="figure-big">{sum[key]}</div>
          </div>
        ))}
      </div>
      <Table
        caption={t('muster.list')}
        columns={columns}
        rows={muster.rows}
        id={(r) => `${r.place} ${r.group ?? ''}`}
        sorted="-missing"
        rowClass={(r) => (r.missing ? 'missing' : undefined)}
        csv
      />
      <ul>
        {muster.anonymous.map(([place, count]) => (
          <li key={place}>{t('muster.anonymous', { place: nameOf(place), n: count })}</li>
        ))}
        {muster.anonymous_safe > 0 && <li>{t('muster.anonymous_safe', { n: muster.anonymous_safe })}</li>}
        {muster.unlisted > 0 && <li>{t('muster.unlisted', { n: muster.unlisted })}</li>}
      </ul>
      {respond && (
        <div class="row">
          {asked ? (
            <>
              <Button kind="danger" onClick={close}>
                {t('muster.close_sure', { n: sum.missing })}
              </Button>
              <Button onClick={() => setAsked(false)}>{t('cancel')}</Button>
            </>
          ) : (
            <Button onClick={() => setAsked(true)}>{t('muster.close')}</Button>
          )}
        </div>
      )}
    </section>
  );
}

function Counts(): JSX.Element {
  const zones = useCell(live, (now) => now.zones);
  const words = useCell(lang);
  const columns = useMemo<Column<Zone>[]>(
    () => [
      { key: 'zone', title: t('zone.name'), cell: (z) => said(z.path), by: (z) => said(z.path) },
      {
        key: 'persons',
        title: t('zone.persons'),
        cell: (z) => <strong>{z.persons.known + z.persons.anonymous}</strong>,
        by: (z) => z.persons.known + z.persons.anonymous,
        figure: true,
      },
      {
        key: 'roles',
        title: t('zone.roles'),
        cell: (z) => Object.keys(z.roles).map((role) => `${word('person', role)} ${z.roles[role] ?? 0}`).join('，') || '—',
        by: (z) => Object.keys(z.roles).map((role) => `${word('person', role)} ${z.roles[role] ?? 0}`).join(' '),
      },
      { key: 'anonymous', title: t('zone.anonymous'), cell: (z) => z.persons.anonymous, by: (z) => z.persons.anonymous, figure: true },
      {
        key: 'vehicles',
        title: t('zone.vehicles'),
        cell: (z) => z.vehicles.known + z.vehicles.anonymous,
        by: (z) => z.vehicles.known + z.vehicles.anonymous,
        figure: true,
      },
      { key: 'unseen', title: t('zone.not_seen_leaving'), cell: (z) => z.not_seen_leaving, by: (z) => z.not_seen_leaving, figure: true },
    ],
    [words],
  );
  return (
    <>
      <h2>{t('zone.title')}</h2>
      <Table caption={t('zone.title')} columns={columns} rows={zones} id={(z) => z.place} empty={t('zone.none')} csv />
    </>
  );
}
