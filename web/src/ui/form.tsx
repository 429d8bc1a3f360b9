// Forms: every field has its label, its hint and its error, tied together for screen readers.
import type { ComponentChildren, JSX } from 'preact';
import { useRef, useState } from 'preact/hooks';
import { asProblem, type Problem } from '../api';
import { t } from '../texts';
import { Refusal } from './toast';

let fields = 0;
function useFieldId(): string {
  const id = useRef('');
  if (!id.current) id.current = `field-${++fields}`;
  return id.current;
}

interface FieldProps {
  label: string;
  hint?: string;
  error?: string | null;
  required?: boolean;
  disabled?: boolean;
}

interface InputProps extends FieldProps {
  value: string;
  onInput: (value: string) => void;
  type?: 'text' | 'password' | 'number' | 'date' | 'datetime-local' | 'time' | 'url' | 'search';
  autocomplete?: string;
  min?: number | string;
  max?: number | string;
  maxLength?: number;
  /** Several lines. */
  lines?: number;
  placeholder?: string;
  focus?: boolean;
}

function Around({ id, label, hint, error, required, children }: FieldProps & { id: string; children: ComponentChildren }): JSX.Element {
  return (
    <div class={error ? 'field wrong' : 'field'}>
      <label for={id}>
        {label}
        {required && <span class="required"> {t('required')}</span>}
      </label>
      {children}
      {hint && (
        <div class="hint" id={`${id}-hint`}>
          {hint}
        </div>
      )}
      {error && (
        <div class="error" id={`${id}-error`} role="alert">
          {error}
        </div>
      )}
    </div>
  );
}

function described(id: string, { hint, error }: FieldProps): string | undefined {
  return [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(' ') || undefined;
}

export function Input(props: InputProps): JSX.Element {
  const id = useFieldId();
  const { value, onInput, type = 'text', lines, required, disabled, error, focus, ...rest } = props;
  const { label: _, hint: __, ...plain } = rest;
  const common = {
    ...plain,
    id,
    value,
    required,
    disabled,
    'aria-invalid': error ? true : undefined,
    'aria-describedby': described(id, props),
    onInput: (event: JSX.TargetedEvent<HTMLInputElement | HTMLTextAreaElement>) => onInput(event.currentTarget.value),
  };
  const focused = useRef(false);
  const first = (element: HTMLElement | null): void => {
    if (element && focus && !focused.current) {
      focused.current = true;
      element.focus();
    }
  };
  return (
    <Around id={id} {...props}>
      {lines ? <textarea rows={lines} ref={first} {...common} /> : <input type={type} ref={first} {...common} />}
    </Around>
  );
}

interface SelectProps extends FieldProps {
  value: string;
  onInput: (value: string) => void;
  options: readonly { value: string; text: string }[];
}

export function Select(props: SelectProps): JSX.Element {
  const id = useFieldId();
  const { value, onInput, options, required, disabled, error } = props;
  return (
    <Around id={id} {...props}>
      <select
        id={id}
        value={value}
        required={required}
        disabled={disabled}
        aria-invalid={error ? true : undefined}
        aria-describedby={described(id, props)}
        onChange={(event) => onInput(event.currentTarget.value)}
      >
        {options.map((option) => (
          <option key={option.value} value={option.value}>
            {option.text}
          </option>
        ))}
      </select>
    </Around>
  );
}

export function Checkbox({ label, value, onInput, hint, disabled }: FieldProps & { value: boolean; onInput: (value: boolean) => void }): JSX.Element {
  const id = useFieldId();
  return (
    <div class="field check">
      <input
        id={id}
        type="checkbox"
        checked={value}
        disabled={disabled}
        aria-describedby={hint ? `${id}-hint` : undefined}
        onChange={(event) => onInput(event.currentTarget.checked)}
      />
      <label for={id}>{label}</label>
      {hint && (
        <div class="hint" id={`${id}-hint`}>
          {hint}
        </div>
      )}
    </div>
  );
}

interface FormProps {
  /** Sends it; what it throws is shown above the button. */
  onSubmit: () => Promise<unknown>;
  submit: string;
  kind?: 'primary' | 'danger' | 'plain';
  disabled?: boolean;
  children: ComponentChildren;
  /** Beside the button. */
  more?: ComponentChildren;
}

export function Form({ onSubmit, submit, kind = 'primary', disabled, children, more }: FormProps): JSX.Element {
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const send = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    setProblem(null);
    try {
      await onSubmit();
    } catch (thrown) {
      setProblem(asProblem(thrown));
    }
    setBusy(false);
  };
  return (
    <form onSubmit={(event) => void send(event)} noValidate={false}>
      {children}
      <Refusal problem={problem} />
      <div class="row">
        <button type="submit" class={`button ${kind}`} disabled={disabled} aria-busy={busy}>
          {busy ? t('working') : submit}
        </button>
        {more}
      </div>
    </form>
  );
}
