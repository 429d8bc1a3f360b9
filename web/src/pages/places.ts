// Places by their ids.
import type { PlaceOnMap } from '../model';
import { said } from '../texts';

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
