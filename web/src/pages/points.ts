// Names of points: the parts of an id, such as `energy_import_l1`, say what it is.
import { word } from '../texts';

/** The word of a group, or null where there is none. */
function known(group: 'point' | 'point_of', name: string): string | null {
  const text = group === 'point' ? word('point', name) : word('point_of', name);
  return text === name ? null : text;
}

/** The name of a point; its id where no name is known. */
export function pointName(id: string): string {
  const whole = known('point', id);
  if (whole) return whole;
  const words = id.split('_');
  for (let cut = words.length - 1; cut > 0; cut -= 1) {
    const quantity = known('point', words.slice(0, cut).join('_'));
    const of = known('point_of', words.slice(cut).join('_'));
    if (quantity && of) return quantity + of;
  }
  return id;
}
