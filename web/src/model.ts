// What the API shows, as far as these pages use it; times in ms since 1970 UTC.
import type { Text } from './texts/text';

export type Priority = 'critical' | 'high' | 'medium' | 'low';
export type AlarmClass = 'help' | 'fire' | 'intrusion' | 'security' | 'energy' | 'environment' | 'equipment';
export type Truth = 'real' | 'false' | 'drill' | 'nuisance';

export interface Handled {
  by: string;
  at: number;
  note: string;
}

export interface Contact {
  name: string;
  phone: string;
}

export interface Alarm {
  id: number;
  key: { rule: string; subject: string };
  class: AlarmClass;
  priority: Priority;
  device: string | null;
  place: string | null;
  what: Text;
  raised_at: number;
  active: boolean;
  occurrences: number;
  cleared_at: number | null;
  acknowledged: Handled | null;
  latched: boolean;
  reset: Handled | null;
  closed_at: number | null;
  shelved?: Handled & { until: number; once: boolean };
  suppressed?: { by: string; at: number };
  out_of_service?: Handled & { until: number | null };
  inhibited_by?: number;
  chattering?: { since: number; count: number };
  first?: boolean;
  confirmed?: Handled & { truth: Truth };
  /** Who last called for more people, and when everybody on the ladder had it. */
  support?: Handled & { told_at?: number };
  drill?: boolean;
  state: string;
  silent: boolean;
  announced: boolean;
  place_path?: Text | null;
  steps?: string[];
  contacts?: Contact[];
  /** Only of one alarm asked for by its number. */
  history?: Change[];
  explains?: Alarm[];
  seq?: number;
}

export interface Change {
  kind: string;
  at: number;
  actor: string;
  note: string;
}

export interface Picture {
  picture: string;
  device: string;
  at: number;
  bytes: number;
}

export interface Drill {
  number: number;
  begun: Handled;
  until: number;
  alarms: number;
  ended?: Handled;
}

export interface Area {
  id: string;
  name: string;
  mode: 'armed' | 'partial' | 'disarmed';
  by: string;
  since: number;
  note: string;
  leaving: boolean;
  entering: boolean;
  open: { rule: string; subject: string }[];
  bypassed: { rule: string; subject: string }[];
}

export interface Output {
  kind: 'control' | 'channel';
  id: string;
  name: string | Text;
  state: string;
  known: boolean;
  failing: boolean;
  detail: string;
  detail_zh: string;
}

export interface Response {
  id: string;
  kind: 'hold' | 'secure' | 'lockdown' | 'evacuate' | 'shelter';
  name: string;
  name_zh: string;
  place: string | null;
  silent: boolean;
  stage: string;
  stage_zh: string;
  stage_en: string;
  drill: boolean;
  by: string | null;
  at: number | null;
  prepared_by: string | null;
  outputs: Output[];
  /** Only in the answer to the first step. */
  code?: string;
  code_secs?: number;
}

export interface Zone {
  place: string;
  path: Text;
  persons: { known: number; anonymous: number };
  vehicles: { known: number; anonymous: number };
  roles: Record<string, number>;
  not_seen_leaving: number;
}

export interface Missing {
  listed: number;
  safe: number;
  left: number;
  missing: number;
}

export interface Muster {
  since: number;
  fire: boolean;
  called: 'drill' | 'evacuation' | null;
  sum: Missing;
  rows: (Missing & { place: string; group: string | null })[];
  anonymous: [string, number][];
  anonymous_safe: number;
  unlisted: number;
  persons: [string, string][] | null;
}

export interface PlaceOnMap {
  id: string;
  kind: 'campus' | 'building' | 'floor' | 'room';
  name: string;
  parent: string | null;
  path: Text;
  plan: string | null;
  x: number | null;
  y: number | null;
  counts: boolean;
  assembly: boolean;
}

export interface DeviceOnMap {
  id: string;
  name: string;
  class: string;
  place: string;
  x: number | null;
  y: number | null;
}

export interface Site {
  name: string;
  gateway: string;
  timezone: string;
  places: PlaceOnMap[];
  devices: DeviceOnMap[];
  contacts: Contact[];
}

export interface DeviceState {
  id: string;
  state: 'up' | 'down' | 'unknown';
  since: number | null;
  fault: string | null;
  advice: Text | null;
}
