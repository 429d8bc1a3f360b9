// A question that must be answered before anything else; Escape and the close button leave it.
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { t } from '../texts';
import { Icon } from './icon';

interface DialogProps {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  /** It cannot be left without an answer. */
  must?: boolean;
  /** As wide as the screen allows: pictures. */
  wide?: boolean;
}

export function Dialog({ title, onClose, children, must, wide }: DialogProps): JSX.Element {
  const box = useRef<HTMLDialogElement>(null);
  const before = useRef<Element | null>(null);
  useEffect(() => {
    const dialog = box.current;
    before.current = document.activeElement;
    dialog?.showModal();
    return () => {
      dialog?.close();
      if (before.current instanceof HTMLElement) before.current.focus();
    };
  }, []);
  const cancel = (event: Event): void => {
    event.preventDefault();
    if (!must) onClose();
  };
  return (
    <dialog ref={box} class={wide ? 'dialog wide' : 'dialog'} aria-labelledby="dialog-title" onCancel={cancel}>
      <header>
        <h2 id="dialog-title">{title}</h2>
        {!must && (
          <button type="button" class="bare" aria-label={t('close')} onClick={onClose}>
            <Icon name="cross" />
          </button>
        )}
      </header>
      {children}
    </dialog>
  );
}
