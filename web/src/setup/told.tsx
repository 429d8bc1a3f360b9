// What a step of the first run works with, and what is wrong where no field can show it.
import type { ComponentChildren, JSX } from 'preact';
import { said } from '../texts';
import type { Draft, Wrong } from './draft';

export interface StepProps {
  draft: Draft;
  change: (part: Partial<Draft>) => void;
  /** What is wrong with a field, in words. */
  wrong: (field: string) => string | null;
  /** What is wrong with a table and has no field of its own among `shown`. */
  rest: (table: string, shown?: readonly string[]) => Wrong[];
}

export function Told({ problems, children }: { problems: readonly Wrong[]; children?: ComponentChildren }): JSX.Element | null {
  if (problems.length === 0) return null;
  return (
    <div class="refusal" role="alert">
      <div>
        <ul>
          {problems.map((problem) => (
            <li key={problem.field + problem.en}>
              {said(problem)} <small>{problem.field}</small>
            </li>
          ))}
        </ul>
        {children}
      </div>
    </div>
  );
}
