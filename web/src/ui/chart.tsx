// Charts by uPlot, each with the same figures as a table and a CSV beside it. The library comes with the first chart.
import type { JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type uPlot from 'uplot';
import { useCell } from '../cell';
import { site } from '../live';
import { dark } from '../theme';
import { lang, t } from '../texts';
import { Button } from './button';
import { csvOf, download } from './csv';
import { aligned, type Series } from './series';
import { parts } from './time';

export type { Series };

interface ChartProps {
  title: string;
  unit: string;
  series: readonly Series[];
  height?: number;
  /** How a moment reads in the table; usually day and time. */
  label?: (ms: number) => string;
  digits?: number;
  /** From when to when it is drawn, ms; usually as far as there are rows. */
  span?: { from: number; to: number };
}

/** The least distance of two moments: how wide a bar is. */
function steps(xs: readonly number[]): number {
  let least = Infinity;
  xs.forEach((at, i) => {
    const before = xs[i - 1];
    if (before !== undefined) least = Math.min(least, at - before);
  });
  return Number.isFinite(least) ? least : HOUR;
}

const two = (n: number): string => String(n).padStart(2, '0');

function moment(ms: number): string {
  const p = parts(ms);
  return `${p.year}-${two(p.month)}-${two(p.day)} ${two(p.hour)}:${two(p.minute)}`;
}

function colours(): { text: string; grid: string; lines: string[] } {
  const style = getComputedStyle(document.documentElement);
  const of = (name: string): string => style.getPropertyValue(name).trim();
  return { text: of('--text'), grid: of('--line'), lines: [of('--chart-1'), of('--chart-2'), of('--chart-3'), of('--chart-4')] };
}

export function Chart({ title, unit, series, height = 280, label = moment, digits = 1, span }: ChartProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const [asTable, setAsTable] = useState(false);
  const [failed, setFailed] = useState(false);
  const night = useCell(dark);
  const words = useCell(lang);
  const zone = useCell(site, (found) => found?.timezone);
  const data = useMemo(() => aligned(series), [series]);
  const [xs, ...columns] = data;
  useEffect(() => {
    const into = box.current;
    if (asTable || !into || !xs.length) return undefined;
    let plot: uPlot | null = null;
    let over = false;
    const draw = async (): Promise<void> => {
      const [{ default: Plot }] = await Promise.all([import('uplot'), import('uplot/dist/uPlot.min.css')]);
      if (over) return;
      const { text, grid, lines } = colours();
      const bars = Plot.paths.bars?.({ size: [0.7, 60] });
      const step = steps(xs);
      const bar = series.some((one) => one.kind === 'bars') ? step / 2 : 0;
      plot = new Plot(
        {
          width: into.clientWidth,
          height,
          ms: 1,
          scales: {
            // The first and the last bar are whole, and bars begin at zero.
            x: { range: (_, low, high) => [(span?.from ?? low) - bar, (span ? span.to - (bar ? step : 0) : high) + bar] },
            ...(bar ? { y: { range: (_: uPlot, low: number, high: number) => [Math.min(0, low), high > 0 ? high * 1.08 : 1] as [number, number] } } : {}),
          },
          // A moment is shown as the clock of the school showed it.
          tzDate: (ms) => {
            const p = parts(ms);
            return new Date(p.year, p.month - 1, p.day, p.hour, p.minute, p.second);
          },
          axes: [
            { stroke: text, grid: { stroke: grid }, space: 64, values: words === 'zh' ? ZH_TIMES : undefined },
            { stroke: text, grid: { stroke: grid }, label: unit, size: 64, ...(digits === 0 ? { incrs: WHOLE } : {}) },
          ],
          series: [
            { value: (_, ms) => (ms === null ? '—' : label(ms)), label: t('when') },
            ...series.map((one, i) => {
              const stroke = lines[i % lines.length] ?? text;
              return {
                label: one.name,
                stroke,
                width: 2,
                fill: one.kind === 'bars' && !one.beside ? `${stroke}99` : undefined,
                dash: one.beside ? [6, 4] : undefined,
                paths: one.kind === 'bars' && !one.beside ? bars : undefined,
                points: { show: one.kind !== 'bars' && one.rows.length < 60 },
                value: (_: uPlot, value: number | null) => (value === null ? '—' : `${value.toFixed(digits)} ${unit}`),
              };
            }),
          ],
        },
        data as uPlot.AlignedData,
        into,
      );
    };
    const fit = (): void => plot?.setSize({ width: into.clientWidth, height });
    addEventListener('resize', fit);
    draw().catch(() => setFailed(true));
    return () => {
      over = true;
      removeEventListener('resize', fit);
      plot?.destroy();
    };
  }, [data, asTable, night, words, zone, height, unit, span?.from, span?.to]);
  const header = [t('when'), ...series.map((one) => `${one.name} (${unit})`)];
  const save = (): void => {
    const rows = xs.map((at, i) => [label(at), ...columns.map((values) => values[i] ?? null)]);
    download(`${title}.csv`, csvOf(header, rows));
  };
  return (
    <figure class="chart">
      <figcaption>
        <span>
          {title} <small>({unit})</small>
        </span>
        <span class="row">
          <Button pressed={asTable} onClick={() => setAsTable(!asTable)}>
            {t('as_table')}
          </Button>
          <Button onClick={save} disabled={!xs.length}>
            {t('save_csv')}
          </Button>
        </span>
      </figcaption>
      {!xs.length && <p class="empty">{t('nothing_here')}</p>}
      {asTable || failed ? (
        <div class="scroll" tabIndex={0} role="region" aria-label={title}>
          <table class="plain">
            <thead>
              <tr>
                {header.map((name, i) => (
                  <th key={i} scope="col" class={i ? 'figure' : undefined}>
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {xs.map((at, i) => (
                <tr key={at}>
                  <th scope="row">{label(at)}</th>
                  {columns.map((values, column) => (
                    <td key={column} class="figure">
                      {values[i]?.toFixed(digits) ?? '—'}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      ) : (
        <div ref={box} role="img" aria-label={`${title} (${unit})`} />
      )}
    </figure>
  );
}

/** Steps of an axis of whole things: there is no half an alarm. */
const WHOLE = Array.from({ length: 30 }, (_, i) => ([1, 2, 5][i % 3] ?? 1) * 10 ** Math.floor(i / 3));

const [YEAR, MONTH, DAY, HOUR, MINUTE, SECOND] = [31_536_000_000, 2_592_000_000, 86_400_000, 3_600_000, 60_000, 1000];
// uPlot's table of time formats: step, usual, then what is added when the year, day and so on change.
const ZH_TIMES: (string | number | null)[][] = [
  [YEAR, '{YYYY}年', null, null, null, null, null, null, 1],
  [MONTH, '{M}月', '\n{YYYY}年', null, null, null, null, null, 1],
  [DAY, '{M}/{D}', '\n{YYYY}年', null, null, null, null, null, 1],
  [HOUR, '{HH}:00', '\n{YYYY}/{M}/{D}', null, '\n{M}/{D}', null, null, null, 1],
  [MINUTE, '{HH}:{mm}', '\n{YYYY}/{M}/{D}', null, '\n{M}/{D}', null, null, null, 1],
  [SECOND, '{HH}:{mm}:{ss}', '\n{YYYY}/{M}/{D}', null, '\n{M}/{D}', null, null, null, 1],
];
