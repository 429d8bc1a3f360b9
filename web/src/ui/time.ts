// Moments and spans in words, by the clock of the school, wherever the browser is.
import { useEffect, useState } from 'preact/hooks';
import { site } from '../live';
import { lang, t } from '../texts';
import { zoned, type Parts, type Zone } from './zone';

const made = new Map<string, Zone>();

function school(): Zone {
  const zone = site.get()?.timezone;
  const locale = lang.get() === 'zh' ? 'zh-CN' : 'en-GB';
  const key = `${locale} ${zone ?? ''}`;
  const known = made.get(key);
  if (known) return known;
  const fresh = zoned(zone, locale);
  made.set(key, fresh);
  return fresh;
}

/** Day and time: 2026/11/22 15:30:00. */
export function moment(ms: number | null | undefined): string {
  return ms === null || ms === undefined ? '—' : school().moment(ms);
}
export function day(ms: number): string {
  return school().day(ms);
}
export function time(ms: number): string {
  return school().time(ms);
}

/** Hours and minutes: 15:30. */
export function minute(ms: number): string {
  return fieldOf(ms, true).slice(-5);
}

/** Parts of a moment at the school, for fields and charts. */
export function parts(ms: number): Parts {
  return school().parts(ms);
}

/** The moment of a day and time at the school (`2026-11-22` or `2026-11-22T15:30`), or null if it is none. */
export function momentOf(text: string): number | null {
  return school().momentOf(text);
}

/** The other way: what a field of the kind `date` or `datetime-local` shows. */
export function fieldOf(ms: number, withTime: boolean): string {
  const two = (n: number): string => String(n).padStart(2, '0');
  const p = parts(ms);
  const date = `${String(p.year).padStart(4, '0')}-${two(p.month)}-${two(p.day)}`;
  return withTime ? `${date}T${two(p.hour)}:${two(p.minute)}` : date;
}

/** A span in its largest two units. */
export function span(ms: number): string {
  const secs = Math.max(0, Math.round(ms / 1000));
  if (secs < 60) return t('span_secs', { n: secs });
  const minutes = Math.floor(secs / 60);
  if (minutes < 60) return t('span_minutes', { n: minutes, secs: secs % 60 });
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return t('span_hours', { n: hours, minutes: minutes % 60 });
  return t('span_days', { n: Math.floor(hours / 24), hours: hours % 24 });
}

/** The moment now, again every `every` ms. */
export function useNow(every = 1000): number {
  const [now, set] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => set(Date.now()), every);
    return () => clearInterval(timer);
  }, [every]);
  return now;
}
