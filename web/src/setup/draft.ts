// What the first run is to make of a fresh gateway, and what is wrong with it.
import type { Text } from '../texts';
import type { Found } from '../pages/discovery';

/** What a bus is to whoever wires it. */
export const BUS_WAYS = ['modbus-tcp', 'converter', 'serial', 'mqtt', 'onvif'] as const;
export type BusWay = (typeof BUS_WAYS)[number];

/** Keys of a bus that are asked for. */
export type BusKey = 'host' | 'port' | 'path' | 'baud' | 'parity' | 'username' | 'password';
export const BUS_KEYS: Record<BusWay, readonly BusKey[]> = {
  'modbus-tcp': ['host', 'port'],
  converter: ['host', 'port', 'baud'],
  serial: ['path', 'baud', 'parity'],
  mqtt: ['host', 'port', 'username', 'password'],
  onvif: ['username', 'password'],
};
/** Without these there is no such bus. */
export const BUS_NEEDS: readonly BusKey[] = ['host', 'path'];
const USUAL: Record<BusWay, Partial<Record<BusKey, string>>> = {
  'modbus-tcp': { port: '502' },
  converter: { baud: '9600' },
  serial: { baud: '9600', parity: 'none' },
  mqtt: { port: '1883' },
  onvif: {},
};

export interface BusDraft {
  id: string;
  way: BusWay;
  /** As it was typed. */
  values: Partial<Record<BusKey, string>>;
}

export interface DeviceDraft {
  id: string;
  name: string;
  profile: string;
  bus: string;
  address: string;
  place: string;
  /** Ratios of transformers; empty where the profile wants none. */
  ct: string;
  pt: string;
}
/** Keys of a device that are asked for, each in a field of its own. */
export const DEVICE_KEYS = ['id', 'name', 'profile', 'bus', 'address', 'place', 'ct', 'pt'] as const;

export interface Destination {
  kind: string;
  base_url: string;
  app_id: string;
  secret: string;
}
export const DESTINATION_KEYS = ['kind', 'base_url', 'app_id', 'secret'] as const;

export type Limit = 'above' | 'below';
export const LIMITS: readonly Limit[] = ['above', 'below'];

/** A rule that fits the devices, as the gateway gives it. */
export interface Fitting {
  id: string;
  about: Text;
  rule: Record<string, unknown>;
}
export interface RuleDraft extends Fitting {
  on: boolean;
  /** As they were typed, those that the rule has. */
  limits: Partial<Record<Limit, string>>;
}

export interface Draft {
  site: { name: string; gateway: string; school_code: string };
  /** Names of buildings, one in a line. */
  buildings: string;
  buses: readonly BusDraft[];
  devices: readonly DeviceDraft[];
  rules: readonly RuleDraft[];
  /** Null: nothing is uploaded for now. */
  destination: Destination | null;
}

export const EMPTY: Draft = {
  site: { name: '', gateway: 'gw-1', school_code: '' },
  buildings: '',
  buses: [],
  devices: [],
  rules: [],
  destination: null,
};

export interface Wrong extends Text {
  /** Such as `site.name` or `devices[0].place`. */
  field: string;
}

/** The whole campus, and the buildings in it. */
export const CAMPUS = 'campus';

export interface PlaceDraft {
  id: string;
  kind: 'campus' | 'building';
  name: string;
  parent?: string;
}

export function places(draft: Draft): PlaceDraft[] {
  const names = draft.buildings.split('\n').map((name) => name.trim()).filter(Boolean);
  const buildings = [...new Set(names)].map((name, n): PlaceDraft => ({ id: `building-${n + 1}`, kind: 'building', name, parent: CAMPUS }));
  return [{ id: CAMPUS, kind: 'campus', name: draft.site.name.trim() }, ...buildings];
}

/** An id that nobody has, also after some were taken away. */
function free(stem: string, taken: readonly { id: string }[]): string {
  const ids = new Set(taken.map(({ id }) => id));
  let n = 1;
  while (ids.has(`${stem}-${n}`)) n += 1;
  return `${stem}-${n}`;
}

export function newBus(draft: Draft, way: BusWay): BusDraft {
  return { id: free('bus', draft.buses), way, values: USUAL[way] };
}

export function newDevice(draft: Draft): DeviceDraft {
  return { id: free('device', draft.devices), name: '', profile: '', bus: draft.buses[0]?.id ?? '', address: '', place: CAMPUS, ct: '', pt: '' };
}

/** The bus on which a device was found. */
function busOf(found: Found): Omit<BusDraft, 'id'> {
  const { bus, line } = found;
  const baud = String(line?.baud ?? USUAL.serial.baud);
  if (bus.startsWith('/')) return { way: 'serial', values: { path: bus, baud, parity: line?.parity ?? 'none' } };
  const colon = bus.lastIndexOf(':');
  const values = { host: bus.slice(0, colon), port: bus.slice(colon + 1) };
  return line ? { way: 'converter', values: { ...values, baud } } : { way: 'modbus-tcp', values };
}

