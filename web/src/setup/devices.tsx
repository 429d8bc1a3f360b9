// The devices of the first run: looked for on a line or in a network, or written by hand, with the buses they hang on.
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { asked, SearchFields, USUAL, type Findings, type Found } from '../pages/discovery';
import { JobProgress, useJob } from '../pages/job';
import { t, word } from '../texts';
import { Button } from '../ui/button';
import { Checkbox, Form, Input, Select } from '../ui/form';
import { BUS_KEYS, BUS_NEEDS, BUS_WAYS, DEVICE_KEYS, newBus, newDevice, places, take, taken, type BusDraft, type BusKey, type BusWay, type DeviceDraft } from './draft';
import { Told, type StepProps } from './told';

/** A line that takes several settings lets a device answer at each: it is one device. */
function once(found: readonly Found[]): Found[] {
  return found.filter((one, n) => found.findIndex(({ bus, address }) => bus === one.bus && address === one.address) === n);
}

export function FindDevices({ draft, change }: Pick<StepProps, 'draft' | 'change'>): JSX.Element {
  const work = useJob<Findings>('discovery');
  const [search, setSearch] = useState(USUAL);
  const found = once(work.job?.result?.devices ?? []);
  const toggle = (one: Found): void => {
    const at = taken(draft, one);
    change(at < 0 ? take(draft, one) : { devices: draft.devices.filter((_, n) => n !== at) });
  };
  return (
    <>
      <p>{t('setup.devices_about')}</p>
      <Form onSubmit={() => work.begin(asked(search))} submit={t('discovery.begin')} kind="plain" disabled={work.job?.state === 'running'}>
        <SearchFields search={search} change={setSearch} />
      </Form>
      <JobProgress work={work} />
      {work.job?.result && <p role="status">{t('discovery.found', { n: found.length })}</p>}
      {found.map((one) => {
        const likely = one.likely?.[0];
        return (
          <Checkbox
            key={`${one.bus} ${one.address}`}
            label={`${one.bus} / ${one.address} ${(one.identity ?? []).join(' ')}`}
            hint={likely ? t('setup.looks_like', { percent: likely.percent, profile: likely.profile }) : t('discovery.unknown')}
            value={taken(draft, one) >= 0}
            onInput={() => toggle(one)}
          />
        );
      })}
    </>
  );
}

export function DevicesStep(props: StepProps): JSX.Element {
  const { draft, change } = props;
  const [way, setWay] = useState<BusWay>('modbus-tcp');
  return (
    <>
      <h3>{t('setup.buses')}</h3>
      {draft.buses.map((bus, at) => (
        <BusCard key={bus.id} bus={bus} at={at} {...props} />
      ))}
      <div class="row filters">
        <Select label={t('setup.bus_way')} value={way} onInput={(picked) => setWay(picked as BusWay)} options={BUS_WAYS.map((value) => ({ value, text: word('bus_way', value) }))} />
        <Button onClick={() => change({ buses: [...draft.buses, newBus(draft, way)] })}>{t('setup.add_bus')}</Button>
      </div>
      <h3>{word('setup_step', 'devices')}</h3>
      {draft.devices.map((device, at) => (
        <DeviceCard key={at} device={device} at={at} {...props} />
      ))}
      <Button onClick={() => change({ devices: [...draft.devices, newDevice(draft)] })} disabled={draft.buses.length === 0}>
        {t('setup.add_device')}
      </Button>
    </>
  );
}

function BusCard({ bus, at, draft, change, wrong, rest }: StepProps & { bus: BusDraft; at: number }): JSX.Element {
  const name = `buses[${at}]`;
  const keys = BUS_KEYS[bus.way];
  const set = (key: BusKey, value: string): void =>
    change({ buses: draft.buses.map((one, n) => (n === at ? { ...one, values: { ...one.values, [key]: value } } : one)) });
  const used = draft.devices.some((device) => device.bus === bus.id);
  return (
    <fieldset class="card picked">
      <legend>
        {t('setup.bus', { id: bus.id })} · {word('bus_way', bus.way)}
      </legend>
      {keys.map((key) =>
        key === 'parity' ? (
          <Select
            key={key}
            label={word('bus_key', key)}
            value={bus.values.parity ?? 'none'}
            onInput={(value) => set(key, value)}
            error={wrong(`${name}.${key}`)}
            options={['none', 'even', 'odd'].map((value) => ({ value, text: word('parity', value) }))}
          />
        ) : (
          <Input
            key={key}
            label={word('bus_key', key)}
            type={key === 'password' ? 'password' : 'text'}
            value={bus.values[key] ?? ''}
            onInput={(value) => set(key, value)}
            error={wrong(`${name}.${key}`)}
            autocomplete={key === 'password' ? 'new-password' : 'off'}
            required={BUS_NEEDS.includes(key)}
          />
        ),
      )}
      <Told problems={rest(name, keys)} />
      {!used && <Button onClick={() => change({ buses: draft.buses.filter((_, n) => n !== at) })}>{t('setup.remove')}</Button>}
    </fieldset>
  );
}

function DeviceCard({ device, at, draft, change, wrong, rest }: StepProps & { device: DeviceDraft; at: number }): JSX.Element {
  const name = `devices[${at}]`;
  const set = (part: Partial<DeviceDraft>): void => change({ devices: draft.devices.map((one, n) => (n === at ? { ...one, ...part } : one)) });
  return (
    <fieldset class="card picked">
      <legend>{t('setup.device', { id: device.id })}</legend>
      <Input label={t('setup.device_id')} hint={t('setup.device_id_hint')} value={device.id} onInput={(id) => set({ id })} error={wrong(`${name}.id`)} autocomplete="off" required />
      <Input label={t('devices.name')} value={device.name} onInput={(text) => set({ name: text })} error={wrong(`${name}.name`)} maxLength={100} autocomplete="off" />
      <Input label={t('devices.profile')} hint={t('setup.profile_hint')} value={device.profile} onInput={(profile) => set({ profile })} error={wrong(`${name}.profile`)} autocomplete="off" required />
      <Select label={t('devices.bus')} value={device.bus} onInput={(bus) => set({ bus })} error={wrong(`${name}.bus`)} options={draft.buses.map(({ id, way }) => ({ value: id, text: `${id} · ${word('bus_way', way)}` }))} />
      <Input label={t('setup.address')} hint={t('setup.address_hint')} value={device.address} onInput={(address) => set({ address })} error={wrong(`${name}.address`)} autocomplete="off" required />
      <Select
        label={t('devices.place')}
        value={device.place}
        onInput={(place) => set({ place })}
        error={wrong(`${name}.place`)}
        options={places(draft).map(({ id, name: text }) => ({ value: id, text: text || t('energy.school') }))}
      />
      <div class="row filters">
        <Input label={t('setup.ct')} hint={t('setup.ratio_hint')} value={device.ct} onInput={(ct) => set({ ct })} error={wrong(`${name}.ct`)} autocomplete="off" />
        <Input label={t('setup.pt')} value={device.pt} onInput={(pt) => set({ pt })} error={wrong(`${name}.pt`)} autocomplete="off" />
      </div>
      <Told problems={rest(name, DEVICE_KEYS)} />
      <Button onClick={() => change({ devices: draft.devices.filter((_, n) => n !== at) })}>{t('setup.remove')}</Button>
    </fieldset>
  );
}
