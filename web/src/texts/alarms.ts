// Words of these pages.
import type { Texts } from './text';

export const alarms = {} satisfies Texts;
