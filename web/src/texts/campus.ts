// Words of these pages.
import type { Texts } from './text';

export const campus = {} satisfies Texts;
