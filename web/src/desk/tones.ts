// What each sound of the desk is made of.

export type Tone = 'critical' | 'high' | 'medium' | 'low' | 'lost';

/** Hertz, seconds on, seconds off, for each beep. Told apart by rhythm as well as by pitch. */
export const BEEPS: Record<Tone, readonly (readonly [number, number, number])[]> = {
  critical: [0, 1, 2, 3, 4].flatMap(() => [[960, 0.22, 0.02] as const, [700, 0.22, 0.02] as const]),
  high: [0, 1, 2].map(() => [820, 0.3, 0.2] as const),
  medium: [0, 1].map(() => [600, 0.25, 0.25] as const),
  low: [[440, 0.3, 0]],
  lost: [0, 1, 2].flatMap(() => [[520, 0.35, 0] as const, [380, 0.35, 0] as const, [260, 0.5, 0.2] as const]),
};

/** Of full loudness. */
export const LOUD: Record<Tone, number> = { critical: 0.9, high: 0.7, medium: 0.5, low: 0.3, lost: 0.9 };

/** Seconds that a sound takes. */
export function length(tone: Tone): number {
  return BEEPS[tone].reduce((sum, [, on, off]) => sum + on + off, 0);
}
