// What the first run is to make of a fresh gateway, and what is wrong with it.
import type { Text } from '../texts';
import type { Found } from '../pages/discovery';

export interface Destination {
  kind: 'shield' | 'eduyun';
  base_url: string;
  app_id: string;
  secret: string;
}

/** A device that is taken over from what was found. */
export interface Picked {
  id: string;
  name: string;
  profile: string;
  bus: string;
  address: string;
  place: string;
}

/** The first rules, by what they need: limits that hold for any school. */
export const FIRST_RULES = ['silent', 'voltage', 'night', 'leak'] as const;
export type FirstRule = (typeof FIRST_RULES)[number];

export interface Draft {
  site: { name: string; gateway: string; school_code: string };
  /** Names of buildings, one in a line. */
  buildings: string;
  devices: readonly Picked[];
  rules: readonly FirstRule[];
  /** Null: nothing is uploaded for now. */
  destination: Destination | null;
}

export const EMPTY: Draft = {
  site: { name: '', gateway: 'gw-1', school_code: '' },
  buildings: '',
  devices: [],
  rules: ['silent'],
  destination: null,
};

export interface Wrong extends Text {
  /** Such as `site.name` or `devices.0.place`. */
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

/** A device as it was found, with what is most likely filled in. */
export function picked(found: Found, n: number, name: string): Picked {
  const profile = found.likely?.[0]?.profile ?? '';
  return { id: `device-${n}`, name, profile, bus: found.bus, address: found.address, place: CAMPUS };
}

/** As the gateway takes it. */
export function payload(draft: Draft): Record<string, unknown> {
  const { name, gateway, school_code } = draft.site;
  const destination = draft.destination && { ...draft.destination, base_url: draft.destination.base_url.trim(), app_id: draft.destination.app_id.trim() };
  return {
    site: { name: name.trim(), gateway: gateway.trim(), ...(school_code.trim() ? { school_code: school_code.trim() } : {}), places: places(draft) },
    devices: draft.devices,
    rules: draft.rules,
    destination,
  };
}

export const STEPS = ['site', 'devices', 'rules', 'destination', 'finish'] as const;
export type Step = (typeof STEPS)[number];

/** In which step a field is. */
export function stepOf(field: string): Step {
  const first = field.split('.')[0] ?? '';
  if (first === 'places' || first === 'buildings') return 'site';
  return STEPS.find((step) => step === first) ?? 'finish';
}

export function wrongIn(step: Step, problems: readonly Wrong[]): Wrong[] {
  return problems.filter(({ field }) => stepOf(field) === step);
}
