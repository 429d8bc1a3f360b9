// Sounds again and again until everything is taken.
import { useEffect } from 'preact/hooks';
import { Cell, useCell } from '../cell';
import { allowed, play } from './sound';
import type { Tone } from './tones';

export const AGAIN_MS = 15_000;

/** What sounds, and how often something has sounded since the page was opened. */
export const sounded = new Cell<{ tone: Tone | null; times: number }>({ tone: null, times: 0 });

/** Sounds at once when `tone` or `cause` changes, then every 15 s; null is quiet. */
export function useSiren(tone: Tone | null, cause: string): void {
  const may = useCell(allowed);
  useEffect(() => {
    if (!tone || !may) return undefined;
    let stop: (() => void) | false = false;
    const sound = (): void => {
      stop = play(tone);
      if (stop) sounded.update(({ times }) => ({ tone, times: times + 1 }));
    };
    sound();
    const timer = setInterval(sound, AGAIN_MS);
    return () => {
      clearInterval(timer);
      if (stop) stop();
      sounded.update(({ times }) => ({ tone: null, times }));
    };
  }, [tone, cause, may]);
}
