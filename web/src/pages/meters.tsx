// Which meters count in a sum, and where meters below another one have more than it.
import type { JSX } from 'preact';
import { t } from '../texts';
import { number } from './numbers';
import { Sign } from './parts';

interface Counted {
  meters?: number;
  /** Not added: another one of them counts their energy already. */
  within?: number;
  /** Main meters of which nothing is known: those below them count instead. */
  unknown?: number;
  /** Names of meters, and how much more those below them have, kWh. */
  over: readonly (readonly [name: string, kwh: number])[];
}

export function Meters({ meters = 0, within = 0, unknown = 0, over }: Counted): JSX.Element | null {
  // Of one alone there is nothing to say but that those below it have more.
  if (meters < 2 && over.length === 0) return null;
  return (
    <div class="meters">
      {meters > 1 && (
        <p class="hint">
          {t(within > 0 ? 'energy.meters_within' : 'energy.meters', { meters, within })}
          {unknown > 0 && ` ${t('energy.meters_unknown', { unknown })}`}
        </p>
      )}
      {over.map(([name, kwh]) => (
        <p key={name}>
          <Sign kind="warn">{t('energy.over', { name, kwh: number(kwh, kwh < 100 ? 1 : 0) })}</Sign>
        </p>
      ))}
    </div>
  );
}
