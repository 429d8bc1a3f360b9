// Names of points: the parts of an id, such as `energy_import_l1`, say what it is.
import { named, word } from '../texts';

/** The name of a point; its id where no name is known. */
export function pointName(id: string): string {
  if (named('point', id)) return word('point', id);
  const words = id.split('_');
  for (let cut = words.length - 1; cut > 0; cut -= 1) {
    const [quantity, of] = [words.slice(0, cut).join('_'), words.slice(cut).join('_')];
    if (named('point', quantity) && named('point_of', of)) return word('point', quantity) + word('point_of', of);
  }
  return id;
}
