// Where on which plan something is.
import type { PlaceOnMap, Site } from '../model';

export interface Spot {
  /** The place whose plan it is. */
  place: PlaceOnMap;
  plan: string;
  /** Fractions from the left and the top; null when the plan is known and the spot is not. */
  x: number | null;
  y: number | null;
}

/** Places from this one up to the campus. */
export function upwards(site: Site, id: string | null): PlaceOnMap[] {
  const places = new Map(site.places.map((place) => [place.id, place]));
  const found: PlaceOnMap[] = [];
  let next = id === null ? undefined : places.get(id);
  // A ring, which the gateway refuses, would still end.
  while (next && !found.includes(next)) {
    found.push(next);
    next = next.parent === null ? undefined : places.get(next.parent);
  }
  return found;
}

function planAt(places: readonly PlaceOnMap[]): (PlaceOnMap & { plan: string }) | undefined {
  return places.find((place): place is PlaceOnMap & { plan: string } => place.plan !== null);
}

/** The spot of a device, else of its place, else of the nearest place around it that has one. */
export function spotOf(site: Site, device: string | null, place: string | null): Spot | null {
  const thing = device === null ? undefined : site.devices.find(({ id }) => id === device);
  const around = upwards(site, thing?.place ?? place);
  if (thing && thing.x !== null && thing.y !== null) {
    const on = planAt(around);
    if (on) return { place: on, plan: on.plan, x: thing.x, y: thing.y };
  }
  for (const [i, one] of around.entries()) {
    if (one.x !== null && one.y !== null) {
      const on = planAt(around.slice(i + 1));
      if (on) return { place: on, plan: on.plan, x: one.x, y: one.y };
    }
    if (one.plan !== null) return { place: one, plan: one.plan, x: null, y: null };
  }
  return null;
}
