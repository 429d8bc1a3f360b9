// The school on its plans: alarms, devices that do not answer, counts, and areas that can be armed.
import type { JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { post } from '../api';
import { Mark, Plan } from '../campus/plan';
import { spotOf } from '../campus/spot';
import { useCell } from '../cell';
import { onDesk } from '../desk/order';
import { live, site } from '../live';
import type { Alarm, Area, DeviceOnMap, PlaceOnMap, Site } from '../model';
import { Link, setQuery, usePlace } from '../router';
import { acting, may } from '../session';
import { said, t, word } from '../texts';
import { Button } from '../ui/button';
import { Dialog } from '../ui/dialog';
import { Form, Checkbox, Input } from '../ui/form';
import { Icon, iconOf } from '../ui/icon';
import { moment, span, useNow } from '../ui/time';
import '../desk/desk.css';
import '../campus/campus.css';

export default function SiteMap(): JSX.Element {
  const school = useCell(site);
  const { query } = usePlace();
  const alarms = useCell(live, (now) => now.alarms);
  const open = useMemo(() => onDesk(alarms.values()), [alarms]);
  if (!school) return <p class="empty">{t('loading')}</p>;
  const plans = school.places.filter((place) => place.plan !== null);
  const shown = plans.find(({ id }) => id === query.get('plan')) ?? plans[0];
  return (
    <>
      <h1>{t('nav.map')}</h1>
      {plans.length > 1 && (
        <div class="row" role="group" aria-label={t('map.plans')}>
          {plans.map((place) => {
            const count = open.filter((alarm) => spotOf(school, alarm.device, alarm.place)?.place.id === place.id).length;
            return (
              <Button key={place.id} pressed={place.id === shown?.id} icon={count ? 'critical' : undefined} onClick={() => setQuery({ plan: place.id })}>
                {said(place.path)}
                {count > 0 && ` · ${t('map.alarms', { n: count })}`}
              </Button>
            );
          })}
        </div>
      )}
      <div class="map">
        {shown?.plan ? <Ground school={school} place={shown} plan={shown.plan} alarms={open} /> : <p class="empty">{t('map.no_plan')}</p>}
        <div>
          <Areas />
          <Places school={school} alarms={open} />
        </div>
      </div>
    </>
  );
}

interface GroundProps {
  school: Site;
  place: PlaceOnMap;
  plan: string;
  alarms: readonly Alarm[];
}

function Ground({ school, place, plan, alarms }: GroundProps): JSX.Element {
  const here = alarms.flatMap((alarm) => {
    const spot = spotOf(school, alarm.device, alarm.place);
    return spot && spot.place.id === place.id && spot.x !== null && spot.y !== null ? [{ alarm, x: spot.x, y: spot.y }] : [];
  });
  const devices = school.devices.filter((device) => device.x !== null && spotOf(school, device.id, null)?.place.id === place.id);
  const counted = school.places.filter((one) => one.counts && one.x !== null && spotOf(school, null, one.id)?.place.id === place.id);
  const below = school.places.filter((one) => one.plan !== null && one.x !== null && one.id !== place.id && one.parent !== null && spotOf({ ...school, devices: [] }, null, one.parent)?.place.id === place.id);
  const zones = useCell(live, (now) => now.zones);
  return (
    <Plan src={plan} name={said(place.path)}>
      {counted.map((one) => {
        const zone = zones.find((found) => found.place === one.id);
        return (
          zone && (
            <Mark key={one.id} x={one.x ?? 0} y={one.y ?? 0} class="count">
              <Icon name="people" size={16} /> {zone.persons.known + zone.persons.anonymous}
            </Mark>
          )
        );
      })}
      {below.map((one) => (
        <Mark key={one.id} x={one.x ?? 0} y={one.y ?? 0} class="below">
          <Link to={`/map?plan=${encodeURIComponent(one.id)}`}>{one.name}</Link>
        </Mark>
      ))}
      {devices.map((device) => (
        <DeviceMark key={device.id} device={device} />
      ))}
      {here.map(({ alarm, x, y }) => (
        <Mark key={alarm.id} x={x} y={y} class={`here ${alarm.priority}`}>
          <Link to={`/alarms/${alarm.id}`} label={`${word('priority', alarm.priority)} ${said(alarm.what)}`}>
            <Icon name={iconOf(alarm.class)} size={22} />
          </Link>
        </Mark>
      ))}
    </Plan>
  );
}

function DeviceMark({ device }: { device: DeviceOnMap }): JSX.Element {
  const state = useCell(live, (now) => now.devices.get(device.id)?.state ?? 'unknown');
  const label = `${device.name}: ${word('device', state)}`;
  return (
    <Mark x={device.x ?? 0} y={device.y ?? 0} class={`device ${state}`}>
      <span title={label}>
        <Icon name={state === 'up' ? 'check' : state === 'down' ? 'cross' : 'clock'} size={14} />
        <span class="unseen">{label}</span>
      </span>
    </Mark>
  );
}

function Places({ school, alarms }: { school: Site; alarms: readonly Alarm[] }): JSX.Element {
  const devices = useCell(live, (now) => now.devices);
  return (
    <section class="card">
      <h2>{t('map.places')}</h2>
      <ul class="places">
        {school.places.map((place) => {
          const mine = school.devices.filter((device) => device.place === place.id);
          const down = mine.filter((device) => devices.get(device.id)?.state === 'down').length;
          const count = alarms.filter((alarm) => alarm.place === place.id).length;
          return (
            <li key={place.id}>
              <span>{said(place.path)}</span>
              {mine.length > 0 && <small>{t('map.devices', { n: mine.length })}</small>}
              {down > 0 && (
                <span class="badge warn">
                  <Icon name="cross" size={14} />
                  <span>{t('map.down', { n: down })}</span>
                </span>
              )}
              {count > 0 && (
                <span class="badge bad">
                  <Icon name="critical" size={14} />
                  <span>{t('map.alarms', { n: count })}</span>
                </span>
              )}
            </li>
          );
        })}
      </ul>
    </section>
  );
}

function Areas(): JSX.Element | null {
  const areas = useCell(live, (now) => now.areas);
  const [asking, setAsking] = useState<{ area: Area; order: 'arm' | 'arm-partial' | 'disarm' } | null>(null);
  const now = useNow(5000);
  if (!areas.length) return null;
  return (
    <section class="card">
      <h2>{t('map.areas')}</h2>
      {areas.map((area) => (
        <div key={area.id} class="area">
          <h3>
            {area.name}{' '}
            <span class={area.mode === 'disarmed' ? 'badge' : 'badge good'}>
              <Icon name={area.mode === 'disarmed' ? 'exit' : 'lock'} size={14} />
              <span>{word('mode', area.mode)}</span>
            </span>
          </h3>
          {area.since > 0 && (
            <small>
              {area.by === 'gateway' ? t('alarm.gateway') : area.by} · {moment(area.since)} · {t('desk.ago', { span: span(now - area.since) })} {area.note}
            </small>
          )}
          {(area.leaving || area.entering) && <p>{t(area.leaving ? 'map.leaving' : 'map.entering')}</p>}
          {area.open.length > 0 && <p>{t('map.open', { what: area.open.map(({ subject }) => subject).join('、') })}</p>}
          {area.bypassed.length > 0 && <p>{t('map.bypassed', { what: area.bypassed.map(({ subject }) => subject).join('、') })}</p>}
          {may('arm') && (
            <div class="row">
              {(['arm', 'arm-partial', 'disarm'] as const)
                .filter((order) => order !== { armed: 'arm', partial: 'arm-partial', disarmed: 'disarm' }[area.mode])
                .map((order) => (
                  <Button key={order} onClick={() => setAsking({ area, order })}>
                    {word('arm', order)}
                  </Button>
                ))}
            </div>
          )}
        </div>
      ))}
      {asking && <Arm {...asking} onClose={() => setAsking(null)} />}
    </section>
  );
}

function Arm({ area, order, onClose }: { area: Area; order: string; onClose: () => void }): JSX.Element {
  const [note, setNote] = useState('');
  const [force, setForce] = useState(false);
  const send = async (): Promise<void> => {
    const body = { ...acting(), note: note.trim(), ...(force ? { force } : {}) };
    await post(`/api/v1/areas/${encodeURIComponent(area.id)}/${order}`, body);
    onClose();
  };
  return (
    <Dialog title={`${word('arm', order)} · ${area.name}`} onClose={onClose}>
      <Form onSubmit={send} submit={word('arm', order)}>
        <Input label={t('note')} value={note} onInput={setNote} maxLength={200} />
        {order !== 'disarm' && area.open.length > 0 && <Checkbox label={t('map.force')} value={force} onInput={setForce} />}
      </Form>
    </Dialog>
  );
}
