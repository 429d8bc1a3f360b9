// When rules would have held, one line for each rule and subject: filled where an alarm was raised then too.
import type { JSX } from 'preact';
import { t } from '../texts';
import { moment } from '../ui/time';
import type { Tried } from './rules';

const MOST_LINES = 40;
const LINE = 24;
const WIDTH = 1000;

export function Timeline({ rows }: { rows: readonly Tried[] }): JSX.Element | null {
  if (rows.length === 0) return null;
  const first = Math.min(...rows.map(({ from }) => from));
  const last = Math.max(first + 1, ...rows.map(({ from, to }) => to ?? from));
  const at = (ms: number): number => ((ms - first) / (last - first)) * WIDTH;
  const lines = [...new Set(rows.map(lineOf))];
  const shown = lines.slice(0, MOST_LINES);
  return (
    <figure class="timeline">
      <figcaption>
        {t('rules.timeline')} <small>{t('rules.timeline_key')}</small>
      </figcaption>
      <div class="timeline-lines" role="img" aria-label={t('rules.timeline_label', { n: rows.length, from: moment(first), to: moment(last) })}>
        {shown.map((line) => (
          <div class="timeline-line" key={line}>
            <span title={line}>{line}</span>
            <svg viewBox={`0 0 ${WIDTH} ${LINE}`} preserveAspectRatio="none" aria-hidden="true">
              <line x1="0" x2={WIDTH} y1={LINE / 2} y2={LINE / 2} class="ground" />
              {rows
                .filter((row) => lineOf(row) === line)
                .map((row, n) => (
                  <rect
                    key={n}
                    class={row.would === false ? 'only' : row.did ? 'did' : 'would'}
                    x={at(row.from)}
                    width={Math.max(4, at(row.to ?? last) - at(row.from))}
                    y={row.did ? 4 : 7}
                    height={row.did ? LINE - 8 : LINE - 14}
                  />
                ))}
            </svg>
          </div>
        ))}
        <div class="timeline-ends">
          <span>{moment(first)}</span>
          <span>{moment(last)}</span>
        </div>
      </div>
      {lines.length > shown.length && <p class="hint">{t('rules.more_lines', { n: lines.length - shown.length })}</p>}
    </figure>
  );
}

function lineOf(row: Tried): string {
  return `${row.rule} · ${row.subject}`;
}
