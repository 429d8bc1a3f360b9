// Moments and spans in words, by the clock of the school, wherever the browser is.
import { useEffect, useState } from 'preact/hooks';
import { site } from '../live';
import { lang, t } from '../texts';

const made = new Map<string, Intl.DateTimeFormat>();

function format(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const zone = site.get()?.timezone;
  const locale = lang.get() === 'zh' ? 'zh-CN' : 'en-GB';
  const key = `${locale} ${zone ?? ''} ${JSON.stringify(options)}`;
  const known = made.get(key);
  if (known) return known;
  const fresh = make(locale, { ...options, timeZone: zone });
  made.set(key, fresh);
  return fresh;
}

function make(locale: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  try {
    return new Intl.DateTimeFormat(locale, options);
  } catch {
    // A zone that this old browser does not know: its own.
    return new Intl.DateTimeFormat(locale, { ...options, timeZone: undefined });
  }
}

const DAY: Intl.DateTimeFormatOptions = { year: 'numeric', month: '2-digit', day: '2-digit' };
const TIME: Intl.DateTimeFormatOptions = { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' };

/** Day and time: 2026/11/22 15:30:00. */
export function moment(ms: number | null | undefined): string {
  return ms === null || ms === undefined ? '—' : `${day(ms)} ${time(ms)}`;
}
export function day(ms: number): string {
  return format(DAY).format(ms);
}
export function time(ms: number): string {
  return format(TIME).format(ms);
}

/** Parts of a moment at the school, for fields and charts. */
export function parts(ms: number): { year: number; month: number; day: number; hour: number; minute: number; second: number } {
  const found: Record<string, number> = {};
  for (const { type, value } of format({ ...DAY, ...TIME }).formatToParts(ms)) found[type] = Number(value);
  const { year = 0, month = 0, day: date = 0, hour = 0, minute = 0, second = 0 } = found;
  return { year, month, day: date, hour: hour % 24, minute, second };
}

/** The moment of a day and time at the school (`2026-11-22` or `2026-11-22T15:30`), or null if it is none. */
export function momentOf(text: string): number | null {
  const found = /^(\d{4})-(\d{2})-(\d{2})(?:T(\d{2}):(\d{2}))?$/.exec(text);
  if (!found) return null;
  const [y, mo, d, h, mi] = found.slice(1).map((part) => Number(part ?? 0)) as [number, number, number, number, number];
  const wanted = Date.UTC(y, mo - 1, d, h || 0, mi || 0);
  // The offset of the zone at about that moment; a second look settles hours at which it changes.
  let at = wanted;
  for (let i = 0; i < 2; i++) {
    const p = parts(at);
    at += wanted - Date.UTC(p.year, p.month - 1, p.day, p.hour, p.minute);
  }
  return Number.isFinite(at) ? at : null;
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
