// Words of these pages.
import type { Texts } from './text';

export const desk = {} satisfies Texts;
