// Which page is shown: the path and query of the address, changed without loading anew.
import type { ComponentChildren, JSX } from 'preact';
import { Cell, useCell } from './cell';

export interface Place {
  path: string;
  query: URLSearchParams;
}

function here(): Place {
  return { path: location.pathname, query: new URLSearchParams(location.search) };
}

const place = new Cell<Place>(here());
addEventListener('popstate', () => place.set(here()));

/** Goes to a path of the console; `replace` leaves no step to go back to. */
export function go(to: string, replace = false): void {
  if (to === location.pathname + location.search) return;
  history[replace ? 'replaceState' : 'pushState'](null, '', to);
  place.set(here());
  if (!replace) scrollTo(0, 0);
}

export function usePlace(): Place {
  return useCell(place);
}

/** Sets keys of the query in place; null takes one away. Filters live there, so that a link shows the same rows. */
export function setQuery(changes: Record<string, string | null>): void {
  const { path, query } = here();
  for (const key of Object.keys(changes)) {
    const value = changes[key];
    if (value) query.set(key, value);
    else query.delete(key);
  }
  const text = query.toString();
  go(text ? `${path}?${text}` : path, true);
}

interface LinkProps {
  to: string;
  class?: string;
  current?: boolean;
  label?: string;
  children: ComponentChildren;
}

/** A link to a page of the console; opens in a new tab where the person asks for that. */
export function Link({ to, class: name, current, label, children }: LinkProps): JSX.Element {
  const follow = (event: MouseEvent): void => {
    if (event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(to);
  };
  return (
    <a href={to} class={name} onClick={follow} aria-current={current ? 'page' : undefined} aria-label={label}>
      {children}
    </a>
  );
}
