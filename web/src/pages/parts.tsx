// The pieces that the pages of the installation share.
import { type ComponentChildren, Fragment, type JSX } from 'preact';
import { useId, useState } from 'preact/hooks';
import type { Asked } from '../api';
import { Link, usePlace } from '../router';
import { t } from '../texts';
import { Button } from '../ui/button';
import { Refusal } from '../ui/toast';
import './pages.css';

interface SheetProps {
  title: string;
  /** Where it is one of a list: back to that. */
  back?: { to: string; text: string };
  children: ComponentChildren;
}

/** A page with its heading. */
export function Sheet({ title, back, children }: SheetProps): JSX.Element {
  return (
    <div class="sheet">
      {back && (
        <p class="no-print">
          <Link to={back.to}>← {back.text}</Link>
        </p>
      )}
      <h1>{title}</h1>
      {children}
    </div>
  );
}

/** A part of a page with a heading of its own. */
export function Part({ title, children }: { title: string; children: ComponentChildren }): JSX.Element {
  const id = useId();
  return (
    <section class="part" aria-labelledby={id}>
      <h2 id={id}>{title}</h2>
      {children}
    </section>
  );
}

/** What was asked for, once it is there; until then, or when it is refused, that. */
export function Await<T>({ asked, children }: { asked: Asked<T>; children: (value: T) => ComponentChildren }): JSX.Element {
  const { value, problem, busy, again } = asked;
  return (
    <>
      <Refusal problem={problem} again={again} />
      {value !== null && children(value)}
      {value === null && busy && (
        <p class="empty" role="status">
          {t('loading')}
        </p>
      )}
    </>
  );
}

export type Fact = readonly [string, ComponentChildren];

/** Names and what belongs to them; what is not known is left out. */
export function Facts({ rows }: { rows: readonly (Fact | null | false)[] }): JSX.Element {
  return (
    <dl class="facts">
      {rows.map(
        (row) =>
          row && (
            <Fragment key={row[0]}>
              <dt>{row[0]}</dt>
              <dd>{row[1]}</dd>
            </Fragment>
          ),
      )}
    </dl>
  );
}

export type Tab = readonly [id: string, text: string];

/** Which part of the page the address asks for: `?tab=`. */
export function useTab(tabs: readonly Tab[]): string {
  const asked = usePlace().query.get('tab');
  return (tabs.find(([id]) => id === asked) ?? tabs[0])?.[0] ?? '';
}

/** Links to the parts of a page of which one is shown. */
export function Tabs({ tabs }: { tabs: readonly Tab[] }): JSX.Element | null {
  const { path } = usePlace();
  const current = useTab(tabs);
  if (tabs.length < 2) return null;
  return (
    <nav class="tabs no-print" aria-label={t('parts_of_page')}>
      {tabs.map(([id, text], index) => (
        <Link key={id} to={index === 0 ? path : `${path}?tab=${id}`} current={id === current}>
          {text}
        </Link>
      ))}
    </nav>
  );
}

/** A share of a whole as a bar; the number stands beside it. */
export function Bar({ share, kind = 'plain' }: { share: number; kind?: 'plain' | 'good' | 'bad' }): JSX.Element {
  const width = Math.round(Math.min(1, Math.max(0, share || 0)) * 1000) / 10;
  return (
    <svg class={`share ${kind}`} viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
      <rect class="whole" width="100" height="8" />
      <rect class="some" width={width} height="8" />
    </svg>
  );
}

const SIGNS = { good: '●', bad: '▲', warn: '◆', none: '○' } as const;
export type SignKind = keyof typeof SIGNS;

/** How something stands: a form, a colour, and the word. */
export function Sign({ kind, children }: { kind: SignKind; children: ComponentChildren }): JSX.Element {
  return (
    <span class={`sign ${kind}`}>
      <span aria-hidden="true">{SIGNS[kind]}</span> {children}
    </span>
  );
}

/** A text to take away, such as a piece of configuration. */
export function Copied({ text, label }: { text: string; label: string }): JSX.Element {
  const id = useId();
  const [told, tell] = useState('');
  const copy = async (): Promise<void> => {
    try {
      // Not there on pages without TLS.
      await navigator.clipboard.writeText(text);
      tell(t('copied'));
    } catch {
      const area = document.getElementById(id);
      if (area instanceof HTMLTextAreaElement) area.select();
      tell(document.execCommand('copy') ? t('copied') : t('copy_by_hand'));
    }
  };
  return (
    <div class="copied">
      <textarea id={id} readOnly aria-label={label} rows={Math.min(18, text.split('\n').length + 1)} value={text} spellcheck={false} />
      <div class="row">
        <Button onClick={copy}>{t('copy')}</Button>
        <span role="status">{told}</span>
      </div>
    </div>
  );
}

/** A link to a file that the gateway makes. */
export function FileLink({ href, children }: { href: string; children: ComponentChildren }): JSX.Element {
  return (
    <a class="button" href={href} download>
      {children}
    </a>
  );
}
