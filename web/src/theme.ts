// Light by day, dark for the night desk; the person's choice, else that of the machine.
import { Cell, kept } from './cell';

export type Theme = 'auto' | 'light' | 'dark';
export const theme = kept<Theme>('theme', ['auto', 'light', 'dark'], 'auto');
export const dark = new Cell(false);

const wish = matchMedia('(prefers-color-scheme: dark)');

function apply(): void {
  const now = theme.get() === 'dark' || (theme.get() === 'auto' && wish.matches);
  document.documentElement.setAttribute('data-theme', now ? 'dark' : 'light');
  dark.set(now);
}

theme.watch(apply);
// `addEventListener` of media queries is younger than the oldest Chromium meant here.
wish.addListener(apply);
apply();
