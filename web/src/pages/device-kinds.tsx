// What the pages know of a device, and how it is named.
import type { JSX } from 'preact';
import { word, type Text } from '../texts';
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
