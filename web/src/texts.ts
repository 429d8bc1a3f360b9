// What the pages say, in Chinese and English. A key that lacks either, or that is not there, does not compile.
import { kept } from './cell';
import { common } from './texts/common';
import { desk } from './texts/desk';
import { alarms } from './texts/alarms';
import { campus } from './texts/campus';
import { devices } from './texts/devices';
import { energy } from './texts/energy';
import { rules } from './texts/rules';
import { reports } from './texts/reports';
import { uploads } from './texts/uploads';
import { system } from './texts/system';
import { users } from './texts/users';
import { audit } from './texts/audit';
import { points } from './texts/points';
import { setup } from './texts/setup';
import type { Text } from './texts/text';

export type { Text };

const all = {
  ...common, ...desk, ...alarms, ...campus, ...devices, ...energy, ...rules, ...reports, ...uploads, ...system, ...users, ...audit, ...setup, ...points,
};

export type Key = keyof typeof all;
export type Lang = 'zh' | 'en';

const browser: Lang = typeof navigator === 'undefined' || /^zh/i.test(navigator.language) ? 'zh' : 'en';

export const lang = kept<Lang>('lang', ['zh', 'en'], browser);

/** A text in the language of the page; `{name}` in it stands for a value. */
export function t(key: Key, values: Record<string, string | number> = {}): string {
  const text: string = all[key][lang.get()];
  return text.replace(/\{(\w+)\}/g, (gap, name: string) => String(values[name] ?? gap));
}

/** The name of a word of the API, such as `word('priority', 'high')`; the word itself when it has none. */
export function word(group: string, name: string): string {
  const key = `${group}.${name}`;
  return key in all ? t(key as Key) : name;
}

/** Every word of a group that has a name. */
export function words(group: string): string[] {
  return Object.keys(all)
    .filter((key) => key.startsWith(`${group}.`))
    .map((key) => key.slice(group.length + 1));
}

/** Whether a word has a name. */
export function named(group: string, name: string): boolean {
  return `${group}.${name}` in all;
}

/** A text that the gateway gave in both languages. */
export function said(text: Text | null | undefined): string {
  return text ? text[lang.get()] || text.zh || text.en : '';
}

/** For the tests: every key. */
export function keys(): string[] {
  return Object.keys(all);
}
