// The clock of a time zone, by the browser's own tables.

export interface Parts {
  year: number;
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
}

export interface Zone {
  /** Day and time: 2026/11/22 15:30:00. */
  moment: (ms: number) => string;
  day: (ms: number) => string;
  time: (ms: number) => string;
  parts: (ms: number) => Parts;
  /** The moment of a day or of a day and time (`2026-11-22`, `2026-11-22T15:30`) there, or null if it is none. */
  momentOf: (text: string) => number | null;
}

const DAY: Intl.DateTimeFormatOptions = { year: 'numeric', month: '2-digit', day: '2-digit' };
const TIME: Intl.DateTimeFormatOptions = { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' };

function make(locale: string, zone: string | undefined, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  try {
    return new Intl.DateTimeFormat(locale, { ...options, timeZone: zone });
  } catch {
    // A zone that this old browser does not know: its own.
    return new Intl.DateTimeFormat(locale, options);
  }
}

export function zoned(zone: string | undefined, locale = 'zh-CN'): Zone {
  const days = make(locale, zone, DAY);
  const times = make(locale, zone, TIME);
  const both = make('en-GB', zone, { ...DAY, ...TIME });
  const parts = (ms: number): Parts => {
    const found: Record<string, number> = {};
    for (const { type, value } of both.formatToParts(ms)) found[type] = Number(value);
    const { year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0 } = found;
    return { year, month, day, hour: hour % 24, minute, second };
  };
  const momentOf = (text: string): number | null => {
    const found = /^(\d{4})-(\d{2})-(\d{2})(?:T(\d{2}):(\d{2}))?$/.exec(text);
    if (!found) return null;
    const [year = 0, month = 0, day = 0, hour = 0, minute = 0] = found.slice(1).map((part) => Number(part ?? 0));
    const wanted = Date.UTC(year, month - 1, day, hour, minute);
    // The offset of the zone at about that moment; a second look settles the hours in which it changes.
    let at = wanted;
    for (let i = 0; i < 2; i++) {
      const p = parts(at);
      at += wanted - Date.UTC(p.year, p.month - 1, p.day, p.hour, p.minute);
    }
    return Number.isFinite(at) ? at : null;
  };
  const day = (ms: number): string => days.format(ms);
  const time = (ms: number): string => times.format(ms);
  return { moment: (ms) => `${day(ms)} ${time(ms)}`, day, time, parts, momentOf };
}
