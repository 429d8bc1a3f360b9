// How an alarm reads where its place stands beside it.
import type { Alarm } from '../model';
import { said } from '../texts';

/** What happened, without the place that the text begins with. */
export function whatOf(alarm: Pick<Alarm, 'what' | 'place_path'>): string {
  const place = said(alarm.place_path);
  const what = said(alarm.what);
  return place ? what.replace(`${place} `, '') : what;
}