function sameLine(one: Omit<BusDraft, 'id'>, other: Omit<BusDraft, 'id'>): boolean {
  return one.way === other.way && (['host', 'port', 'path'] as const).every((key) => one.values[key] === other.values[key]);
}

/** Which of the devices is the one that was found; -1 when it was not taken over. */
export function taken(draft: Draft, found: Found): number {
  const bus = draft.buses.find((one) => sameLine(one, busOf(found)));
  return bus ? draft.devices.findIndex((device) => device.bus === bus.id && device.address === found.address) : -1;
}

/** Takes over what was found, with its bus and what is most likely filled in. */
export function take(draft: Draft, found: Found): Pick<Draft, 'buses' | 'devices'> {
  const wanted = busOf(found);
  const there = draft.buses.find((one) => sameLine(one, wanted));
  const bus = there ?? { id: free('bus', draft.buses), ...wanted };
  const device = { ...newDevice(draft), profile: found.likely?.[0]?.profile ?? '', bus: bus.id, address: found.address };
  return { buses: there ? draft.buses : [...draft.buses, bus], devices: [...draft.devices, device] };
}

/** What fits now, with what was chosen before. */
export function merged(rows: readonly Fitting[], before: readonly RuleDraft[]): RuleDraft[] {
  return rows.map((row) => {
    const old = before.find(({ id }) => id === row.id);
    const own: RuleDraft['limits'] = {};
    for (const limit of LIMITS) if (row.rule[limit] !== undefined) own[limit] = String(row.rule[limit]);
    return { ...row, on: old?.on ?? false, limits: old?.limits ?? own };
  });
}

export function chosen(draft: Draft): RuleDraft[] {
  return draft.rules.filter(({ on }) => on);
}

/** A number where it is one; what else was typed the gateway judges. Nothing for what was left empty. */
function number(text: string): number | string | null {
  const typed = text.trim();
  if (!typed) return null;
  return /^-?\d+(\.\d+)?$/.test(typed) ? Number(typed) : typed;
}

function busTable({ id, way, values }: BusDraft): Record<string, unknown> {
  const table: Record<string, unknown> = { id, kind: way === 'converter' ? 'serial' : way };
  for (const key of BUS_KEYS[way]) {
    const typed = values[key] ?? '';
    table[key] = key === 'port' || key === 'baud' ? number(typed) : key === 'password' ? typed || null : typed.trim() || null;
  }
  return table;
}

function deviceTable(device: DeviceDraft, buses: readonly BusDraft[]): Record<string, unknown> {
  const way = buses.find(({ id }) => id === device.bus)?.way;
  const address = device.address.trim();
  // Modbus unit ids are numbers; the digits of a meter's plate are a text.
  const unit = way !== 'mqtt' && way !== 'onvif' && address.length <= 3;
  const name = device.name.trim();
  return {
    ...device,
    id: device.id.trim(),
    name: name || null,
    profile: device.profile.trim(),
    address: unit ? number(address) : address,
    ct: number(device.ct),
    pt: number(device.pt),
  };
}

function ruleTable({ rule, limits }: RuleDraft): Record<string, unknown> {
  const table = { ...rule };
  for (const limit of LIMITS) if (limits[limit] !== undefined) table[limit] = number(limits[limit] ?? '');
  return table;
}

/** As the gateway takes it: tables with the keys of the configuration. */
export function payload(draft: Draft): Record<string, unknown> {
  const { name, gateway, school_code } = draft.site;
  const { destination } = draft;
  return {
    site: { name: name.trim(), gateway: gateway.trim(), school_code: school_code.trim() || null },
    places: places(draft),
    buses: draft.buses.map(busTable),
    devices: draft.devices.map((device) => deviceTable(device, draft.buses)),
    rules: chosen(draft).map(ruleTable),
    destination: destination && { id: 'platform', ...destination, base_url: destination.base_url.trim(), app_id: destination.app_id.trim() },
  };
}

export const STEPS = ['site', 'devices', 'rules', 'destination', 'finish'] as const;
export type Step = (typeof STEPS)[number];

/** In which step a field is. */
export function stepOf(field: string): Step {
  const table = /^\w*/.exec(field)?.[0];
  if (table === 'places') return 'site';
  if (table === 'buses') return 'devices';
  return STEPS.find((step) => step === table) ?? 'finish';
}

export function wrongIn(step: Step, problems: readonly Wrong[]): Wrong[] {
  return problems.filter(({ field }) => stepOf(field) === step);
}

/** What is wrong with a table and has no field of its own among `shown`. */
export function besides(table: string, shown: readonly string[], problems: readonly Wrong[]): Wrong[] {
  return problems.filter(({ field }) => field === table || (field.startsWith(`${table}.`) && !shown.includes(field.slice(table.length + 1))));
}
