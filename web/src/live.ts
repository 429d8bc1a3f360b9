// How everything stands now, by the live stream: the pages look here and ask nothing themselves.
import { Cell } from './cell';
import { get } from './api';
import { listen } from './stream';
import type { Message } from './sse';
import type { Alarm, Area, Change, DeviceState, Drill, Muster, Picture, Response, Site, Zone } from './model';

export interface Live {
  /** Every alarm that is not over, by its number. */
  alarms: ReadonlyMap<number, Alarm>;
  pictures: ReadonlyMap<number, readonly Picture[]>;
  devices: ReadonlyMap<string, DeviceState>;
  drill: Drill | null;
  areas: readonly Area[];
  responses: readonly Response[];
  muster: Muster | null;
  zones: readonly Zone[];
  version: string | null;
  /** The first message has come. */
  ready: boolean;
}

const NOTHING: Live = {
  alarms: new Map(),
  pictures: new Map(),
  devices: new Map(),
  drill: null,
  areas: [],
  responses: [],
  muster: null,
  zones: [],
  version: null,
  ready: false,
};

export const live = new Cell<Live>(NOTHING);

/** Whether the gateway is heard, and since when it is not. */
export const link = new Cell<{ here: boolean; since: number }>({ here: true, since: Date.now() });

/** The school: its places, plans and telephones; null until it was asked for. */
export const site = new Cell<Site | null>(null);

/** Who wants to know of each change of an alarm as it comes. */
type OnAlarm = (alarm: Alarm, change: Change | null) => void;
const onAlarm = new Set<OnAlarm>();
export function watchAlarms(watcher: OnAlarm): () => void {
  onAlarm.add(watcher);
  return () => {
    onAlarm.delete(watcher);
  };
}

function takeAlarm(alarm: Alarm, change: Change | null): void {
  live.update((old) => {
    const alarms = new Map(old.alarms);
    const pictures = new Map(old.pictures);
    if (alarm.closed_at === null) alarms.set(alarm.id, alarm);
    else {
      alarms.delete(alarm.id);
      pictures.delete(alarm.id);
    }
    return { ...old, alarms, pictures };
  });
  for (const watcher of [...onAlarm]) watcher(alarm, change);
}

interface Hello {
  at: number;
  version?: string;
  alarms?: Alarm[];
  drill?: Drill | null;
  areas?: Area[];
  responses?: Response[] | { rows: Response[] };
}

function rows<T>(list: T[] | { rows: T[] } | undefined | null): T[] | undefined {
  return Array.isArray(list) ? list : list?.rows;
}

/** One message of the stream; what cannot be read is passed over, as a newer gateway may send more. */
export function take(message: Message): void {
  let data: unknown;
  try {
    data = JSON.parse(message.data);
  } catch {
    return;
  }
  if (typeof data !== 'object' || data === null) return;
  switch (message.event) {
    case 'hello': {
      const hello = data as Hello;
      live.update((old) => ({
        ...old,
        alarms: new Map((hello.alarms ?? []).map((alarm) => [alarm.id, alarm])),
        drill: hello.drill ?? null,
        areas: hello.areas ?? [],
        responses: rows(hello.responses) ?? [],
        version: hello.version ?? old.version,
        ready: true,
      }));
      for (const alarm of hello.alarms ?? []) for (const watcher of [...onAlarm]) watcher(alarm, null);
      break;
    }
    case 'alarm': {
      const { alarm, change } = data as { alarm?: Alarm; change?: Change };
      if (alarm) takeAlarm(alarm, change ?? null);
      break;
    }
    case 'picture': {
      const { alarm, rows: pictures } = data as { alarm?: number; rows?: Picture[] };
      if (typeof alarm === 'number' && pictures) takePictures(alarm, pictures);
      break;
    }
    case 'device': {
      const device = data as DeviceState;
      live.update((old) => ({ ...old, devices: new Map(old.devices).set(device.id, device) }));
      break;
    }
    case 'state': {
      const state = data as Partial<Pick<Live, 'drill' | 'areas' | 'muster' | 'zones'>> & { responses?: Response[] };
      live.update((old) => ({
        ...old,
        drill: state.drill ?? null,
        areas: state.areas ?? old.areas,
        responses: rows(state.responses) ?? old.responses,
        muster: state.muster ?? null,
        zones: state.zones ?? old.zones,
      }));
      break;
    }
    default:
  }
}

export function takePictures(alarm: number, pictures: readonly Picture[]): void {
  live.update((old) => {
    if (!old.alarms.has(alarm)) return old;
    return { ...old, pictures: new Map(old.pictures).set(alarm, pictures) };
  });
}

export function takeResponse(response: Response): void {
  live.update((old) => ({
    ...old,
    responses: old.responses.map((one) => (one.id === response.id ? { ...one, ...response, code: undefined } : one)),
  }));
}

const SITE_AGAIN_MS = 3000;

/** Listens while somebody is signed in; the answer ends that and forgets everything. */
export function follow(): () => void {
  let over = false;
  let timer = 0;
  const school = async (): Promise<void> => {
    try {
      const found = await get<Site>('/api/v1/site');
      if (!over) site.set(found);
    } catch {
      if (!over) timer = window.setTimeout(() => void school(), SITE_AGAIN_MS);
    }
  };
  const devices = async (): Promise<void> => {
    try {
      const { rows: found } = await get<{ rows: DeviceState[] }>('/api/v1/devices');
      if (over) return;
      live.update((old) => {
        const all = new Map(found.map(({ id, state, since, fault, advice }) => [id, { id, state, since, fault, advice }]));
        return { ...old, devices: all };
      });
    } catch {
      // The pages that need it ask themselves.
    }
  };
  void school();
  link.set({ here: true, since: Date.now() });
  const stop = listen('/api/v1/stream', {
    message: (message) => {
      take(message);
      if (message.event === 'hello' && !over) void devices();
    },
    here: (here, since) => link.set({ here, since }),
    refused: () => undefined,
  });
  return () => {
    over = true;
    clearTimeout(timer);
    stop();
    live.set(NOTHING);
    site.set(null);
  };
}
