// A value that pages look at and are drawn anew with when it changes.
import { useEffect, useState } from 'preact/hooks';

export class Cell<T> {
  private readonly watchers = new Set<() => void>();

  constructor(private value: T) {}

  get(): T {
    return this.value;
  }

  set(value: T): void {
    if (Object.is(value, this.value)) return;
    this.value = value;
    for (const watcher of [...this.watchers]) watcher();
  }

  update(change: (value: T) => T): void {
    this.set(change(this.value));
  }

  /** Calls `watcher` after each change; the answer ends that. */
  watch(watcher: () => void): () => void {
    this.watchers.add(watcher);
    return () => {
      this.watchers.delete(watcher);
    };
  }
}

/** The value, or a part of it; the page is drawn anew when that changes. */
export function useCell<T>(cell: Cell<T>): T;
export function useCell<T, S>(cell: Cell<T>, part: (value: T) => S): S;
export function useCell<T, S>(cell: Cell<T>, part?: (value: T) => S): T | S {
  const look = (): T | S => (part ? part(cell.get()) : cell.get());
  const [, draw] = useState(0);
  const seen = look();
  useEffect(() => {
    let last = seen;
    const check = (): void => {
      const now = look();
      if (Object.is(now, last)) return;
      last = now;
      draw((count) => count + 1);
    };
    // It may have changed between drawing and this.
    check();
    return cell.watch(check);
  }, [cell]);
  return seen;
}

/** A value kept in the browser from one visit to the next. Private windows may refuse; then it lasts for this visit. */
export function kept<T extends string>(key: string, known: readonly T[], usual: T): Cell<T> {
  let stored: string | null = null;
  try {
    stored = localStorage.getItem(key);
  } catch {
    // Not allowed: the usual value.
  }
  const cell = new Cell<T>(known.find((value) => value === stored) ?? usual);
  cell.watch(() => {
    try {
      localStorage.setItem(key, cell.get());
    } catch {
      // Not allowed: nothing is kept.
    }
  });
  return cell;
}
