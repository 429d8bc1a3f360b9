// A plan with marks on it.
import type { ComponentChildren, JSX } from 'preact';
import { useState } from 'preact/hooks';
import { t } from '../texts';

interface PlanProps {
  src: string;
  name: string;
  children?: ComponentChildren;
}

export function Plan({ src, name, children }: PlanProps): JSX.Element {
  const [failed, setFailed] = useState(false);
  return (
    <figure class="plan">
      <div class="plan-ground">
        {failed ? (
          <p class="empty">{t('plan.failed')}</p>
        ) : (
          <img src={src} alt={t('plan.of', { name })} onError={() => setFailed(true)} />
        )}
        {!failed && children}
      </div>
      <figcaption>{name}</figcaption>
    </figure>
  );
}

interface MarkProps {
  x: number;
  y: number;
  class: string;
  children?: ComponentChildren;
}

/** Something at a spot, given in fractions of the plan. */
export function Mark({ x, y, class: name, children }: MarkProps): JSX.Element {
  const percent = (fraction: number): string => `${Math.min(1, Math.max(0, fraction)) * 100}%`;
  return (
    <div class={`mark ${name}`} style={{ left: percent(x), top: percent(y) }}>
      {children}
    </div>
  );
}
