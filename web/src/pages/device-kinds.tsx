// What the pages know of a device, and how it is named.
import type { JSX } from 'preact';
import type { PlaceOnMap } from '../model';
import { said, word, type Text } from '../texts';
import { Sign, type SignKind } from './parts';

export interface PointNow {
  value: number | null;
  unit: string;
  quality?: string;
  doubt?: string | null;
  at?: number;
  name?: Text;
}

export interface Device {
  id: string;
  name: string;
  profile?: string;
  class: string;
  bus?: string;
  place: string;
  state: 'up' | 'down' | 'unknown';
  since: number | null;
  fault: string | null;
  advice: Text | null;
  last_seen?: number | null;
  points?: Record<string, PointNow>;
  contract?: string | null;
}

const KINDS: Record<Device['state'], SignKind> = { up: 'good', down: 'bad', unknown: 'none' };

export function DeviceSign({ state }: { state: Device['state'] }): JSX.Element {
  return <Sign kind={KINDS[state] ?? 'none'}>{word('device_state', state)}</Sign>;
}

/** Where something is, from the campus down; its id where the place is not known here. */
export function placeOf(id: string | null | undefined, places: readonly PlaceOnMap[]): string {
  const place = places.find((known) => known.id === id);
  return place ? said(place.path) : (id ?? '');
}

/** A place and those below it; null for all. */
export function within(place: string, places: readonly PlaceOnMap[]): Set<string> | null {
  if (!place) return null;
  const inside = new Set([place]);
  // Parents may stand after their children in the list: once more until nothing comes.
  for (let before = 0; before !== inside.size; ) {
    before = inside.size;
    for (const { id, parent } of places) if (parent && inside.has(parent)) inside.add(id);
  }
  return inside;
}
