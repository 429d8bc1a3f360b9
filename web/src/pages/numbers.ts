// Numbers and sizes as people read them.
import { lang } from '../texts';

const NONE = '—';

/** A number with so many decimals at most, grouped by thousands. */
export function number(value: number | null | undefined, decimals = 0): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  // Zero has no sign, whatever a sum of nothing says.
  return (value || 0).toLocaleString(lang.get() === 'zh' ? 'zh-CN' : 'en-GB', { maximumFractionDigits: decimals });
}

/** A measured value: about four digits that count. */
export function measured(value: number | null | undefined): string {
  const size = Math.abs(value ?? 0);
  return number(value, size >= 100 ? 1 : size >= 10 ? 2 : 3);
}

export function percent(share: number | null | undefined, decimals = 1): string {
  const text = number(share === null || share === undefined ? share : share * 100, decimals);
  return text === NONE ? NONE : `${text}%`;
}

/** A part of a whole; the whole of nothing is all of it. Never rounded up to 100% while something lacks. */
export function completeness({ owed, accepted }: { owed: number; accepted: number }): { share: number; text: string } {
  const share = owed > 0 ? Math.min(1, accepted / owed) : 1;
  return { share, text: share < 1 ? percent(Math.floor(share * 10_000) / 10_000, 2) : '100%' };
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** Bytes in the unit that fits. */
export function bytes(count: number | null | undefined): string {
  if (count === null || count === undefined || !Number.isFinite(count)) return NONE;
  const step = count < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log(count) / Math.log(1024)));
  return `${number(count / 1024 ** step, step < 2 ? 0 : 1)} ${UNITS[step]}`;
}

/** How much more or less than before: `+3.2%`. */
export function change(now: number, then: number): string {
  if (!(then > 0) || !Number.isFinite(now)) return NONE;
  const share = Math.round((now / then - 1) * 1000) / 10;
  const sign = share > 0 ? '+' : share < 0 ? '−' : '±';
  return `${sign}${number(Math.abs(share), 1)}%`;
}

/** Several things in a row. */
export function listed(items: readonly string[]): string {
  return items.join(lang.get() === 'zh' ? '、' : ', ');
}

/** A title with how many there are. */
export function counted(title: string, count: number): string {
  return lang.get() === 'zh' ? `${title}（${count}）` : `${title} (${count})`;
}
