// Buttons: at least 44 px high, on the desk 64; busy while what they began goes on, and a refusal is told.
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { t } from '../texts';
import { Icon, type IconName } from './icon';
import { tellProblem } from './toast';

interface ButtonProps {
  children: ComponentChildren;
  /** May take its time; until it ends the button does nothing else. */
  onClick: () => unknown;
  kind?: 'plain' | 'primary' | 'danger' | 'good' | 'bare';
  /** As on the desk. */
  big?: boolean;
  icon?: IconName;
  disabled?: boolean;
  pressed?: boolean;
  label?: string;
  /** The key that does the same, shown on the button. */
  shortcut?: string;
  id?: string;
}

export function Button(props: ButtonProps): JSX.Element {
  const { children, onClick, kind = 'plain', big, icon, disabled, pressed, label, shortcut, id } = props;
  const [busy, setBusy] = useState(false);
  const there = useRef(true);
  useEffect(() => {
    there.current = true;
    return () => {
      there.current = false;
    };
  }, []);
  const press = async (): Promise<void> => {
    if (busy) return;
    setBusy(true);
    try {
      await onClick();
    } catch (thrown) {
      tellProblem(thrown);
    }
    if (there.current) setBusy(false);
  };
  return (
    <button
      type="button"
      id={id}
      class={`button ${kind}${big ? ' big' : ''}`}
      disabled={disabled}
      aria-busy={busy}
      aria-pressed={pressed}
      aria-label={label}
      aria-keyshortcuts={shortcut}
      onClick={() => void press()}
    >
      {icon && <Icon name={icon} size={big ? 28 : 20} />}
      <span>{children}</span>
      {shortcut && <kbd aria-hidden="true">{shortcut === 'Enter' ? '⏎' : shortcut}</kbd>}
    </button>
  );
}

const HOLD_MS = 2000;

/** What must not happen by a slip: hold for two seconds, by mouse, finger, Enter or space. */
export function HoldButton(props: Omit<ButtonProps, 'shortcut' | 'pressed'>): JSX.Element {
  const { children, onClick, kind = 'danger', icon, disabled } = props;
  const [held, setHeld] = useState(false);
  const timer = useRef(0);
  const begin = (): void => {
    if (disabled || timer.current) return;
    setHeld(true);
    timer.current = window.setTimeout(() => {
      end();
      Promise.resolve()
        .then(onClick)
        .catch((thrown: unknown) => tellProblem(thrown));
    }, HOLD_MS);
  };
  const end = (): void => {
    clearTimeout(timer.current);
    timer.current = 0;
    setHeld(false);
  };
  useEffect(() => end, []);
  const onKey = (event: KeyboardEvent): void => {
    if (event.key !== 'Enter' && event.key !== ' ') return;
    event.preventDefault();
    if (!event.repeat) begin();
  };
  return (
    <button
      type="button"
      class={`button big hold ${kind}${held ? ' held' : ''}`}
      disabled={disabled}
      onPointerDown={begin}
      onPointerUp={end}
      onPointerLeave={end}
      onPointerCancel={end}
      onKeyDown={onKey}
      onKeyUp={end}
      onBlur={end}
      onContextMenu={(event) => event.preventDefault()}
    >
      {icon && <Icon name={icon} size={28} />}
      <span>
        {children}
        <small>{held ? t('keep_holding') : t('hold_two_seconds')}</small>
      </span>
    </button>
  );
}
