// Short words about what was done, and refusals; read aloud by screen readers.
import type { JSX } from 'preact';
import { asProblem, Problem } from '../api';
import { Cell, useCell } from '../cell';
import { t } from '../texts';
import { Icon } from './icon';

interface Toast {
  id: number;
  text: string;
  other: string | null;
  bad: boolean;
}

const toasts = new Cell<readonly Toast[]>([]);
const GOOD_MS = 4000;
const BAD_MS = 12_000;
const MOST = 4;
let next = 1;

function add(text: string, other: string | null, bad: boolean): void {
  const id = next++;
  toasts.update((old) => [...old, { id, text, other, bad }].slice(-MOST));
  setTimeout(() => drop(id), bad ? BAD_MS : GOOD_MS);
}

function drop(id: number): void {
  toasts.update((old) => old.filter((toast) => toast.id !== id));
}

export function tell(text: string): void {
  add(text, null, false);
}

/** Shows whatever was thrown, in both languages. */
export function tellProblem(thrown: unknown): void {
  const problem = asProblem(thrown);
  add(problem.text, problem.other, true);
}

export function Toasts(): JSX.Element {
  const all = useCell(toasts);
  return (
    <div class="toasts" role="status" aria-live="polite">
      {all.map((toast) => (
        <div key={toast.id} class={toast.bad ? 'toast bad' : 'toast'}>
          <Icon name={toast.bad ? 'critical' : 'check'} />
          <div>
            <div>{toast.text}</div>
            {toast.other && <div class="other">{toast.other}</div>}
          </div>
          <button type="button" class="bare" aria-label={t('close')} onClick={() => drop(toast.id)}>
            <Icon name="cross" size={16} />
          </button>
        </div>
      ))}
    </div>
  );
}

/** A refusal where it belongs: on the page or in the form. */
export function Refusal({ problem, again }: { problem: Problem | null; again?: () => void }): JSX.Element | null {
  if (!problem) return null;
  return (
    <div class="refusal" role="alert">
      <Icon name="critical" />
      <div>
        <div>{problem.text}</div>
        <div class="other">{problem.other}</div>
        {problem.wait !== null && <div>{t('wait_secs', { secs: problem.wait })}</div>}
      </div>
      {again && (
        <button type="button" class="button" onClick={again}>
          {t('try_again')}
        </button>
      )}
    </div>
  );
}
